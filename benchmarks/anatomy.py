"""Where the time of a shadowed search goes: microseconds of each part of one step.

A step is one checkout and one set, with the consumer's writes between them, as in `benchmarks/lines/searching.py`.
Each part is timed in place, in processor time, so it finds in the processor's caches what it finds in a real run. The
cost of reading the clock is subtracted. Disturbances only ever add time, so each figure is the lower quartile of the
repeats. "the rest" is the remainder of the shadow's two calls: the oracle, the judge's quick check, the lock, the
counters, and the clock's own effect.

Example:
    python benchmarks/anatomy.py --repeats 40 --markdown
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.table import Table

import kvparity.shadow.mirror
from lines.entries import GEOMETRIES, Producer
from lines.measuring import US
from lines.searching import STEPS, cycles, legacy
from lines.shadowing import shadowed

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.shadow.mirror import ShadowCache

ALONE, WHOLE, REST = "the search on the original alone", "the search in shadow", "the rest"
PARTS = (
    "original: checkout", "original: set", "candidate: checkout", "candidate: set", "copy made for the candidate",
    "fingerprint of what is set", "fingerprint of the original's answer", "fingerprints of the candidate's answers",
    "writes into the candidate's working copy",
)  # fmt: skip


class Parts:
    """Times each part of a shadow's calls. `WHOLE` are the calls themselves, which contain all the other parts."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._clock_s = min(-time.thread_time() + time.thread_time() for _ in range(1000))

    def timed(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap `work` so that its time is added to `part`."""

        def watched(*arguments: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return work(*arguments, **options)
            finally:
                self.taken[part] += time.thread_time() - began - self._clock_s  # type: ignore[assignment]
                self.calls[part] += 1

        return watched

    def watch(self, shadow: ShadowCache) -> None:
        """Wrap every part of `shadow`."""
        places: tuple[tuple[str, Any, str], ...] = (
            (PARTS[0], shadow.reference.cache, "checkout"),
            (PARTS[1], shadow.reference.cache, "set"),
            (PARTS[2], shadow.candidate.cache, "checkout"),
            (PARTS[3], shadow.candidate.cache, "set"),
            (PARTS[4], shadow._producer, "take"),
            (PARTS[5], shadow._examination, "look_at_row"),
            (PARTS[6], shadow.reference, "look"),
            (PARTS[7], shadow.candidate, "look"),
            (PARTS[8], kvparity.shadow.mirror, "scribble"),
            (WHOLE, shadow, "checkout"),
            (WHOLE, shadow, "set"),
        )
        for part, owner, name in places:
            setattr(owner, name, self.timed(part, getattr(owner, name)))

    def of_a_step(self) -> dict[str, float]:
        """Return the microseconds of each part per step, and start again from zero."""
        taken = {part: seconds / STEPS * US for part, seconds in self.taken.items()}
        taken[REST] = taken.pop(WHOLE) - sum(taken.values())
        self.taken.clear()
        return taken


def anatomy(entry: str, repeats: int) -> dict[str, float]:
    """Microseconds of a step: alone, in shadow, and each part of the latter."""
    producer, original, shadow, watched = Producer(entry), legacy(), shadowed(), shadowed()
    for cache in (original, shadow, watched):
        cycles(cache, producer)
    scribble, parts = kvparity.shadow.mirror.scribble, Parts()
    parts.watch(watched)
    seen: list[dict[str, float]] = []
    try:
        for _ in range(repeats):
            alone, whole = cycles(original, producer), cycles(shadow, producer)
            parts.taken.clear()
            cycles(watched, producer)
            seen.append({ALONE: alone, WHOLE: whole, **parts.of_a_step()})
    finally:
        kvparity.shadow.mirror.scribble = scribble
    return {part: statistics.quantiles([each[part] for each in seen], n=4)[0] for part in (ALONE, WHOLE, *PARTS, REST)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30, help="repeats of the measurement (default 30)")
    parser.add_argument("--markdown", action="store_true", help="print the table as in docs/performance.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        taken = {entry: anatomy(entry, options.repeats) for entry in GEOMETRIES}
    rows = [(part, *(f"{taken[entry][part]:.1f}" for entry in taken)) for part in (ALONE, WHOLE, *PARTS, REST)]
    if options.markdown:
        print(f"| us of a step | {' | '.join(taken)} |\n| --- |{' --: |' * len(taken)}")
        for row in rows:
            print(f"| {' | '.join(row)} |")
        return
    table = Table(title="microseconds of one step")
    table.add_column("part")
    for entry in taken:
        table.add_column(entry, justify="right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
