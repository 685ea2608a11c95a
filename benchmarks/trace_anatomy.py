"""Where the time of a replay and of a recording goes: microseconds of each part, in processor time.

For one operation of a simulated search: driving both caches in a bare loop; opening its trace; reading it; driving a
shadow of both from memory; replaying it. For one step of a search (a checkout, and a set of new bytes): in shadow; in
shadow and recorded, as far as the recorded thread pays; and what the writing thread does.

Example:
    python benchmarks/trace_anatomy.py --entry "98 KB"
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from kvparity.driving.comparison import Comparison
from kvparity.driving.driver import Driver
from kvparity.registry import build_cache
from kvparity.traces import writer as writing
from kvparity.traces.reader import Trace
from lines.entries import GEOMETRIES, SPEC, Producer
from lines.measuring import timed
from lines.recorded import CANDIDATE, REFERENCE, Pair, search, trace_of
from lines.searching import STEPS, cycles
from lines.shadowing import Recorded, shadowed

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPERATIONS = 4_000


def replay(entry: str, repeats: int) -> Iterator[tuple[str, float]]:
    """Each part of a replay, with its microseconds per operation."""
    with trace_of(search(entry), _OPERATIONS) as path:
        with Trace(path) as trace:
            operations = [recorded.operation for recorded in trace]

        def drive(cache: Any) -> None:
            driver = Driver(cache)
            for operation in operations:
                driver.apply(operation)

        def read() -> None:
            with Trace(path) as trace:
                for _ in trace:
                    pass

        def replayed() -> None:
            with Trace(path) as trace:
                Comparison(REFERENCE, CANDIDATE).trace(trace, workload=entry)

        for name, work in (
            ("bare loop", lambda: drive(Pair(build_cache(REFERENCE, SPEC), build_cache(CANDIDATE, SPEC)))),
            ("opening", lambda: Trace(path).close()),
            ("opening and reading", read),
            ("shadow, from memory", lambda: drive(Comparison(REFERENCE, CANDIDATE).shadow(SPEC))),
            ("replay", replayed),
        ):
            yield name, statistics.median(timed(work, len(operations)) for _ in range(repeats))


def record(entry: str, repeats: int) -> Iterator[tuple[str, float]]:
    """Each part of a recording, with its microseconds per step."""
    producer, shadow = Producer(entry, STEPS), shadowed()
    taken: list[tuple[float, float, float]] = []
    with TemporaryDirectory() as folder:
        for repeat in range(repeats):
            alone, items = cycles(shadow, producer), []
            writer = writing.TraceWriter(Path(folder) / f"{repeat}", served_by=REFERENCE)
            put = writer._put
            writer._put = items.append  # type: ignore[method-assign]  # nothing is written during the measurement
            recorded = cycles(Recorded(shadow, writer), producer)
            writer._put = put  # type: ignore[method-assign]
            writer.close()
            with closing(writing._connect(writer.path)) as database:
                store = writing.Store(database, writer._copies)
                began = time.thread_time()
                with database:
                    for item in items:
                        store.add(item)
                    store.finish_batch()
                taken.append((alone, recorded, (time.thread_time() - began) / STEPS * 1e6))
    names = ("shadowed step", "recorded step", "writing it")
    yield from zip(names, map(statistics.median, zip(*taken, strict=True)), strict=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entry", choices=list(GEOMETRIES), default="8 KB", help="size of the entries (default 8 KB)")
    parser.add_argument("--repeats", type=int, default=7, help="measurements of each part (default 7)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        for name, us in (*replay(options.entry, options.repeats), *record(options.entry, options.repeats)):
            print(f"{name:20} {us:6.1f} us")


if __name__ == "__main__":
    main()
