"""`Estimate`: the median of repeated measurements, and how sure of it one can be."""

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
    """A median, and an interval that holds the true one with a known probability.

    Attributes:
        median: of the repeats.
        low: lower end of the interval, one of the measurements.
        high: its upper end, likewise.
        confidence: with which probability the true median lies in it: at least 0.95 from six repeats on. Of fewer
            repeats the interval is their whole range, and this is smaller; 0 for a single one.
        repeats: how many measurements there were.
    """

    median: float
    low: float
    high: float
    confidence: float
    repeats: int


def estimate(samples: Sequence[float]) -> Estimate:
    """The order-statistic ("sign test") interval of the median, which assumes nothing of how the samples spread.

    Each sample lies below the true median with probability 1/2, so that how many do is binomial: the k-th smallest
    and the k-th largest enclose it unless fewer than k samples lie on one side. The greatest k that leaves 95 % is
    taken.

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
