"""`CacheStats`: the counters of a pool."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class CacheStats:
    """Counters of one pool, since it was built or its counters were reset.

    Only the pool counts. A manager does not, so that no lookup counts twice.

    Attributes:
        hits: lookups that found their key.
        misses: lookups that did not find it.
        evictions: live keys that left to make room. An update in place and a clear are not evictions.
    """

    hits: int = 0
    misses: int = 0
    evictions: int = 0

    @property
    def total_queries(self) -> int:
        """All lookups: hits and misses."""
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
        """Set every counter to zero."""
        self.hits = self.misses = self.evictions = 0

    def __repr__(self) -> str:
        return (
            f"CacheStats(hits={self.hits}, misses={self.misses}, evictions={self.evictions},"
            f" hit_rate={self.hit_rate:.2%})"
        )
