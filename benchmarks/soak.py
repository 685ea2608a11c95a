"""Endurance: scenarios for a long time. Does memory grow, do operations slow down?

    python benchmarks/soak.py [--hours 1] [--operations 10000000] [--candidate NAME] [--alone] [--keep] [SCENARIO ...]

Each scenario runs in a process of its own, through the shadow (both caches and the comparison) or, with --alone,
through the candidate only, for so many operations or its share of the hours. Over the second half of a run, when pools
and books are full, it tells with 95 % intervals: how many bytes Python's own allocations (tracemalloc, after a garbage
collection) and the process grow in 1,000 sets, and by how many nanoseconds of processor time an operation takes longer
after 1,000 more. Processor time, because a run of hours seldom has a machine to itself.

What the scenario and this script hold is not counted: the same operations once more, to no cache, tell how much it is.

With `--keep` the figures go to benchmarks/records/soak.json, from which benchmarks/reliability.py takes its rows.

A leak is what grows by more than 0.5 KiB in 1,000 sets, with its whole interval. Exit status: 1 where there is one,
3 where an interval is too wide to tell, which a longer run makes narrower.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys
import time
import tracemalloc
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from records import keep

from harness.evidence.memory import Resident
from harness.loading import SCENARIOS, build_cache, installed, load_scenario
from harness.operations import Set
from harness.replay import Comparison, Driver
from harness.verdict.growth import growth_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.caches import Cache, CacheSpec
    from harness.operations import Operation, PoolId
    from harness.verdict.growth import Growth

LEAK_BYTES = 512.0  # in 1,000 sets
POINTS = 512
LEAK, STEADY, UNKNOWN = "LEAK", "steady", "too short to tell"


@dataclass(slots=True, kw_only=True)
class Soaked:
    """What was seen of one run, at up to `POINTS` moments.

    Attributes:
        operations: done by then; `sets` of them.
        traced: bytes that Python has allocated; `resident` those of the process, None where nobody can tell.
        pace_ns: of processor time for an operation, since the moment before.
        elapsed_s: in all.
    """

    operations: list[int] = field(default_factory=list)
    sets: list[int] = field(default_factory=list)
    traced: list[int | None] = field(default_factory=list)
    resident: list[int | None] = field(default_factory=list)
    pace_ns: list[int | None] = field(default_factory=list)
    elapsed_s: float = 0.0

    def less(self, other: Soaked) -> Soaked:
        """The same without what Python had allocated in another run of the same operations."""
        both = zip(self.traced, other.traced, strict=True)
        traced = [None if mine is None or its is None else mine - its for mine, its in both]
        return replace(self, traced=traced)

    @property
    def leak(self) -> Growth | None:
        """Bytes that Python allocates and does not give back, in 1,000 sets."""
        return growth_of(self.sets, self.traced)

    @property
    def process_growth(self) -> Growth | None:
        """Bytes by which the process grows in 1,000 sets, whoever holds them."""
        return growth_of(self.sets, self.resident)

    @property
    def drift(self) -> Growth | None:
        """Nanoseconds by which an operation takes longer after 1,000 more."""
        return growth_of(self.operations, self.pace_ns)

    @property
    def verdict(self) -> str:
        """`LEAK`, `steady` or `too short to tell`."""
        leak = self.leak
        if leak is None or leak.low <= LEAK_BYTES < leak.high:
            return UNKNOWN
        return LEAK if leak.low > LEAK_BYTES else STEADY


class Nothing:
    """A cache that holds nothing, not even for a moment."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Nothing is kept."""

    def get(self, pool: PoolId, key: int) -> None:
        """A miss."""

    def checkout(self, env: int, key: int) -> None:
        """A miss."""

    def clear(self, pool: PoolId) -> None:
        """Nothing was there."""


