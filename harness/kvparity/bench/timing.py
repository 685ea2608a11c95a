"""Timing several caches with the same operations, in turns of about a millisecond.

A machine is slower at some times than at others. So no cache does a whole pass while the others wait. Each does the
next `_TURN` operations, then the next cache does the same ones, and the order changes from turn to turn. Whatever slows
the machine slows all caches alike, and their ratios stay the same. If the system takes the core away within a turn,
only one cache would suffer, so these operations are left out for all caches.
"""

from __future__ import annotations

import gc
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from kvparity.caches.exceptions import Raised, attempt
from kvparity.driving.driver import Driver
from kvparity.operations import ALL, RECUR, Checkout, Clear, Get, Set, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from kvparity.bench.workload import Streamed, Workload
    from kvparity.caches.protocol import Cache, CacheSpec
    from kvparity.operations import Operation, PoolId

    Clock: TypeAlias = Callable[[], int]
    Build: TypeAlias = Callable[[CacheSpec], Cache]
    Laps: TypeAlias = NDArray[np.int64]

    Caches: TypeAlias = dict[int, Cache]

_T = TypeVar("_T")

_TURN = 50  # operations: about a millisecond, so that most turns are not interrupted
_ENOUGH = 1 / 8  # if a smaller share of the operations was not interrupted, all operations count
_WARM_UP = 4_000  # operations: enough to fill every slot of the bundled workloads once
_CALIBRATION = 10_001
CYCLE = "cycle"
KINDS = {"set": Set, "get": Get, "checkout": Checkout, "clear": Clear}


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """How long the operations of one kind took in one pass: percentiles, in nanoseconds."""

    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """The time that one cache took in one repeat.

    Attributes:
        pass_ns: of the pass without a clock between operations. It includes the driver's work: filling the producer,
            writing into working copies.
        own_ns: of all calls of the cache together.
        kinds: of each kind of operation, and of a `cycle`.
    """

    pass_ns: int
    own_ns: int
    kinds: dict[str, Distribution]


class Turn(NamedTuple):
    """A few operations of one cache: the times that were taken, and how often the core was taken away meanwhile."""

    laps: list[int]
    interruptions: int


class Clocked:
    """A cache that passes all calls on to another one, and times each. The driver's work is not timed.

    Args:
        cache: the other one.
        clock: returns nanoseconds.
        laps: the duration of each call is appended to it.
    """

    def __init__(self, cache: Cache, clock: Clock, laps: list[int]) -> None:
        self._cache = cache
        self._clock = clock
        self._lap = laps.append

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Call the other cache, and time that."""
        clock, store = self._clock, self._cache.set
        begin = clock()
        store(pool, key, value, priority=priority)
        self._lap(clock() - begin)

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Call the other cache, and time that."""
        clock, look_up = self._clock, self._cache.get
        begin = clock()
        found = look_up(pool, key)
        self._lap(clock() - begin)
        return found

    def checkout(self, env: int, key: int) -> Any | None:
        """Call the other cache, and time that."""
        clock, look_up = self._clock, self._cache.checkout
        begin = clock()
        found = look_up(env, key)
        self._lap(clock() - begin)
        return found

    def clear(self, pool: PoolId) -> None:
        """Call the other cache, and time that."""
        clock, forget = self._clock, self._cache.clear
        begin = clock()
        forget(pool)
        self._lap(clock() - begin)


