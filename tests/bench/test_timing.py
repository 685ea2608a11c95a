"""Timing caches against each other, by a clock that only moves when a cache moves it."""

from __future__ import annotations

import gc
import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import torch

from kvparity import CacheSpec, Checkout, Clear, Get, PoolId, Set, Write, init
from kvparity.bench.conditions import pinned
from kvparity.bench.measure import measure
from kvparity.bench.timing import Race
from kvparity.bench.workload import Workload
from kvparity.operations import RECUR
from kvparity.search.case import plain
from kvparity_scenarios.correct_cache import CorrectCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.bench.result import Run
    from kvparity.caches.protocol import Cache

SPEC = CacheSpec(env_num=2, num_simulations=4)
ROOTS = (
    Set(pool=init(0), key=1, value=plain(1)),
    Set(pool=init(1), key=2, value=plain(2)),
    Get(pool=init(0), key=1),
    Clear(pool=RECUR),
)
SIMULATION = (
    Checkout(env=0, key=1),
    Checkout(env=1, key=2),
    Write(env=0, fill=1.0),
    Write(env=1, fill=1.0),
    Set(pool=RECUR, key=3, value=plain(3)),
    Set(pool=RECUR, key=4, value=plain(4)),
)


class Clock:
    """Nanoseconds that pass when somebody says so, and how often the core was taken away."""

    def __init__(self, *, reading_ns: int = 0) -> None:
        self.now = self.interruptions = 0
        self._reading_ns = reading_ns

    def __call__(self) -> int:
        self.now += self._reading_ns
        return self.now


class Slow(CorrectCache):
    """A cache that takes a given time for each call, and notes all calls."""

    def __init__(self, clock: Clock, *, set_ns: int = 0, get_ns: int = 0, checkout_ns: int = 0) -> None:
        super().__init__()
        self.clock = clock
        self.takes = {"set": set_ns, "get": get_ns, "checkout": checkout_ns}
        self.diary: list[str] = []

    def _sleep(self, what: str) -> None:
        self.diary.append(what)
        self.clock.now += self.takes[what]

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        self._sleep("set")
        super().set(pool, key, value, priority=priority)

    def get(self, pool: PoolId, key: int) -> Any:
        self._sleep("get")
        return super().get(pool, key)

    def checkout(self, env: int, key: int) -> Any:
        self._sleep("checkout")
        return super().checkout(env, key)


class RaisesLater(CorrectCache):
    """Works, until its clock has been read for a while."""

    def __init__(self, clock: Clock, *, until: int) -> None:
        super().__init__()
        self.clock = clock
        self.until = until

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        if self.clock.now > self.until:
            raise MemoryError("full\nat last")
        super().set(pool, key, value, priority=priority)


def workload(*operations: Any) -> Workload:
    """Operations for one cache."""
    return Workload(
        name="test",
        specs={0: SPEC},
        operations=tuple((0, operation) for operation in operations),
        offered=None,
        values="",
    )


def run(entrants: dict[str, Callable[[CacheSpec], Cache]], clock: Clock, *operations: Any, repeats: int = 6) -> Run:
    """The result of a bench of these caches; the first is the reference."""
    found, interrupted = measure(
        workload(*operations),
        entrants,
        reference=next(iter(entrants)),
        repeats=repeats,
        clock=clock,
        interruptions=lambda: clock.interruptions,
    )
    assert not interrupted
    return found


def slow(clock: Clock, **takes: int) -> Callable[[CacheSpec], Cache]:
    """What builds a `Slow` cache."""
    return lambda _: Slow(clock, **takes)


# ---------------------------------------------------------------- ratios


