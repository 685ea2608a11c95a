"""`Growth`: how fast a number grows with the operations, with a confidence interval.

Memory grows in steps, when an allocator fetches a page. So measurements next to each other are alike, and least squares
over all points, which assumes that they are independent, gives far too narrow an interval. Instead the second half of a
run is cut into blocks, each block becomes its median, and the interval is Student's over the rises between blocks. It
is right for a random walk, and too wide, never too narrow, for a series that swings around a line.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_BLOCKS = 8
_STUDENT = 2.4469  # the 97.5 % quantile with 6 degrees of freedom: 7 rises less one for their mean
_WALK = math.sqrt(1.5)  # in a random walk, successive rises between the middles of blocks correlate by 1/4
_FEWEST = 2 * _BLOCKS  # points
_PER = 1_000  # operations


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """The growth of a number over the second half of a run.

    Attributes:
        slope: per 1,000 operations.
        low: lower end of the 95 % interval of the slope; `high` is the upper end.
        total: growth from the first block to the last.
        operations: the number of operations over which it was measured.
    """

    slope: float
    low: float
    high: float
    total: float
    operations: int


def growth_of(operations: Sequence[int], numbers: Sequence[int | None]) -> Growth | None:
    """The growth of `numbers`; None if too few are known.

    Args:
        operations: done before each measurement, ascending.
        numbers: the measurements, each None if unknown.
    """
    points = [
        (at, number)
        for at, number in zip(operations, numbers, strict=True)
        if number is not None and at > operations[-1] / 2
    ]
    if len(points) < _FEWEST:
        return None
    size = len(points) // _BLOCKS
    points = points[len(points) - size * _BLOCKS :]
    blocks = [points[start : start + size] for start in range(0, len(points), size)]
    middles = [
        (statistics.median(at for at, _ in block), statistics.median(number for _, number in block)) for block in blocks
    ]
    rises = [_PER * (after - before) / (later - at) for (at, before), (later, after) in pairwise(middles)]
    slope = statistics.fmean(rises)
    margin = _STUDENT * _WALK * statistics.stdev(rises) / math.sqrt(len(rises))
    return Growth(
        slope=slope,
        low=slope - margin,
        high=slope + margin,
        total=middles[-1][1] - middles[0][1],
        operations=points[-1][0] - points[0][0],
    )