class Race:
    """Caches that are timed together, repeat by repeat. One that raises leaves the race.

    Args:
        entrants: what builds each cache, by name.
        workload: the operations.
        clock: returns nanoseconds.
        interruptions: returns how often the system has taken the core away.

    Attributes:
        repeats: by cache, the times of each repeat so far.
        failures: by cache that left the race, what it raised.
    """

    def __init__(
        self, entrants: Mapping[str, Build], workload: Workload, *, clock: Clock, interruptions: Clock
    ) -> None:
        self.repeats: dict[str, list[Repeat]] = {name: [] for name in entrants}
        self.failures: dict[str, str] = {}
        self._entrants = dict(entrants)
        self._workload = workload
        self._clock = clock
        self._interruptions = interruptions
        self._kinds = _Kinds(workload.operations)
        self._begun = self._turn = 0

    def repeat(self) -> None:
        """Build every cache anew, warm it up, and drive it twice: without a clock between operations, and with one."""
        gc.collect()
        self._begun += 1
        self._turn = self._begun  # another cache is built first each time, because that decides where it lies in memory
        cost = _cost_of(self._clock)
        runs = {name: _warm(build, self._workload) for name, build in self._entrants.items()}
        caches = {name: built for name, [built] in self._in_turns(runs).items()}
        clocks = (self._clock, self._interruptions)
        passes = self._in_turns({name: _pass(caches[name], self._workload, *clocks) for name in caches})
        clocked = self._in_turns({name: _clocked_pass(caches[name], self._workload, *clocks) for name in passes})
        if not clocked:
            return
        calm = _calm([passes[name] for name in clocked])
        calm_clocked = self._kinds.enough_of(_calm(list(clocked.values())))
        for name, turns in clocked.items():
            pass_ns = self._kinds.whole_pass([turn.laps[0] for turn in passes[name]], calm)
            laps = np.array([lap for turn in turns for lap in turn.laps], dtype=np.int64)
            self.repeats[name].append(self._kinds.repeat(pass_ns, np.maximum(laps - cost, 0), calm_clocked))

    def _in_turns(self, runs: dict[str, Iterator[_T]]) -> dict[str, list[_T]]:
        """Do all runs to their ends, one step of each in turn.

        Returns:
            What the steps of each run yielded. A run that raised is not in it.
        """
        steps: dict[str, list[_T]] = {name: [] for name in runs}
        going = list(runs)
        while going:
            self._turn += 1
            first = self._turn % len(going)
            for name in going[first:] + going[:first]:
                if not self._step(name, runs[name], steps[name]):
                    going.remove(name)
        return {name: steps[name] for name in steps if name in self._entrants}

    def _step(self, name: str, run: Iterator[_T], steps: list[_T]) -> bool:
        """Do one step of a run. Returns whether there may be another."""
        step = attempt(next, run, None)
        if isinstance(step, Raised):  # a cache that raises ends its own race only
            self.failures[name] = str(step)
            del self._entrants[name]
        elif step is not None:
            steps.append(step)
            return True
        return False


def _warm(build: Build, workload: Workload) -> Iterator[Caches]:
    """Build caches, warm them up with the first operations, clear them, and yield them."""
    caches = {stream: build(spec) for stream, spec in workload.specs.items()}
    for apply, operation in _work(caches, workload)[:_WARM_UP]:
        apply(operation)
    _clear(caches)
    yield caches


def _pass(caches: Caches, workload: Workload, clock: Clock, interruptions: Clock) -> Iterator[Turn]:
    """Yield turns with one lap each, then clear the caches."""
    work = _work(caches, workload)
    for start in range(0, len(work), _TURN):
        turn = work[start : start + _TURN]
        before = interruptions()
        begin = clock()
        for apply, operation in turn:
            apply(operation)
        taken = clock() - begin
        yield Turn([taken], interruptions() - before)
    _clear(caches)


def _clocked_pass(caches: Caches, workload: Workload, clock: Clock, interruptions: Clock) -> Iterator[Turn]:
    """Yield turns with a lap for each operation."""
    laps: list[int] = []
    work = _work({stream: Clocked(cache, clock, laps) for stream, cache in caches.items()}, workload)
    for start in range(0, len(work), _TURN):
        before = interruptions()
        for apply, operation in work[start : start + _TURN]:
            if type(operation) is Write:  # the driver does it; no cache is called
                begin = clock()
                apply(operation)
                laps.append(clock() - begin)
            else:
                apply(operation)
        yield Turn(laps.copy(), interruptions() - before)
        laps.clear()


def _calm(turns: list[list[Turn]]) -> list[bool]:
    """For each turn, whether no cache was interrupted in it."""
    return [not any(turn.interruptions for turn in together) for together in zip(*turns, strict=True)]


def _work(caches: Mapping[int, Cache], workload: Workload) -> list[tuple[Callable[[Operation], object], Operation]]:
    """The function to call for each operation."""
    applies = {stream: Driver(cache).apply for stream, cache in caches.items()}
    return [(applies[stream], operation) for stream, operation in workload.operations]


def _clear(caches: Caches) -> None:
    for cache in caches.values():
        cache.clear(ALL)


