"""Medians and how sure one can be of them."""

from __future__ import annotations

import random
from math import comb

import pytest

from kvparity.bench.estimate import estimate


@pytest.mark.parametrize(
    ("count", "low", "high", "confidence"),
    [
        (1, 1, 1, 0.0),
        (2, 1, 2, 0.5),
        (5, 1, 5, 0.9375),
        (6, 1, 6, 0.96875),
        (9, 2, 8, 1 - 20 / 512),
        (20, 6, 15, 1 - 2 * sum(comb(20, k) for k in range(6)) / 2**20),
    ],
)
def test_the_interval_is_that_of_the_tables(count: int, low: int, high: int, confidence: float) -> None:
    """The 6th and the 15th of 20 samples enclose the median with 95.9 %; fewer than six samples cannot reach 95 %."""
    samples = list(range(1, count + 1))
    random.Random(0).shuffle(samples)
    found = estimate(samples)
    assert (found.low, found.high, found.repeats) == (low, high, count)
    assert found.confidence == pytest.approx(confidence)
    assert found.median == (count + 1) / 2


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    """In 2,000 draws from a skewed distribution, whose median is known."""
    draw = random.Random(1)
    found = [estimate([draw.expovariate(1.0) for _ in range(20)]) for _ in range(2000)]
    held = sum(each.low <= 0.693147 <= each.high for each in found) / len(found)
    assert 0.94 < held < 0.98


def test_one_wild_sample_moves_nothing_far() -> None:
    """A repeat that something else on the machine has slowed down does not count for more than another."""
    calm = [1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.0, 1.01, 0.99]
    assert estimate([*calm, 100.0]).high <= 1.02


def test_nothing_can_be_estimated_from_nothing() -> None:
    """It is refused."""
    with pytest.raises(ValueError, match="at least one sample"):
        estimate([])