def test_a_candidate_that_sleeps_has_a_ratio() -> None:
    """Of its own time and of each kind of operation; all repeats agree."""
    clock = Clock()
    quick, sleepy = slow(clock, set_ns=1000, get_ns=100), slow(clock, set_ns=3000, get_ns=50)
    found = run({"quick": quick, "sleepy": sleepy}, clock, *ROOTS)
    ratios = found.ratios["sleepy"]
    assert (ratios["set"].median, ratios["get"].median) == (3.0, 0.5)
    assert ratios["time"].median == pytest.approx(6050 / 2100)
    assert ratios["time"].low == ratios["time"].high == ratios["time"].median
    assert (ratios["time"].repeats, ratios["time"].confidence) == (6, 0.96875)
    assert set(found.ratios) == {"sleepy"}


def test_latencies_are_of_single_operations() -> None:
    """In microseconds, whatever came between them."""
    clock = Clock()
    latencies = run({"slow": slow(clock, set_ns=2500, checkout_ns=700)}, clock, *ROOTS).figures["slow"].latencies
    assert latencies["set"].p50_us.median == latencies["set"].p99_us.median == latencies["set"].max_us == 2.5
    assert set(latencies) == {"set", "get", "clear"}


def test_a_cycle_is_what_one_environment_waits_for() -> None:
    """Its checkout and its set; roots and other operations are no part of it, and two environments search at once."""
    clock = Clock()
    latencies = (
        run(
            {"slow": slow(clock, set_ns=30, get_ns=500, checkout_ns=1000)},
            clock,
            *ROOTS,
            *SIMULATION,
            *SIMULATION,
            *ROOTS,
        )
        .figures["slow"]
        .latencies
    )
    assert latencies["cycle"].p50_us.median == latencies["cycle"].max_us == 1.03


def test_a_search_that_stores_nothing_is_no_cycle() -> None:
    """Nor is one that a lookup interrupts."""
    clock = Clock()
    cut = (*SIMULATION[:4], Get(pool=init(0), key=1), *SIMULATION[4:])
    for operations in (SIMULATION[:4], cut):
        assert "cycle" not in run({"slow": slow(clock, set_ns=1)}, clock, *ROOTS, *operations).figures["slow"].latencies


def test_reading_the_clock_is_not_counted() -> None:
    """What a lap of nothing takes is taken off each lap."""
    clock = Clock(reading_ns=40)
    figures = run({"slow": slow(clock, set_ns=1000)}, clock, *ROOTS).figures["slow"]
    assert figures.latencies["set"].p50_us.median == 1.0
    assert figures.latencies["get"].max_us == 0.0


def test_what_costs_the_reference_nothing_has_no_ratio() -> None:
    """Rather than an endless one."""
    clock = Clock()
    found = run({"idle": slow(clock, get_ns=10), "slow": slow(clock, set_ns=10, get_ns=10)}, clock, *ROOTS)
    assert "set" not in found.ratios["slow"]
    assert found.ratios["slow"]["time"].median == 3.0


def test_own_time_is_what_the_cache_takes_for_one_operation() -> None:
    """On the mean; that the consumer writes into a working copy is none of its operations."""
    clock = Clock()
    figures = run({"slow": slow(clock, set_ns=500, checkout_ns=1000)}, clock, *SIMULATION).figures["slow"]
    assert figures.own_us.median == pytest.approx((2 * 0.5 + 2 * 1.0) / 4)


def test_throughput_is_of_whole_passes() -> None:
    """Operations by the time of a pass in which single operations are not timed."""
    clock = Clock()
    figures = run({"slow": slow(clock, set_ns=500)}, clock, *ROOTS).figures["slow"]
    assert figures.operations_per_s.median == pytest.approx(4 / 1e-6)


# ---------------------------------------------------------------- caches that raise


def test_a_cache_that_raises_is_out_and_the_others_stay() -> None:
    """What it raised is said, with the operation, and it has no figures."""
    clock = Clock()
    found = run(
        {
            "good": slow(clock, set_ns=10),
            "bad": lambda _: RaisesLater(clock, until=-1),
            "other": slow(clock, set_ns=20),
        },
        clock,
        *ROOTS,
    )
    assert list(found.figures) == ["good", "other"]
    assert list(found.ratios) == ["other"]
    assert found.failures["bad"].startswith("raised MemoryError: full")
    assert "at operation 0: set of key 0x" in found.failures["bad"]


