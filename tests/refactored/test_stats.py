"""`CacheStats`: rates, reset and how it reads."""

from __future__ import annotations

import pytest

from kvparity_refactored import CacheStats


def test_rates_without_queries() -> None:
    """Before any query the hit rate is 0.0 and the miss rate 1.0."""
    stats = CacheStats()
    assert (stats.total_queries, stats.hit_rate, stats.miss_rate) == (0, 0.0, 1.0)


def test_rates_with_queries() -> None:
    """The rates are shares of all queries and add up to one."""
    stats = CacheStats(hits=3, misses=1)
    assert (stats.total_queries, stats.hit_rate, stats.miss_rate) == (4, 0.75, 0.25)


def test_reset() -> None:
    """A reset puts every counter at zero."""
    stats = CacheStats(hits=3, misses=1, evictions=2)
    stats.reset()
    assert stats == CacheStats()


@pytest.mark.parametrize(
    ("stats", "text"),
    [
        (CacheStats(), "CacheStats(hits=0, misses=0, evictions=0, hit_rate=0.00%)"),
        (CacheStats(hits=3, misses=1, evictions=2), "CacheStats(hits=3, misses=1, evictions=2, hit_rate=75.00%)"),
    ],
)
def test_reads_as_one_line(stats: CacheStats, text: str) -> None:
    """It prints its counters and the hit rate as a percentage."""
    assert str(stats) == repr(stats) == text
