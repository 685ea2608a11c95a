"""What a workload comes to in a cache, apart from time: hits, evictions, bytes that have to be copied."""

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
    """Of one pass over a workload, through caches that were empty before.

    Attributes:
        lookups: gets and checkouts.
        hits: of these, the ones that returned something.
        evictions: live keys dropped from init and recur pools to make room; None where the cache does not say.
        bytes_moved: tensor bytes of every value set, and of every working copy lent. That much must be copied by a
            cache that keeps the contract; what it copies beyond that is not seen.
    """

    lookups: int
    hits: int
    evictions: int | None
    bytes_moved: int

    @property
    def hit_rate(self) -> float | None:
        """Hits by lookups; None without lookups."""
        return self.hits / self.lookups if self.lookups else None


class Counting:
    """A cache that counts what goes in and out of another.

    Args:
        cache: the other.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self.lookups = self.hits = self.bytes_moved = 0

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Count the value's bytes."""
        self._cache.set(pool, key, value, priority=priority)
        self.bytes_moved += size_bytes(value)

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Count a lookup."""
        found = self._cache.get(pool, key)
        self.lookups += 1
        self.hits += found is not None
        return found

    def checkout(self, env: int, key: int) -> Any | None:
        """Count a lookup, and the bytes of the working copy."""
        found = self._cache.checkout(env, key)
        self.lookups += 1
        if found is not None:
            self.hits += 1
            self.bytes_moved += size_bytes(found)
        return found

    def clear(self, pool: PoolId) -> None:
        """Clears are not counted."""
        self._cache.clear(pool)


def evictions(cache: Cache, spec: CacheSpec) -> int | None:
    """What the cache says of its init pools and its recur pool; None where it does not say for each."""
    if not counts(cache):
        return None
    said = [as_stats(cache.stats(pool)).evictions for pool in (*map(init, range(spec.env_num)), RECUR)]
    known = [number for number in said if number is not None]
    return sum(known) if len(known) == len(said) else None
