"""`Estimate`: the median of repeated measurements, and an interval around it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A median, and an interval that contains the true median with a known probability.

    Attributes:
        median: of the measurements.
        low: lower end of the interval, one of the measurements.
        high: upper end of the interval, one of the measurements.
        confidence: the probability that the interval contains the true median. It is at least 0.95 with six repeats or
            more. With fewer the interval is their whole range, and this is less than 0.95; with one it is 0.
        repeats: number of measurements.
    """

    median: float
    low: float
    high: float
    confidence: float
    repeats: int


def estimate(samples: Sequence[float]) -> Estimate:
    """The order-statistic ("sign test") interval of the median. It assumes nothing about the samples' distribution.

    Each sample lies below the true median with probability 1/2, so the number of samples below it is binomial. The k-th
    smallest and the k-th largest sample enclose the median unless fewer than k samples lie on one side of it. This
    takes the greatest k with a probability of at least 95 %.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("an estimate needs at least one sample")
    ordered = sorted(samples)
    count = len(ordered)
    missed = [2 * sum(comb(count, below) for below in range(k)) / 2**count for k in range(1, count // 2 + 1)]
    k = max(1, sum(probability <= 1 - CONFIDENCE for probability in missed))
    return Estimate(
        median=statistics.median(ordered),
        low=ordered[k - 1],
        high=ordered[-k],
        confidence=1 - missed[k - 1] if missed else 0.0,
        repeats=count,
    )
