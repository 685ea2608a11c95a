"""`Growth`: how fast a number rises with the operations, and how sure of it one can be.

Neighbouring measurements of memory are alike: it goes up in steps, when an allocator fetches a page, and stays there.
Least squares over all points takes them for independent and is far too sure of itself. So the second half of a run is
cut into blocks, each block becomes its median, and the interval is Student's over the rises from block to block. It is
right where a series wanders at random, and too wide, never too narrow, where it swings about a line.
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
_STUDENT = 2.4469  # the 97.5 % quantile with 6 degrees of freedom: 7 rises, less their mean
_WALK = math.sqrt(1.5)  # in a random walk neighbouring rises between block middles correlate by 1/4
_FEWEST = 2 * _BLOCKS  # points: in a run, how many there are depends on how long it takes to look
_PER = 1_000  # operations


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """The rise of a number over the second half of a run.

    Attributes:
        slope: in 1,000 operations.
        low: lower end of its 95 % interval; `high` the upper one.
        total: from the first block to the last.
        operations: over which it was seen.
    """

    slope: float
    low: float
    high: float
    total: float
    operations: int


def growth_of(operations: Sequence[int], numbers: Sequence[int | None]) -> Growth | None:
    """Of numbers that were seen after so many operations each; None where too few are known.

    Args:
        operations: ascending.
        numbers: as many; None where it was not known.
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
