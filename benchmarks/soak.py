"""Endurance: run scenarios for hours. Does memory grow? Do operations become slower?

Each scenario runs in a process of its own, through the shadow (both caches and the comparison), or with `--alone`
through the candidate only. It runs for `--operations`, or for its share of `--hours`. The slopes are measured over the
second half of the run, when pools and bookkeeping are full, each with a 95 % interval: by how many bytes per 1,000 sets
the allocated memory (after a garbage collection) and the process grow, and by how many nanoseconds of processor time an
operation becomes slower per 1,000 operations. It is processor time because a run of hours rarely has a machine to
itself.

Allocated memory is what glibc's malloc has given out and not got back, to the byte: Python's objects, which
PYTHONMALLOC=malloc takes from there, and the memory of tensors, which Python does not know about. What the scenario
itself holds is measured by a second run without a cache, and subtracted. Needs Linux with glibc 2.33 or later.

It is a leak if the whole interval of allocated memory is above 512 bytes per 1,000 sets.

Exit status: 1 if there is a leak; 3 if an interval is too wide to tell, and then a longer run makes it narrower. With
`--keep` the figures go to benchmarks/records/soak.json, which benchmarks/reliability.py reads.

Example:
    python benchmarks/soak.py --hours 3 mcts revisit
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import multiprocessing
import os
import sys
import time
from array import array
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from kvparity.driving.comparison import Comparison
from kvparity.driving.driver import Driver
from kvparity.evidence.memory import Resident
from kvparity.operations import Set
from kvparity.registry import SCENARIOS, build_cache, installed, load_scenario
from kvparity.verdict.growth import growth_of
from records import keep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kvparity.caches.protocol import Cache, CacheSpec
    from kvparity.operations import Operation, PoolId
    from kvparity.verdict.growth import Growth

T = TypeVar("T")

LEAK_BYTES = 512.0  # per 1,000 sets
EVERY = 2_000  # operations between two measurements
LEAK, STEADY, UNKNOWN = "LEAK", "steady", "too short to tell"


_SAID = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class MallInfo2(ctypes.Structure):
    """The struct in which glibc's malloc reports its own counts."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _SAID)


mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
if mallinfo2:
    mallinfo2.restype = MallInfo2


def allocated_bytes() -> int | None:
    """Bytes that malloc has given out and not got back; None if malloc does not report them."""
    if mallinfo2 is None:
        return None
    said = mallinfo2()
    return int(said.uordblks + said.hblkhd)


def apart(function: Callable[..., T], *arguments: Any) -> T:
    """Call `function` in a process of its own, in which all of Python's objects come from malloc."""
    os.environ["PYTHONMALLOC"] = "malloc"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """What was measured in one run, at one moment after another.

    Attributes:
        operations: operations done by then.
        sets: sets among them.
        allocated: bytes that malloc had given out; None if it does not report them.
        resident: bytes of the process in RAM; None if the system does not report them.
        pace_ns: nanoseconds of processor time per operation since the moment before.
        elapsed_s: seconds of the whole run.
    """

    operations: Sequence[int]
    sets: Sequence[int]
    allocated: Sequence[int | None]
    resident: Sequence[int | None]
    pace_ns: Sequence[int]
    elapsed_s: float

    def less(self, other: Soaked) -> Soaked:
        """The same, without what was allocated in another run of the same operations."""
        both = zip(self.allocated, other.allocated, strict=True)
        allocated = [None if ours is None or theirs is None else ours - theirs for ours, theirs in both]
        return replace(self, allocated=allocated)

    @property
    def leak(self) -> Growth | None:
        """Bytes per 1,000 sets that are allocated and not given back."""
        return growth_of(self.sets, self.allocated)

    @property
    def process_growth(self) -> Growth | None:
        """Bytes per 1,000 sets by which the process grows."""
        return growth_of(self.sets, self.resident)

    @property
    def drift(self) -> Growth | None:
        """Nanoseconds by which an operation becomes slower per 1,000 operations."""
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
        """Store nothing."""

    def get(self, pool: PoolId, key: int) -> None:
        """Return a miss."""

    def checkout(self, env: int, key: int) -> None:
        """Return a miss."""

    def clear(self, pool: PoolId) -> None:
        """Do nothing."""


