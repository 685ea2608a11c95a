"""`SideRecord`: what is known of one side without asking its cache."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from kvparity.operations import RECUR, covered, init

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kvparity.caches.protocol import CacheSpec, Drop
    from kvparity.operations import PoolId

_REMEMBERED_DROPS = 4096


class SeenDrop(NamedTuple):
    """A key that a side dropped by itself.

    Attributes:
        number: of the operation during which it was dropped.
        for_key: the key that was being set.
        drop: what the cache reported.
    """

    number: int
    for_key: int
    drop: Drop


@dataclass(slots=True)
class PoolCounts:
    """Lookups of one pool on one side, counted from outside."""

    hits: int = 0
    misses: int = 0


class SideRecord:
    """What was seen of one side.

    Args:
        role: `reference` or `candidate`.
        name: as the user knows it.
        spec: the sizes.
        strategies: the eviction strategy that the cache declares for each pool.

    Attributes:
        counts: hits and misses of each pool.
        lost_track: pools whose hits and misses can no longer be known from outside.
        deviated: pools that did not do what their strategy says.
        reports_drops: whether the cache reports each key that it drops.
    """

    def __init__(self, role: str, name: str, spec: CacheSpec, strategies: Mapping[PoolId, str]) -> None:
        self.role = role
        self.name = name
        self.spec = spec
        self.strategies = strategies
        self.counts = {pool: PoolCounts() for pool in spec.pools}
        self.lost_track: set[PoolId] = set()
        self.deviated: set[PoolId] = set()
        self.reports_drops = False
        self._init_counts = [self.counts[init(env)] for env in range(spec.env_num)]
        self._recur_counts = self.counts[RECUR]
        self._drops: dict[PoolId, OrderedDict[int, SeenDrop]] = {pool: OrderedDict() for pool in spec.pools}

    def count_get(self, pool: PoolId, *, hit: bool) -> None:
        """Count a lookup of one pool."""
        if hit:
            self.counts[pool].hits += 1
        else:
            self.counts[pool].misses += 1

    def count_checkout(self, env: int, source: PoolId | None) -> None:
        """Count a checkout that `source` answered; None for a miss. The init pool missed unless it answered."""
        if source is None:
            self._init_counts[env].misses += 1
            self._recur_counts.misses += 1
        elif source == RECUR:
            self._init_counts[env].misses += 1
            self._recur_counts.hits += 1
        else:
            self._init_counts[env].hits += 1

    def note_drop(self, seen: SeenDrop) -> None:
        """Remember a drop that the cache reported."""
        drops = self._drops[seen.drop.pool]
        drops.pop(seen.drop.key, None)
        drops[seen.drop.key] = seen
        if len(drops) > _REMEMBERED_DROPS:
            drops.popitem(last=False)

    def last_drop(self, pool: PoolId, key: int) -> SeenDrop | None:
        """The last reported drop of `key` from `pool` since the pool was cleared."""
        return self._drops[pool].get(key)

    def forget_drops(self, pool: PoolId) -> None:
        """Forget the drops of `pool`, which was cleared: they explain nothing that happens after a clear."""
        for each in covered(pool, self._drops):
            self._drops[each].clear()
