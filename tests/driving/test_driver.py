"""Driving caches: the producer's and the consumer's habits, and runs that end as they should."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from kvparity import (
    ALL,
    ALL_INIT,
    RECUR,
    Answer,
    CacheSpec,
    Checkout,
    Clear,
    Comparison,
    Driver,
    Get,
    KeysValues,
    Operation,
    PoolId,
    Set,
    Trace,
    TraceWriter,
    Write,
    fingerprint,
    init,
    load_scenario,
)
from kvparity.driving.driver import step
from kvparity.errors import UsageError
from kvparity.values.entry import read
from kvparity_scenarios.correct_cache import CorrectCache
from support.shadows import fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CORRECT = "kvparity_scenarios.correct_cache:CorrectCache"
SPEC = CacheSpec(env_num=1, init_pool_size=2, num_simulations=2)


def value(number: float, *, heads: int = 1) -> KeysValues:
    """A small entry of that number."""
    entry = KeysValues.zeros(num_layers=1, num_heads=heads, max_tokens=4, head_dim=2, size=1)
    for layer in entry._keys_values:
        layer._k_cache._cache.fill_(number)
    return entry


def scenario(*operations: Operation, spec: CacheSpec = SPEC) -> Any:
    """A workload of just these operations."""
    return SimpleNamespace(name="short", summary="", spec=spec, operations=lambda _seed: iter(operations))


class Spy(CorrectCache):
    """Remembers what it was handed."""

    def __init__(self) -> None:
        super().__init__()
        self.handed: list[Any] = []
        self.priorities: list[float | None] = []

    def set(self, pool: Any, key: int, value: Any, *, priority: float | None = None) -> None:
        super().set(pool, key, value)
        self.handed.append((value, read(value)[0]))
        self.priorities.append(priority)


# ---------------------------------------------------------------- the driver


def test_one_producer_object_hands_over_all_values() -> None:
    """Its tensors are overwritten in place by one set and re-pointed by the next, as UniZero's are."""
    cache = Spy()
    driver = Driver(cache)
    values = [value(number) for number in range(4)]
    for key, each in enumerate(values):
        driver.apply(Set(pool=RECUR, key=key, value=each, priority=0.5))
    assert len({id(handed) for handed, _ in cache.handed}) == 1
    overwritten, repointed = (cache.handed[at][1][0] for at in (0, 1))
    assert cache.handed[2][1][0] is overwritten
    assert repointed is read(values[1])[0][0]
    assert cache.handed[3][1][0] is read(values[3])[0][0]
    assert cache.priorities == [0.5] * 4


def test_every_value_arrives_as_it_is() -> None:
    """Whichever way it is handed over, and of whatever kind."""
    cache = Spy()
    driver = Driver(cache)
    values = [value(number, heads=1 + number % 3) for number in range(9)]
    for key, each in enumerate(values):
        driver.apply(Set(pool=RECUR, key=key, value=each))
    for key, each in enumerate(values):
        assert fingerprint(driver.apply(Get(pool=RECUR, key=key))) == fingerprint(each)


def test_the_values_of_a_workload_are_only_read() -> None:
    """The same operations may be driven again."""
    operation = Set(pool=RECUR, key=1, value=value(3))
    before = fingerprint(operation.value)
    driver = Driver(fault("writes-into-source"))
    for _ in range(3):
        driver.apply(Set(pool=RECUR, key=2, value=value(9)))
    driver.apply(operation)
    driver.apply(Checkout(env=0, key=1))
    driver.apply(Write(env=0, fill=1.0))
    assert before == fingerprint(value(3))


def test_a_write_appends_a_token_to_the_last_working_copy() -> None:
    """In every layer, K and V; the entry itself stays."""
    driver = Driver(CorrectCache())
    driver.apply(Set(pool=RECUR, key=1, value=value(3)))
    copy = driver.apply(Checkout(env=0, key=1))
    driver.apply(Write(env=0, fill=7.0))
    tensors, sizes = read(copy)
    assert sizes == [2, 2]
    assert all((tensor[:, :, 1] == 7.0).all() for tensor in tensors)
    assert fingerprint(driver.apply(Get(pool=RECUR, key=1))) == fingerprint(value(3))