def test_a_cache_that_raises_when_it_is_timed_is_out_too() -> None:
    """Though it went through all that is not timed."""
    clock = Clock()
    good = slow(clock, set_ns=10)
    found = run({"good": good, "bad": lambda _: RaisesLater(clock, until=300), "other": good}, clock, *ROOTS)
    assert found.failures["bad"].endswith("while it was timed")
    assert list(found.figures) == ["good", "other"]
    assert found.ratios["other"]["time"].median == 1.0


def test_where_all_raise_there_is_nothing() -> None:
    """But what each raised, when it was timed."""
    clock = Clock()

    class Tires(RaisesLater):
        def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
            super().set(pool, key, value, priority=priority)
            self.clock.now += 10

    found = run({"one": lambda _: Tires(clock, until=150)}, clock, *ROOTS)
    assert (found.figures, found.ratios) == ({}, {})
    assert found.failures["one"].endswith("while it was timed")


def test_without_the_reference_there_are_no_ratios() -> None:
    """But the figures of the others."""
    clock = Clock()
    found = run({"bad": lambda _: RaisesLater(clock, until=-1), "good": slow(clock, set_ns=10)}, clock, *ROOTS)
    assert (found.ratios, list(found.figures)) == ({}, ["good"])


def test_a_cache_that_cannot_be_built_is_out() -> None:
    """Building is the cache's own doing like anything else."""

    def broken(_: CacheSpec) -> Cache:
        raise RuntimeError("no more")

    clock = Clock()
    found = run({"good": slow(clock, set_ns=10), "bad": broken}, clock, *ROOTS)
    assert found.failures == {"bad": "raised RuntimeError: no more"}


def test_a_cache_that_cannot_be_cleared_or_does_not_know_itself_is_out() -> None:
    """Nothing that a cache does ends the bench."""

    class Uncleared(CorrectCache):
        def clear(self, pool: PoolId) -> None:
            if pool.family == "all":
                raise NotImplementedError("all")

    class Innumerate(CorrectCache):
        def stats(self, pool: PoolId) -> None:
            raise ZeroDivisionError(str(pool))

    clock = Clock()
    found = run(
        {"good": slow(clock, set_ns=10), "first": lambda _: Uncleared(), "second": lambda _: Innumerate()},
        clock,
        *ROOTS,
    )
    assert found.failures == {"first": "raised NotImplementedError: all", "second": "raised ZeroDivisionError: init[0]"}
    assert list(found.figures) == ["good"]


