"""What can be counted when a cache does a workload: hits, evictions, bytes that have to be copied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kvparity.caches.protocol import as_stats, counts
from kvparity.operations import RECUR, init
from kvparity.values.entry import size_bytes

if TYPE_CHECKING:
    from kvparity.caches.protocol import Cache, CacheSpec
    from kvparity.operations import PoolId


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counts of one pass over a workload, by caches that were empty before.

    Attributes:
        lookups: gets and checkouts.
        hits: lookups that returned something.
        evictions: live keys dropped from init and recur pools to make room; None if the cache does not count them.
        bytes_moved: tensor bytes of every value that was set, and of every working copy that was lent. A cache that
            keeps the contract must copy that much. It may copy more, which this does not count.
    """

    lookups: int
    hits: int
    evictions: int | None
    bytes_moved: int

    @property
    def hit_rate(self) -> float | None:
        """Hits divided by lookups; None without lookups."""
        return self.hits / self.lookups if self.lookups else None


class Counting:
    """A cache that passes all calls on to another one, and counts what goes in and out.

    Args:
        cache: the other one.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self.lookups = self.hits = self.bytes_moved = 0

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Set, and count the value's bytes."""
        self._cache.set(pool, key, value, priority=priority)
        self.bytes_moved += size_bytes(value)

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Get, and count a lookup."""
        found = self._cache.get(pool, key)
        self.lookups += 1
        self.hits += found is not None
        return found

    def checkout(self, env: int, key: int) -> Any | None:
        """Check out, and count a lookup and the bytes of the working copy."""
        found = self._cache.checkout(env, key)
        self.lookups += 1
        if found is not None:
            self.hits += 1
            self.bytes_moved += size_bytes(found)
        return found

    def clear(self, pool: PoolId) -> None:
        """Clear, and count nothing."""
        self._cache.clear(pool)


def evictions(cache: Cache, spec: CacheSpec) -> int | None:
    """The evictions that the cache counted in its init pools and its recur pool; None if a count is missing."""
    if not counts(cache):
        return None
    counted = [as_stats(cache.stats(pool)).evictions for pool in (*map(init, range(spec.env_num)), RECUR)]
    known = [number for number in counted if number is not None]
    return sum(known) if len(known) == len(counted) else None