def soak(
    cache: Cache, operations: Iterable[Operation], *, count: int, every: int = EVERY, seconds: float = float("inf")
) -> Soaked:
    """Drive `cache` through the first `count` operations, or fewer if they or the seconds run out.

    Measures after every `every` operations. All memory for the measurements is allocated before the start: a list that
    grows would be found as a leak.
    """
    driver, resident, sets, points = Driver(cache), Resident(), 0, 0
    notes = {name: array("q", bytes(8 * (count // every))) for name in ("sets", "allocated", "resident", "pace_ns")}
    gc.collect()
    gc.freeze()  # collections need not look through what is there already
    began, last = time.perf_counter(), time.process_time_ns()
    try:
        for done, operation in enumerate(islice(operations, count), start=1):
            driver.apply(operation)
            sets += isinstance(operation, Set)
            if done % every:
                continue
            notes["pace_ns"][points] = (time.process_time_ns() - last) // every
            notes["sets"][points] = sets
            gc.collect()
            notes["allocated"][points] = _or_less(allocated_bytes())
            notes["resident"][points] = _or_less(resident())
            points += 1
            if time.perf_counter() - began > seconds:
                break
            last = time.process_time_ns()
    finally:
        gc.unfreeze()
    seen = {name: [_or_none(number) for number in numbers[:points]] for name, numbers in notes.items()}
    moments = range(every, every * (points + 1), every)
    return Soaked(operations=moments, elapsed_s=time.perf_counter() - began, **seen)  # type: ignore[arg-type]


def _or_less(number: int | None) -> int:
    return -1 if number is None else number


def _or_none(number: int) -> int | None:
    return None if number < 0 else number


def run(name: str, options: argparse.Namespace, seconds: float) -> Soaked:
    """Run one scenario in this process."""
    torch.set_num_threads(1)
    scenario = load_scenario(name)
    spec: CacheSpec = scenario.spec
    if options.alone:
        cache = build_cache(options.candidate, spec)
    else:
        cache = Comparison(options.reference, options.candidate).shadow(spec)
    seen = soak(cache, scenario.operations(options.seed), count=options.operations, seconds=seconds)
    return seen.less(soak(Nothing(), scenario.operations(options.seed), count=EVERY * len(seen.operations)))


def told(name: str, seen: Soaked) -> str:
    """One line that sums up a run."""
    parts = [f"{name}: {seen.operations[-1] if seen.operations else 0:,} operations in {seen.elapsed_s:.0f} s"]
    for title, growth, unit in (
        ("allocated", seen.leak, "B/1,000 sets"),
        ("process", seen.process_growth, "B/1,000 sets"),
        ("pace", seen.drift, "ns/1,000 operations"),
    ):
        interval = "-" if growth is None else f"{growth.slope:+,.2f} ({growth.low:+,.2f} to {growth.high:+,.2f}) {unit}"
        parts.append(f"{title} {interval}")
    return "; ".join(parts) + f": {seen.verdict}"


def figures(seen: Soaked) -> dict[str, Any]:
    """The figures of a run that are stored."""
    growths = {"allocated": seen.leak, "process": seen.process_growth, "pace": seen.drift}
    return {
        "operations": seen.operations[-1] if seen.operations else 0,
        "seconds": round(seen.elapsed_s),
        **{name: None if growth is None else asdict(growth) for name, growth in growths.items()},
        "verdict": seen.verdict,
    }


def main() -> int:
    """Soak and print. The module's docstring lists the exit statuses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", help="names of scenarios (default all)")
    parser.add_argument("--hours", type=float, default=3.0, help="hours for all scenarios together (default 3)")
    parser.add_argument(
        "--operations", type=int, default=10_000_000, help="operations per scenario, at most (default 10,000,000)"
    )
    parser.add_argument("--reference", default="legacy-evicting", metavar="NAME", help="(default %(default)s)")
    parser.add_argument("--candidate", default="refactored-fifo", metavar="NAME", help="(default %(default)s)")
    parser.add_argument("--alone", action="store_true", help="run the candidate only, without reference and comparison")
    parser.add_argument("--seed", type=int, default=0, help="seed of the scenarios (default 0)")
    parser.add_argument("--keep", action="store_true", help="write the figures to benchmarks/records/soak.json")
    options = parser.parse_args()
    if mallinfo2 is None:
        parser.error("this needs glibc 2.33 or later, whose malloc reports what it has given out")
    names = options.scenario or list(installed(SCENARIOS))
    verdicts = []
    for name in names:
        # A process of its own, so that memory left behind by an earlier scenario does not count.
        seen = apart(run, name, options, 3600 * options.hours / len(names))
        print(told(name, seen), flush=True)
        if options.keep:
            keep("soak", {name: figures(seen)})
        verdicts.append(seen.verdict)
    return 1 if LEAK in verdicts else 3 if UNKNOWN in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
