"""What bounds a large pool: the unavoidable work of a set and of a get, done without any pool.

Each piece of work is done among 100 entries of 8 KB and among 100,000, in turns: a copy into the next row, as FIFO
does; a copy into a random row, as eviction by priority does; reading where an entry has its tensors and sizes; a heap
of priorities whose smallest element is replaced. The entries of a large pool do not fit into the processor's caches.

Example:
    python benchmarks/lines/limits.py
"""

from __future__ import annotations

import heapq
import random
import statistics
import time
from typing import TYPE_CHECKING

import torch

from kvparity.values.entry import KeysValues, read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FEW, MANY = 100, 100_000
_TIMES, _REPEATS = 4_000, 15


def us(work: Callable[[int], object], places: Sequence[int]) -> float:
    """Microseconds of `work` at one place."""
    began = time.thread_time()
    for place in places:
        work(place)
    return (time.thread_time() - began) / len(places) * 1e6


class Entries:
    """A number of entries, and the work that is done with them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._next = 0
        self._draw = random.Random(0)
        self._tensors = [torch.randn(1, 2, 8, 32) for _ in range(4)]
        self._rows = [torch.zeros(4, 1, 2, 8, 32) for _ in range(count)]
        self._values = [KeysValues.from_row(row, [4] * 4) for row in self._rows]
        self._heap = sorted((self._draw.random(), age, age) for age in range(count))

    def measure(self) -> dict[str, float]:
        """Microseconds of each piece of work."""
        in_order = [place % self._count for place in range(self._next, self._next + _TIMES)]
        self._next += _TIMES
        anywhere = [self._draw.randrange(self._count) for _ in range(_TIMES)]
        return {
            "copy, in order": us(self._copy, in_order),
            "copy, anywhere": us(self._copy, anywhere),
            "read, anywhere": us(lambda place: read(self._values[place]), anywhere),
            "heap": us(lambda place: heapq.heapreplace(self._heap, (self._draw.random(), place, place)), in_order),
        }

    def _copy(self, place: int) -> None:
        torch.stack(self._tensors, out=self._rows[place])


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    few, many = Entries(FEW), Entries(MANY)
    with torch.no_grad():
        pairs = [(few.measure(), many.measure()) for _ in range(_REPEATS)]
    for name in pairs[0][0]:
        under, over = (statistics.median(pair[side][name] for pair in pairs) for side in (0, 1))
        ratio = statistics.median(pair[1][name] / pair[0][name] for pair in pairs)
        print(f"{name}: {under:.2f} us among {FEW:,}, {over:.2f} us among {MANY:,}: {ratio:.2f}")


if __name__ == "__main__":
    main()