def _cost_of(clock: Clock) -> float:
    """The time that reading the clock adds to every lap, in nanoseconds."""
    laps = []
    for _ in range(_CALIBRATION):
        begin = clock()
        laps.append(clock() - begin)
    return statistics.median(laps)


class _Kinds:
    """Which laps belong to which kind of operation, and which belong to the same simulation of a search.

    A cycle is what one simulation needs from a cache for one environment: a working copy, writes into it, and storing
    the new node. Environments search together: first come all their checkouts, then all writes, then all sets. The time
    of such an uninterrupted sequence is divided by the number of its checkouts.
    """

    def __init__(self, operations: Sequence[Streamed]) -> None:
        kinds = np.array([type(operation).__name__ for _, operation in operations])
        self._own = kinds != Write.__name__
        self._of = {name: kinds == kind.__name__ for name, kind in KINDS.items()}
        self._cycle, self._lanes = _cycles(operations)

    def enough_of(self, calm: list[bool]) -> NDArray[np.bool_]:
        """The operations of turns without interruption; all, if these are too few or lack a kind of operation."""
        those = self._of_turns(calm)
        kinds = [self._own & those, *(of & those for of in self._of.values() if of.any())]
        lacks = not all([kind.any() for kind in kinds]) or (len(self._lanes) and not self._whole(those).any())
        return np.ones_like(those) if lacks or those.mean() < _ENOUGH else those

    def whole_pass(self, turns_ns: list[int], calm: list[bool]) -> int:
        """The time of a pass in nanoseconds, estimated from its turns without interruption."""
        those = self._of_turns(calm)
        if those.mean() < _ENOUGH:
            return sum(turns_ns)
        return round(sum(ns for ns, is_calm in zip(turns_ns, calm, strict=True) if is_calm) / float(those.mean()))

    def repeat(self, pass_ns: int, laps: Laps, those: NDArray[np.bool_]) -> Repeat:
        """The times of one repeat, from its first pass and from the laps of `those` operations of the second."""
        kinds = {name: _distribution(laps[of & those]) for name, of in self._of.items() if of.any()}
        if len(self._lanes):
            within = self._cycle >= 0
            cycles = np.bincount(self._cycle[within], weights=laps[within]) / self._lanes
            kinds[CYCLE] = _distribution(cycles[self._whole(those)])
        own = self._own & those
        return Repeat(
            pass_ns=pass_ns, own_ns=round(float(laps[own].mean() * self._own.sum())) if own.any() else 0, kinds=kinds
        )

    def _of_turns(self, turns: list[bool]) -> NDArray[np.bool_]:
        those: NDArray[np.bool_] = np.repeat(turns, _TURN)[: len(self._own)]
        return those

    def _whole(self, those: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The cycles of which all operations are among `those`."""
        within = self._cycle >= 0
        left_out = np.bincount(self._cycle[within], weights=~those[within], minlength=len(self._lanes))
        whole: NDArray[np.bool_] = left_out == 0
        return whole


def _distribution(laps: NDArray[Any]) -> Distribution:
    p50, p90, p99 = np.percentile(laps, (50, 90, 99))
    return Distribution(p50=float(p50), p90=float(p90), p99=float(p99), max=float(laps.max()))


def _cycles(operations: Sequence[Streamed]) -> tuple[NDArray[Any], NDArray[Any]]:
    """For each operation the number of its cycle, or -1; and for each cycle the number of its checkouts."""
    cycle_of = np.full(len(operations), -1)
    lanes: list[int] = []
    under_way: list[int] = []
    checkouts, stored = 0, False
    for number, (stream, operation) in enumerate([*operations, (-1, None)]):
        continues = bool(under_way) and stream == operations[under_way[0]][0]
        match operation:
            case Checkout() | Write():
                continues = continues and not stored
            case Set(pool=pool):
                continues = continues and pool == RECUR
            case _:
                continues = False
        if not continues:
            if stored:
                cycle_of[under_way] = len(lanes)
                lanes.append(checkouts)
            under_way, checkouts, stored = [], 0, False
        if continues or isinstance(operation, Checkout):
            under_way.append(number)
            checkouts += isinstance(operation, Checkout)
            stored = isinstance(operation, Set)
    return cycle_of, np.array(lanes)
