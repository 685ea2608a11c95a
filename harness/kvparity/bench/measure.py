"""One workload done by several caches: first untimed, for what can be counted, then timed in turns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING

from kvparity.bench.conditions import interruptions, pinned, tidied
from kvparity.bench.counts import Counting, Counts, evictions
from kvparity.bench.estimate import Estimate, estimate
from kvparity.bench.memory import Booking, Ledger, Memory, traced
from kvparity.bench.result import OVERALL, Figures, Latency, Run
from kvparity.bench.timing import CYCLE, Race
from kvparity.caches.exceptions import Raised, attempt
from kvparity.driving.driver import Driver
from kvparity.operations import ALL, Write, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kvparity.bench.timing import Build, Clock, Repeat
    from kvparity.bench.workload import Workload
    from kvparity.caches.protocol import Cache


@dataclass(frozen=True, slots=True, kw_only=True)
class _Untimed:
    """What was measured without a clock, and is the same on every machine."""

    counts: Counts
    memory: Memory


class _CacheFailedError(Exception):
    """A cache raised. The message says what it raised, and in which operation."""


@tidied()
def measure(
    workload: Workload,
    entrants: Mapping[str, Build],
    *,
    reference: str,
    repeats: int,
    clock: Clock = perf_counter_ns,
    interruptions: Clock = interruptions,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Run, bool]:
    """Drive every cache with the workload.

    Args:
        workload: the operations.
        entrants: what builds each cache, by name.
        reference: the name of the cache that the others are compared with.
        repeats: how often everything is timed.
        clock: returns nanoseconds.
        interruptions: returns how often the system has taken the core away. Operations in which it did are left out.
        progress: called with the number of finished repeats.

    Returns:
        The run, and whether an interrupt ended it early, with fewer repeats.

    Raises:
        KeyboardInterrupt: an interrupt came before the first repeat was finished.
    """
    outcomes = {name: _untimed(build, workload) for name, build in entrants.items()}
    untimed = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, _Untimed)}
    failures = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, str)}
    race = Race({name: entrants[name] for name in untimed}, workload, clock=clock, interruptions=interruptions)
    interrupted = _timed(race, repeats, progress)
    failures |= {name: f"{what} while it was timed" for name, what in race.failures.items()}
    times = {name: taken for name, taken in race.repeats.items() if name not in failures}
    return replace(
        unmeasured(workload),
        figures={name: _figures(taken, untimed[name], workload) for name, taken in times.items()},
        ratios={
            name: _ratios(taken, times[reference]) | _exact_ratios(untimed[name], untimed[reference])
            for name, taken in times.items()
            if name != reference and reference in times
        },
        failures=failures,
    ), interrupted


def unmeasured(workload: Workload) -> Run:
    """A run without any measurements."""
    return Run(
        workload=workload.name,
        specs=tuple(workload.specs.values()),
        operations=dict(Counter(type(operation).__name__.lower() for _, operation in workload.operations)),
        offered=workload.offered,
        values=workload.values,
        figures={},
        ratios={},
        failures={},
    )


def _timed(race: Race, repeats: int, progress: Callable[[int], None]) -> bool:
    """Run the repeats. Returns whether an interrupt ended them early."""
    done = 0
    try:
        with pinned():
            for done in range(1, repeats + 1):
                race.repeat()
                progress(done)
    except KeyboardInterrupt:
        if done < 2:  # noqa: PLR2004  the first repeat was not finished
            raise
        return True
    return False


def _untimed(build: Build, workload: Workload) -> _Untimed | str:
    """Count what one cache does. Returns what it raised, if it raised."""
    untimed = attempt(lambda: _Untimed(counts=_counts(build, workload), memory=_memory(build, workload)))
    if isinstance(untimed, Raised):
        return str(untimed.error if isinstance(untimed.error, _CacheFailedError) else untimed)
    return untimed


def _counts(build: Build, workload: Workload) -> Counts:
    counting: dict[int, Counting] = {}
    caches: dict[int, Cache] = {}

    def counted(stream: int) -> Cache:
        caches[stream] = build(workload.specs[stream])
        counting[stream] = Counting(caches[stream])
        return counting[stream]

    _drive({stream: counted(stream) for stream in workload.specs}, workload)
    dropped = [evictions(cache, workload.specs[stream]) for stream, cache in caches.items()]
    known = [number for number in dropped if number is not None]
    return Counts(
        lookups=sum(each.lookups for each in counting.values()),
        hits=sum(each.hits for each in counting.values()),
        evictions=sum(known) if len(known) == len(dropped) else None,
        bytes_moved=sum(each.bytes_moved for each in counting.values()),
    )


def _memory(build: Build, workload: Workload) -> Memory:
    with traced() as held:
        caches: dict[int, Cache] = {stream: build(spec) for stream, spec in workload.specs.items()}
        _drive(caches, workload)
        python_bytes = held()
    ledger = Ledger()
    caches = {stream: Booking(partial(build, spec), ledger) for stream, spec in workload.specs.items()}
    _drive(caches, workload)
    first, filled_bytes = ledger.allocations, ledger.live_bytes
    for cache in caches.values():
        cache.clear(ALL)
    _drive(caches, workload)
    return Memory(
        peak_bytes=ledger.peak_bytes,
        steady_bytes=ledger.live_bytes,
        growth_bytes=ledger.live_bytes - filled_bytes,
        python_bytes=python_bytes,
        allocations=ledger.allocations - first,
    )


def _drive(caches: Mapping[int, Cache], workload: Workload) -> None:
    """One untimed pass.

    Raises:
        _CacheFailedError: a cache raised, or lent something that cannot be written into.
    """
    drivers = {stream: Driver(cache) for stream, cache in caches.items()}
    for number, (stream, operation) in enumerate(workload.operations):
        done = attempt(drivers[stream].apply, operation)
        if isinstance(done, Raised):
            raise _CacheFailedError(f"{done} at operation {number:,}: {describe(operation)}") from done.error


def _figures(repeats: Sequence[Repeat], untimed: _Untimed, workload: Workload) -> Figures:
    operations = len(workload.operations)
    own = sum(type(operation) is not Write for _, operation in workload.operations)
    return Figures(
        operations_per_s=estimate([operations / (repeat.pass_ns or 1) * 1e9 for repeat in repeats]),
        own_us=estimate([repeat.own_ns / max(own, 1) / 1e3 for repeat in repeats]),
        latencies={kind: _latency(repeats, kind) for kind in repeats[0].kinds},
        counts=untimed.counts,
        memory=untimed.memory,
    )


def _latency(repeats: Sequence[Repeat], kind: str) -> Latency:
    each = [repeat.kinds[kind] for repeat in repeats]
    return Latency(
        p50_us=estimate([one.p50 / 1e3 for one in each]),
        p90_us=estimate([one.p90 / 1e3 for one in each]),
        p99_us=estimate([one.p99 / 1e3 for one in each]),
        max_us=max(one.max for one in each) / 1e3,
    )


def _ratios(candidate: Sequence[Repeat], reference: Sequence[Repeat]) -> dict[str, Estimate]:
    """Ratios of times in the same repeat; for single operations, of their medians.

    A measure is left out if the reference takes no time for it.
    """
    times: dict[str, Callable[[Repeat], float]] = {OVERALL: lambda repeat: repeat.own_ns}
    for kind in (CYCLE, "checkout", "set", "get"):
        if kind in reference[0].kinds:
            times[kind] = lambda repeat, kind=kind: repeat.kinds[kind].p50  # type: ignore[misc]
    times["pass"] = lambda repeat: repeat.pass_ns
    pairs = {
        name: [(time(tested), time(trusted)) for tested, trusted in zip(candidate, reference, strict=False)]
        for name, time in times.items()
    }
    return {
        name: estimate([tested / trusted for tested, trusted in taken])
        for name, taken in pairs.items()
        if all(trusted > 0 for _, trusted in taken)
    }


def _exact_ratios(candidate: _Untimed, reference: _Untimed) -> dict[str, Estimate]:
    """Ratios of what is the same in every repeat."""
    pairs = {
        "peak memory": (candidate.memory.peak_bytes, reference.memory.peak_bytes),
        "steady memory": (candidate.memory.steady_bytes, reference.memory.steady_bytes),
        "bytes moved": (candidate.counts.bytes_moved, reference.counts.bytes_moved),
    }
    return {name: estimate([tested / trusted]) for name, (tested, trusted) in pairs.items() if trusted}
