"""`CacheStats`: what a pool has counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class CacheStats:
    """Counters of one pool since it was built or they were last reset.

    Only the pool itself counts. A manager before it counts nothing, so that no lookup counts twice.

    Attributes:
        hits: lookups that found their key.
        misses: lookups that did not.
        evictions: live keys that left to make room; neither an update in place nor a clear is one.
    """

    hits: int = 0
    misses: int = 0
    evictions: int = 0

    @property
    def total_queries(self) -> int:
        """Lookups: hits and misses."""
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float:
        """The share of hits, 0.0 without queries."""
        return self.hits / self.total_queries if self.total_queries else 0.0

    @property
    def miss_rate(self) -> float:
        """`1 - hit_rate`, so 1.0 without queries."""
        return 1.0 - self.hit_rate

    def reset(self) -> None:
        """Start to count anew."""
        self.hits = self.misses = self.evictions = 0

    def __repr__(self) -> str:
        return (
            f"CacheStats(hits={self.hits}, misses={self.misses}, evictions={self.evictions},"
            f" hit_rate={self.hit_rate:.2%})"
        )