def test_an_interrupt_keeps_the_repeats_that_are_done() -> None:
    """Two of nine, if it comes in the third."""
    clock = Clock()

    def stop(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    found, interrupted = measure(
        workload(*ROOTS), {"slow": slow(clock, set_ns=1)}, reference="slow", repeats=9, clock=clock, progress=stop
    )
    assert interrupted
    assert found.figures["slow"].own_us.repeats == 2


# ---------------------------------------------------------------- fairness


def test_caches_take_turns() -> None:
    """None waits while another does a whole pass, and who is first changes."""
    clock = Clock()
    order: list[str] = []

    def named(name: str) -> Callable[[CacheSpec], Cache]:
        cache = Slow(clock)
        sleep = cache._sleep

        def noted(what: str) -> None:
            order.append(name)
            sleep(what)

        cache._sleep = noted  # type: ignore[method-assign]
        return lambda _: cache

    race = Race({"a": named("a"), "b": named("b")}, workload(*[ROOTS[0]] * 1000), clock=clock, interruptions=int)
    race.repeat()
    blocks = [order[0]] + [now for before, now in pairwise(order) if before != now]
    assert len(blocks) > 8
    timed = order[2000:]  # after the warm-up
    assert {timed[start : start + 50].count("a") for start in range(0, len(timed), 50)} == {0, 50}
    firsts = {tuple(timed[start : start + 100 : 50]) for start in range(0, len(timed), 100)}
    assert firsts == {("a", "b"), ("b", "a")}


class Unlucky(Slow):
    """Has the core taken away for a second, once in so many sets."""

    every = 100

    def _sleep(self, what: str) -> None:
        super()._sleep(what)
        if len(self.diary) % self.every == 0:
            self.clock.now += 1_000_000_000
            self.clock.interruptions += 1


def test_operations_in_which_the_core_was_taken_away_are_left_out() -> None:
    """Of all caches alike, in passes with a clock and without: whom it happened to is chance."""
    clock = Clock()
    entrants = {"lucky": slow(clock, set_ns=1000), "unlucky": lambda _: Unlucky(clock, set_ns=1000)}
    found = run(entrants, clock, *[ROOTS[0]] * 1000)
    figures = found.figures["unlucky"]
    assert {name: found.ratios["unlucky"][name].median for name in ("time", "set", "pass")} == {
        "time": 1.0,
        "set": 1.0,
        "pass": 1.0,
    }
    assert figures.latencies["set"].max_us == 1.0
    assert figures.own_us.median == 1.0
    assert figures.operations_per_s.median == pytest.approx(1e6)


def test_where_nothing_was_undisturbed_everything_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing else to go by."""
    monkeypatch.setattr(Unlucky, "every", 50)
    clock = Clock()
    entrants = {"lucky": slow(clock, set_ns=1000), "unlucky": lambda _: Unlucky(clock, set_ns=1000)}
    ratios = run(entrants, clock, *[ROOTS[0]] * 1000).ratios["unlucky"]
    assert ratios["time"].median == ratios["pass"].median == pytest.approx(20_001)


def test_a_kind_of_operation_is_never_left_out_whole() -> None:
    """Rather than without one, all are counted."""
    clock = Clock()

    class Interrupted(Slow):
        def get(self, pool: PoolId, key: int) -> Any:
            self.clock.interruptions += 1
            return super().get(pool, key)

    found = run(
        {"one": slow(clock, set_ns=10), "other": lambda _: Interrupted(clock, set_ns=10, get_ns=7)},
        clock,
        *[ROOTS[0]] * 100,
        ROOTS[2],
    )
    assert found.figures["other"].latencies["get"].max_us == 0.007


def test_every_repeat_begins_with_new_caches() -> None:
    """Warm, but empty: each pass does the same work."""
    clock = Clock()
    made: list[Slow] = []

    def build(_: CacheSpec) -> Cache:
        made.append(Slow(clock))
        return made[-1]

    race = Race({"a": build}, workload(*ROOTS), clock=clock, interruptions=int)
    race.repeat()
    race.repeat()
    assert len(made) == 2
    assert [each.diary for each in made] == [["set", "set", "get"] * 3] * 2


def test_none_is_always_built_first() -> None:
    """What is built first may have the better place in memory."""
    built: list[str] = []

    def named(name: str) -> Callable[[CacheSpec], Cache]:
        def build(_: CacheSpec) -> Cache:
            built.append(name)
            return CorrectCache()

        return build

    entrants = {name: named(name) for name in "abc"}
    race = Race(entrants, workload(*ROOTS), clock=int, interruptions=int)
    for _ in range(3):
        race.repeat()
    assert sorted("".join(built[start : start + 3]) for start in (0, 3, 6)) == ["abc", "bca", "cab"]


def test_conditions_are_as_before_afterwards() -> None:
    """Threads, core, garbage collection and gradients."""
    core_of = getattr(os, "sched_getaffinity", lambda _: None)
    before = torch.get_num_threads(), core_of(0), gc.isenabled(), torch.is_grad_enabled()
    with pinned() as core:
        assert (torch.get_num_threads(), gc.isenabled(), torch.is_grad_enabled()) == (1, False, False)
        assert core is None or core_of(0) == {core}
    assert (torch.get_num_threads(), core_of(0), gc.isenabled(), torch.is_grad_enabled()) == before


def test_where_no_core_can_be_had_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """On systems that know no affinity."""
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    with pinned() as core:
        assert core is None
