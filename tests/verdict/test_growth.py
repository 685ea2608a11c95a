"""The slope of memory: a leak is found, noise is not called one, and an allocator's single step is not either."""

from __future__ import annotations

import random
from itertools import accumulate

import pytest

from kvparity.verdict.growth import growth_of

EVERY = 500  # operations
POINTS = 200
OPERATIONS = [EVERY * point for point in range(1, POINTS + 1)]
MIB = 1 << 20


def noisy(slope: float, *, noise: float = 0.0, seed: int = 0) -> list[int | None]:
    """A line of that many bytes in 1,000 operations, from 100 MiB on, with normal noise."""
    chance = random.Random(seed)
    return [100 * MIB + round(slope * at / 1000 + chance.gauss(0, noise)) for at in OPERATIONS]


@pytest.mark.parametrize("seed", range(5))
def test_a_leak_of_a_kilobyte_in_a_thousand_operations_is_found(seed: int) -> None:
    """Under noise of four times as much: the whole interval lies above zero, and holds the leak."""
    growth = growth_of(OPERATIONS, noisy(1024, noise=4096, seed=seed))
    assert growth is not None
    assert 0 < growth.low < 1024 < growth.high
    assert growth.slope == pytest.approx(1024, rel=0.2)


@pytest.mark.parametrize("seed", range(20))
def test_a_flat_series_is_no_leak_however_noisy(seed: int) -> None:
    """The interval holds zero."""
    growth = growth_of(OPERATIONS, noisy(0, noise=MIB, seed=seed))
    assert growth is not None
    assert growth.low < 0 < growth.high


def test_a_random_walk_is_seldom_called_a_leak() -> None:
    """Neighbouring points are alike, which least squares would take for certainty: at most 5 % and a little."""
    wrong = 0
    for seed in range(400):
        chance = random.Random(seed)
        walk = [100 * MIB + round(step) for step in accumulate(chance.gauss(0, 10_000) for _ in OPERATIONS)]
        growth = growth_of(OPERATIONS, walk)
        assert growth is not None
        wrong += growth.low > 0 or growth.high < 0
    assert 0 < wrong <= 0.06 * 400


def test_one_step_of_an_allocator_is_no_leak() -> None:
    """It went up once by 64 MiB, and stayed."""
    growth = growth_of(OPERATIONS, [100 * MIB + 64 * MIB * (at > 80_000) for at in OPERATIONS])
    assert growth is not None
    assert growth.low < 0
    assert growth.total == 64 * MIB


def test_the_first_half_is_not_looked_at() -> None:
    """Pools are filled then, and libraries loaded."""
    growth = growth_of(OPERATIONS, [min(at, 50_000) * 1000 for at in OPERATIONS])
    assert growth is not None
    assert (growth.slope, growth.low, growth.high, growth.total) == (0, 0, 0, 0)


def test_a_straight_line_is_measured_exactly() -> None:
    """Its interval is a point; its total is that of what was looked at."""
    growth = growth_of(OPERATIONS, [3 * at for at in OPERATIONS])
    assert growth is not None
    assert growth.low == pytest.approx(growth.slope) == pytest.approx(growth.high) == pytest.approx(3000)
    assert growth.total == pytest.approx(3 * 84 * EVERY)


@pytest.mark.parametrize("points", [0, 1, 30])
def test_too_few_points_tell_nothing(points: int) -> None:
    """No interval from nothing."""
    assert growth_of(OPERATIONS[:points], noisy(1024)[:points]) is None


def test_what_was_not_measured_tells_nothing() -> None:
    """A system that does not say how much memory there is."""
    assert growth_of(OPERATIONS, [None] * POINTS) is None
    assert growth_of(OPERATIONS, [*noisy(0)[:-1], None]) is not None


def test_points_need_not_be_evenly_spaced() -> None:
    """Looking has a budget: where it is slow, points are few."""
    chance = random.Random(0)
    some = sorted(chance.sample(OPERATIONS, 60))
    growth = growth_of(some, [3 * at for at in some])
    assert growth is not None
    assert growth.low == pytest.approx(growth.high) == pytest.approx(3000)