def test_a_write_after_a_miss_does_nothing() -> None:
    """Nor does it write into the working copy from before."""
    driver = Driver(CorrectCache())
    driver.apply(Set(pool=RECUR, key=1, value=value(3)))
    copy = driver.apply(Checkout(env=0, key=1))
    assert driver.apply(Checkout(env=0, key=2)) is None
    driver.apply(Write(env=0, fill=7.0))
    assert fingerprint(copy) == fingerprint(value(3))


# ---------------------------------------------------------------- runs


def test_operations_keep_their_numbers() -> None:
    """A divergence names the place of its operation in the stream, writes counted too."""
    operations = [Set(pool=RECUR, key=1, value=value(1)), Write(env=0, fill=1.0), Get(pool=RECUR, key=1)]
    result = Comparison(CORRECT, "support.doubles:AlwaysMisses").scenario(scenario(*operations), seed=0, steps=9)
    assert result.first["presence", "candidate"].number == 2
    assert result.operations == {"set": 1, "write": 1, "get": 1}


def test_steps_are_operations() -> None:
    """An endless workload is cut after that many."""
    endless = SimpleNamespace(
        name="endless", summary="", spec=SPEC, operations=lambda _: (Get(pool=RECUR, key=key) for key in count())
    )
    result = Comparison(CORRECT, CORRECT).scenario(endless, seed=0, steps=17)
    assert result.operations_total == 17


def test_a_raising_reference_does_not_stop_the_run() -> None:
    """Its exception is a divergence like another."""
    operations = [Get(pool=RECUR, key=key) for key in range(3)]
    result = Comparison("legacy-released", "refactored-fifo").scenario(scenario(*operations), seed=0, steps=9)
    assert result.by_group == {("error", "reference"): 3}


def test_a_fault_of_the_harness_is_not_hidden() -> None:
    """Only what the reference itself raised is passed over."""
    shadow = Comparison("legacy-evicting", "refactored-fifo").shadow(SPEC)
    with pytest.raises(ValueError, match=r"there is no pool init\[5\]"):
        step(Driver(shadow), shadow, Get(pool=init(5), key=1), 0)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("x", "'x'"),
        (None, "None"),
        (Get(pool=init(5), key=1), "get of key 0x0000000000000001 from init[5]"),
        (Set(pool=ALL, key=1, value=None), "set of key 0x0000000000000001 in all"),
        (Clear(pool=init(1)), "clear of init[1]"),
        (Checkout(env=-1, key=1), "checkout of key 0x0000000000000001 for env -1"),
        (Write(env=1, fill=0.0), "write into the working copy of env 1"),
    ],
)
def test_what_is_no_operation_for_its_caches_is_bad_input(wrong: Any, told: str) -> None:
    """It is named with its place in the scenario, and nothing is said of the caches."""
    workload = scenario(Get(pool=RECUR, key=1), wrong)
    with pytest.raises(UsageError) as raised:
        Comparison(CORRECT, CORRECT).scenario(workload, seed=0, steps=9)
    assert str(raised.value) == f"operation 1 of short does not fit its caches of {SPEC}: {told}"


@pytest.mark.parametrize("everything", [ALL, ALL_INIT], ids=str)
def test_a_scenario_may_clear_several_pools(everything: PoolId) -> None:
    """A clear names them together, as no other operation does."""
    result = Comparison(CORRECT, CORRECT).scenario(scenario(Clear(pool=everything)), seed=0, steps=9)
    assert (result.operations, result.total) == ({"clear": 1}, 0)