def soak(cache: Cache, operations: Iterable[Operation], *, every: int, seconds: float = float("inf")) -> Soaked:
    """Drive `cache`, and look at it after each `every` operations, until they or the seconds are over."""
    seen = Soaked()
    driver, sets, resident = Driver(cache), 0, Resident()
    gc.collect()
    gc.freeze()  # what is there already is looked through no more
    tracemalloc.start()
    began, last = time.perf_counter(), time.process_time_ns()
    try:
        for done, operation in enumerate(operations, start=1):
            driver.apply(operation)
            sets += isinstance(operation, Set)
            if done % every:
                continue
            seen.pace_ns.append((time.process_time_ns() - last) // every)
            seen.operations.append(done)
            seen.sets.append(sets)
            gc.collect()
            seen.traced.append(tracemalloc.get_traced_memory()[0])
            seen.resident.append(resident())
            if time.perf_counter() - began > seconds:
                break
            last = time.process_time_ns()
    finally:
        tracemalloc.stop()
        gc.unfreeze()
    seen.elapsed_s = time.perf_counter() - began
    return seen


def run(name: str, options: argparse.Namespace, seconds: float) -> Soaked:
    """One scenario, in this process."""
    torch.set_num_threads(1)
    scenario = load_scenario(name)
    spec: CacheSpec = scenario.spec
    if options.alone:
        cache = build_cache(options.candidate, spec)
    else:
        cache = Comparison(options.reference, options.candidate).shadow(spec)
    every = max(1, min(options.operations // POINTS, 2_000))
    seen = soak(cache, islice(scenario.operations(options.seed), options.operations), every=every, seconds=seconds)
    done = every * len(seen.operations)
    return seen.less(soak(Nothing(), islice(scenario.operations(options.seed), done), every=every))


def told(name: str, seen: Soaked) -> str:
    """One line for people."""
    parts = [f"{name}: {seen.operations[-1] if seen.operations else 0:,} operations in {seen.elapsed_s:.0f} s"]
    for title, growth, unit in (
        ("Python", seen.leak, "B/1,000 sets"),
        ("process", seen.process_growth, "B/1,000 sets"),
        ("pace", seen.drift, "ns/1,000 operations"),
    ):
        interval = "-" if growth is None else f"{growth.slope:+,.2f} ({growth.low:+,.2f} to {growth.high:+,.2f}) {unit}"
        parts.append(f"{title} {interval}")
    return "; ".join(parts) + f": {seen.verdict}"


def figures(seen: Soaked) -> dict[str, Any]:
    """What is kept of a run."""
    growths = {"python": seen.leak, "process": seen.process_growth, "pace": seen.drift}
    return {
        "operations": seen.operations[-1] if seen.operations else 0,
        "seconds": round(seen.elapsed_s),
        **{name: None if growth is None else asdict(growth) for name, growth in growths.items()},
        "verdict": seen.verdict,
    }


def main() -> int:
    """Soak and print; see above for the exit status."""
    parser = argparse.ArgumentParser(description="Does memory grow, do operations slow down?")
    parser.add_argument("scenario", nargs="*", help="all without a name")
    parser.add_argument("--hours", type=float, default=1.0, help="for all of them together (default 1)")
    parser.add_argument("--operations", type=int, default=10_000_000, help="of each at most (default 10,000,000)")
    parser.add_argument("--reference", default="legacy-evicting")
    parser.add_argument("--candidate", default="refactored-fifo")
    parser.add_argument("--alone", action="store_true", help="the candidate without a shadow")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="in benchmarks/records/soak.json")
    options = parser.parse_args()
    names = options.scenario or list(installed(SCENARIOS))
    verdicts = []
    for name in names:
        # A process of its own: what an earlier scenario left behind is not this one's.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seen = pool.apply(run, (name, options, 3600 * options.hours / len(names)))
        print(told(name, seen), flush=True)
        if options.keep:
            keep("soak", {name: figures(seen)})
        verdicts.append(seen.verdict)
    return 1 if LEAK in verdicts else 3 if UNKNOWN in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
