"""Linearisability: which histories have an order, which have none, and what is found of caches that threads call."""

from __future__ import annotations

import os
import random
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from kvparity.caches.adapter import ManagerCache
from kvparity.caches.protocol import CacheSpec
from kvparity.contract import entry
from kvparity.errors import NotKeysValuesError, UsageError
from kvparity.judging.linearity import Call, Model, Verdict, check, perform, record
from kvparity.operations import ALL, RECUR, WM, Checkout, Clear, Get, Operation, PoolId, Set, Write, init
from kvparity.registry import build_cache
from kvparity.values.fingerprints import fingerprint
from kvparity_refactored import EvictionStrategy, LockedManager
from kvparity_scenarios.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HISTORIES = int(os.environ.get("KVPARITY_HISTORIES", "25"))
SPEC = CacheSpec(env_num=1, init_pool_size=2, num_simulations=2)
VALUES = [entry(seed, layers=1) for seed in range(40)]
PRINTS = [fingerprint(value) for value in VALUES]


def put(key: int, value: int, began: int, ended: int, **options: Any) -> Call:
    """A `Set` into recur."""
    operation = Set(pool=RECUR, key=key, value=VALUES[value], **options)
    return Call(operation=operation, began=began, ended=ended, stored=PRINTS[value])


def got(key: int, value: int | None, began: int, ended: int) -> Call:
    """A `Get` from recur that found a value, or None."""
    answer = None if value is None else PRINTS[value]
    return Call(operation=Get(pool=RECUR, key=key), began=began, ended=ended, answer=answer)


def verdict(*threads: list[Call], strategy: str = "fifo") -> Verdict:
    """Of a history."""
    return check(threads, Model(SPEC, strategy)).verdict


# ---------------------------------------------------------------------- the search


def test_calls_one_after_the_other_have_one_order() -> None:
    """A lookup that begins after a set has ended must see it."""
    assert verdict([put(1, 1, 0, 1)], [got(1, 1, 2, 3)]) is Verdict.LINEARISABLE
    assert verdict([put(1, 1, 0, 1)], [got(1, None, 2, 3)]) is Verdict.NOT_LINEARISABLE


@pytest.mark.parametrize("seen", [1, None])
def test_calls_at_once_have_any_order(seen: int | None) -> None:
    """A lookup during a set may see it or not."""
    assert verdict([put(1, 1, 0, 5)], [got(1, seen, 2, 3)]) is Verdict.LINEARISABLE


def test_nobody_sees_a_set_undone() -> None:
    """Of two lookups during a set, the later one may not miss what the earlier one saw."""
    assert verdict([put(1, 1, 0, 9)], [got(1, 1, 1, 2), got(1, None, 3, 4)]) is Verdict.NOT_LINEARISABLE


def test_an_order_may_begin_with_the_call_that_ended_last() -> None:
    """The search goes back on its first guess."""
    one = [put(1, 1, 0, 9)]
    two = [put(1, 2, 1, 2), got(1, 2, 10, 11)]
    assert verdict(one, two) is Verdict.LINEARISABLE


def test_another_keys_value_has_no_order() -> None:
    """Bytes that were never set under a key cannot be its answer."""
    assert verdict([put(1, 1, 0, 9)], [got(1, 2, 1, 2)]) is Verdict.NOT_LINEARISABLE


def test_an_exception_has_no_order() -> None:
    """No cache with one thread raises on a lookup."""
    call = Call(operation=Get(pool=RECUR, key=1), began=0, ended=1, answer="raised KeyError: 1")
    assert verdict([call]) is Verdict.NOT_LINEARISABLE