def test_a_scenario_that_raises_is_bad_input() -> None:
    """It is told in one line, with the error that it came from."""

    def broken() -> Iterator[Operation]:
        yield Get(pool=RECUR, key=1)
        raise ZeroDivisionError("by nothing")

    workload = SimpleNamespace(name="short", summary="", spec=SPEC, operations=lambda _seed: broken())
    with pytest.raises(UsageError, match=r"^the scenario short raised ZeroDivisionError: by nothing$") as raised:
        Comparison(CORRECT, CORRECT).scenario(workload, seed=0, steps=9)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_a_reference_that_exits_does_not_end_the_run() -> None:
    """An exit that a cache tries is an exception like another, on either side."""
    operations = [Get(pool=RECUR, key=key) for key in range(3)]
    result = Comparison("fault:exits-always", CORRECT).scenario(scenario(*operations), seed=0, steps=9)
    assert result.by_group["error", "reference"] == 3


def test_an_interrupt_keeps_what_was_found() -> None:
    """The result says that it is a part."""

    def interrupted() -> Iterator[Operation]:
        yield Set(pool=RECUR, key=1, value=value(1))
        yield Get(pool=RECUR, key=1)
        raise KeyboardInterrupt

    workload = SimpleNamespace(name="short", summary="", spec=SPEC, operations=lambda _seed: interrupted())
    result = Comparison(CORRECT, "support.doubles:AlwaysMisses").scenario(workload, seed=0, steps=9)
    assert result.interrupted
    assert result.by_kind == {"presence": 1}


def test_progress_is_told() -> None:
    """Now and then, and at the end."""
    told: list[int] = []
    comparison = Comparison("legacy-evicting", "refactored-fifo", progress=told.append)
    comparison.scenario(load_scenario("mcts"), seed=0, steps=600)
    assert told == [256, 512, 600]


def test_a_cache_compared_with_itself_has_two_names() -> None:
    """So that an explanation says which of the two it means."""
    operations = [Get(pool=RECUR, key=1)]
    result = Comparison("legacy-released", "legacy-released").scenario(scenario(*operations), seed=0, steps=9)
    assert (result.reference, result.candidate) == ("legacy-released (reference)", "legacy-released (candidate)")
    assert result.total == 0


# ---------------------------------------------------------------- traces


def test_recorded_answers_are_held_against_the_reference(tmp_path: Path) -> None:
    """Each is counted, and the first that the reference gives otherwise is named."""
    path = tmp_path / "a.kvtrace"
    right, wrong = Answer(fingerprint=fingerprint(value(1))), Answer(fingerprint=b"0" * 16)
    with TraceWriter(path, served_by="test") as writer:
        stream = writer.stream("test", SPEC)
        writer.record(stream, Set(pool=RECUR, key=1, value=value(1)))
        for answer in (right, wrong, Answer(), Answer(error="TypeError")):
            writer.record(stream, Get(pool=RECUR, key=1), answer)
    with Trace(path) as trace:
        result = Comparison("legacy-evicting", "refactored-fifo").trace(trace, workload="a")
    assert result.recorded is not None
    assert (result.recorded.given, result.recorded.reproduced) == (4, 1)
    assert result.recorded.first_other.startswith("operation 2: recorded hit 303030303030, legacy-evicting: hit ")


def test_the_streams_of_a_trace_have_caches_of_their_own(tmp_path: Path) -> None:
    """A key set in one is a miss in the other, whose sizes may differ; the result is one."""
    path = tmp_path / "a.kvtrace"
    with TraceWriter(path, served_by="test") as writer:
        first = writer.stream("collect", SPEC)
        second = writer.stream("target", CacheSpec(env_num=3))
        writer.record(first, Set(pool=RECUR, key=1, value=value(1)))
        writer.record(second, Get(pool=RECUR, key=1), Answer())
        writer.record(second, Clear(pool=init(2)))
        writer.record(first, Get(pool=RECUR, key=1), Answer(fingerprint=fingerprint(value(1))))
    with Trace(path) as trace:
        result = Comparison("legacy-evicting", "refactored-fifo").trace(trace, workload="a")
    assert result.total == 0
    assert result.recorded is not None
    assert result.recorded.reproduced == result.recorded.given == 2
    assert result.spec is None