class Answers:
    """A cache that answers every lookup with the same, or raises it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def set(self, *_: Any, **__: Any) -> None:
        """Nothing is stored."""

    def get(self, *_: Any) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    checkout = clear = get


class Unspeakable(Exception):  # noqa: N818
    """Cannot even be told."""

    def __str__(self) -> str:
        raise RuntimeError("unspeakable")


MISHAPS = [
    ("rubbish", "returned no entry: str is not a key/value cache entry"),
    (7, "returned no entry: int is not a key/value cache entry"),
    (SystemExit(7), "raised SystemExit: 7"),
    (KeyError(1), "raised KeyError: 1"),
    (Unspeakable(), "raised Unspeakable: (its message raised RuntimeError)"),
    (KeyboardInterrupt(), "raised KeyboardInterrupt: "),  # a Ctrl-C comes to no thread but the main one
]
each_mishap = pytest.mark.parametrize(("answer", "told"), MISHAPS, ids=[told for _, told in MISHAPS])


@each_mishap
def test_whatever_a_cache_does_is_in_its_history(answer: Any, told: str) -> None:
    """The thread goes on, and no order explains what is no answer."""
    calls = record(Answers(answer), [[Get(pool=RECUR, key=1), Set(pool=RECUR, key=1, value=VALUES[1])]] * 2)
    assert [len(each) for each in calls] == [2, 2]
    assert str(calls[0][0].answer).startswith(told)
    assert check(calls, Model(SPEC)).verdict is Verdict.NOT_LINEARISABLE


def test_an_interrupt_in_the_main_thread_is_the_users() -> None:
    """It is no answer of the cache that was asked just then."""
    with pytest.raises(KeyboardInterrupt):
        perform(Answers(KeyboardInterrupt()), Get(pool=RECUR, key=1))  # type: ignore[arg-type]


def test_it_says_where_it_is_stuck() -> None:
    """The call that fits nowhere, what it answered and what it should have."""
    checked = check([[put(1, 1, 0, 1), got(1, 2, 2, 3)]], Model(SPEC))
    [stuck] = checked.stuck
    assert stuck == (
        f"get of key 0x0000000000000001 from recur -> {PRINTS[2].hex()[:12]}, expected {PRINTS[1].hex()[:12]}"
    )


def test_giving_up_is_neither() -> None:
    """With too few tries the verdict is unknown."""
    threads = [[put(key, key, 0, 9)] for key in range(6)]
    assert check(threads, Model(SPEC), most=3).verdict is Verdict.UNKNOWN


# ---------------------------------------------------------------------- the model


@pytest.mark.parametrize(("strategy", "left"), [("fifo", 1), ("lru", 2), ("priority", 2)])
def test_a_full_pool_evicts_by_its_strategy(strategy: str, left: int) -> None:
    """The oldest; the one not used for longest; the lowest priority."""
    history = [put(1, 1, 0, 1, priority=5.0), put(2, 2, 2, 3, priority=1.0), got(1, 1, 4, 5), put(3, 3, 6, 7)]
    gone = [*history, got(left, None, 8, 9)]
    kept = [*history, got(left, left, 8, 9)]
    assert verdict(gone, strategy=strategy) is Verdict.LINEARISABLE
    assert verdict(kept, strategy=strategy) is Verdict.NOT_LINEARISABLE


def test_a_strategy_that_nobody_knows_is_refused() -> None:
    """With the ones there are."""
    with pytest.raises(UsageError, match=r"^there is no eviction strategy 'random'; known are fifo, lru, priority$"):
        Model(SPEC, "random")


def test_a_write_is_no_call_of_a_cache() -> None:
    """It is refused, not passed over."""
    with pytest.raises(UsageError, match="leave it out"):
        perform(build_cache("refactored-fifo", SPEC), Write(env=0, fill=1.0))


@pytest.mark.parametrize(
    ("wrong", "error", "told"),
    [
        (Write(env=0, fill=1.0), UsageError, "leave it out"),
        (Set(pool=RECUR, key=1, value="rubbish"), NotKeysValuesError, "str is not a key/value cache entry"),
    ],
)
def test_a_program_that_cannot_be_run_has_no_history(wrong: Operation, error: type[Exception], told: str) -> None:
    """What is wrong with it is raised to whoever wants it recorded, and not lost with a thread."""
    with pytest.raises(error, match=told):
        record(build_cache("refactored-fifo", SPEC), [[Get(pool=RECUR, key=1)], [Get(pool=RECUR, key=1), wrong]])


@pytest.mark.parametrize("name", ["legacy-evicting", "refactored-fifo", "refactored-lru", "refactored-priority"])
def test_a_working_copy_takes_a_slot_of_the_wm_pool(name: str) -> None:
    """With one slot, the key that was in it is gone after a checkout that hit, and stays after one that missed."""
    before = [Set(pool=WM, key=1, value=VALUES[1]), Set(pool=RECUR, key=5, value=VALUES[5])]
    for key, held in ((5, None), (6, PRINTS[1])):
        [calls] = record(build_cache(name, SPEC), [[*before, Checkout(env=0, key=key), Get(pool=WM, key=1)]])
        assert calls[-1].answer == held
        assert verdict(calls, strategy=name.rpartition("-")[2].replace("evicting", "fifo")) is Verdict.LINEARISABLE


@pytest.mark.parametrize("strategy", ["fifo", "lru", "priority"])
def test_a_working_copy_leaves_the_wm_pool_by_its_strategy(strategy: str) -> None:
    """With several slots, whatever is set, got and checked out in between."""
    spec = CacheSpec(env_num=3, init_pool_size=2, num_simulations=2)
    cache = build_cache(f"refactored-{strategy}", spec)
    for seed in range(20):
        [calls] = record(cache, [[Clear(pool=ALL), *program(seed, 0, 60, clears=True, pools=[RECUR, WM, WM])]])
        assert check([calls], Model(spec, strategy)).verdict is Verdict.LINEARISABLE


@pytest.mark.parametrize("strategy", ["fifo", "lru", "priority"])
def test_one_thread_is_always_linearisable(strategy: str) -> None:
    """The model answers as the refactored cache does, whatever is asked of it."""
    cache = build_cache(f"refactored-{strategy}", SPEC)
    for seed in range(20):
        [calls] = record(cache, [[Clear(pool=ALL), *program(seed, 0, 60, clears=True)]])
        assert verdict(calls, strategy=strategy) is Verdict.LINEARISABLE


# ---------------------------------------------------------------------- real threads


def program(
    seed: int, thread: int, length: int, *, clears: bool = False, pools: Sequence[PoolId] = (RECUR, RECUR, init(0))
) -> list[Operation]:
    """Random operations on few keys; no two sets of a thread store the same."""
    draw = random.Random(f"{seed} {thread}")
    operations: list[Operation] = []
    for number in range(length):
        key, pool = draw.randrange(3), draw.choice(pools)
        value = VALUES[(number + 10 * thread) % len(VALUES)]
        kinds = {
            "set": Set(pool=pool, key=key, value=value, priority=draw.choice([None, 1.0, 2.0])),
            "get": Get(pool=pool, key=key),
            "checkout": Checkout(env=0, key=key),
            "clear": Clear(pool=pool),
        }
        operations.append(kinds[draw.choice(["set", "set", "get", "get", "checkout", *["clear"] * clears])])
    return operations


@pytest.mark.parametrize("strategy", ["fifo", "lru", "priority"])
def test_the_thread_safe_manager_is_linearisable(strategy: str, record_property: Callable[[str, object], None]) -> None:
    """What four real threads see of it, a cache with one thread could have shown them."""
    calls = 0
    for seed in range(HISTORIES):
        cache = thread_safe(strategy)
        programs = [program(seed, thread, 10, clears=True) for thread in range(4)]
        # One environment has one working copy: with four threads at once it may be gone before it is looked at.
        programs = [[each for each in one if not isinstance(each, Checkout)] for one in programs]
        history = record(cache, programs)
        checked = check(history, Model(SPEC, strategy))
        assert checked.verdict is Verdict.LINEARISABLE, checked.stuck
        calls += sum(len(thread) for thread in history)
    record_property("tried", HISTORIES)
    record_property("threads", 4)
    record_property("calls", calls)


def test_lookups_through_two_pools_are_one_step(record_property: Callable[[str, object], None]) -> None:
    """`hierarchical_get` never misses a key that was in one of the two pools at all times."""
    calls = 0
    for seed in range(HISTORIES):
        manager = thread_safe("fifo").manager
        programs = [program(seed, thread, 10) for thread in range(3)]
        history = record(Hierarchical(manager), programs)
        checked = check(history, Model(SPEC))
        assert checked.verdict is Verdict.LINEARISABLE, checked.stuck
        calls += sum(len(thread) for thread in history)
    record_property("tried", HISTORIES)
    record_property("threads", 3)
    record_property("calls", calls)


def thread_safe(strategy: str) -> ManagerCache:
    """A thread-safe manager of SPEC as a cache."""
    return ManagerCache(LockedManager(SPEC.config(), SPEC.env_num, eviction_strategy=EvictionStrategy(strategy)))


class Hierarchical(ManagerCache):
    """Its checkout is `hierarchical_get` alone: no working copies, which other threads would push out."""

    def checkout(self, env: int, key: int) -> Any | None:
        return self.manager.hierarchical_get(env, key)


# ---------------------------------------------------------------------- planted races

PUT, LOOK, LOOK_BEFORE = Set(pool=RECUR, key=2, value=VALUES[2]), Get(pool=RECUR, key=2), Get(pool=RECUR, key=0)
# What one thread does, and what another does in the middle of it. Key 2 takes the slot of key 0.
RACES: dict[str, tuple[Operation, Operation]] = {
    "indexes-before-writing": (PUT, LOOK),
    "lends-across-threads": (LOOK_BEFORE, PUT),
}


def test_each_race_of_the_gallery_is_run() -> None:
    """No fault of threads is left out below."""
    assert set(RACES) == {name for name, fault in FAULTS.items() if "threads" in fault.methods}


@pytest.mark.parametrize("name", RACES)
def test_a_planted_race_is_caught(name: str) -> None:
    """Where another thread comes in at the one moment that matters; without that, the same calls are in order."""
    assert race(name, at_once=True) is Verdict.NOT_LINEARISABLE
    assert race(name, at_once=False) is Verdict.LINEARISABLE


def race(name: str, *, at_once: bool) -> Verdict:
    """Two threads, the second in the middle of the first one's call or after it."""
    cache: Any = FAULTS[name](SPEC.config(), SPEC.env_num)
    outer, inner = RACES[name]
    before = [perform(cache, Set(pool=RECUR, key=key, value=VALUES[key])) for key in (0, 1)]
    calls: list[list[Call]] = [before, [], []]
    come, gone, between = Event(), Event(), cache.between

    def second() -> None:
        come.wait()
        calls[2].append(perform(cache, inner))
        gone.set()

    def let_the_second_in() -> None:
        cache.between = between
        come.set()
        gone.wait()

    thread = Thread(target=second, daemon=True)
    thread.start()
    if at_once:
        cache.between = let_the_second_in
    calls[1].append(perform(cache, outer))
    come.set()
    thread.join()
    return check(calls, Model(SPEC)).verdict
