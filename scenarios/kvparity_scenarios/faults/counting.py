"""Faults of counting: a cache that gives correct answers and wrong statistics."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kvparity.results.divergence import BEHAVIOUR
from kvparity_scenarios.faults.fault import Fault

if TYPE_CHECKING:
    from kvparity.caches.protocol import PoolStats
    from kvparity.operations import PoolId
    from kvparity.values.entry import KeysValues
    from kvparity_scenarios.correct_cache import Pool


class CountsTwice(Fault):
    """Counts every lookup twice.

    Likely if pool and manager both count, which UniZero's manager allowed.
    """

    severity = BEHAVIOUR

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Count the lookup once more."""
        pool.hits += key in pool.held
        pool.misses += key not in pool.held
        return super().look_up(pool, key)


class ForgetsMisses(Fault):
    """Does not count misses.

    Likely from an early `return None`: then the hit rate is always 1.
    """

    severity = BEHAVIOUR

    def stats(self, pool: PoolId) -> PoolStats:
        """Report zero."""
        return replace(super().stats(pool), misses=0)


class SwapsHitsAndMisses(Fault):
    """Reports hits as misses and misses as hits.

    Likely if a tuple of counters is unpacked in another order.
    """

    severity = BEHAVIOUR

    def stats(self, pool: PoolId) -> PoolStats:
        """Exchange the two counters."""
        stats = super().stats(pool)
        return replace(stats, hits=stats.misses, misses=stats.hits)


class ForgetsEvictions(Fault):
    """Does not count evictions.

    Likely if a ring overwrites a slot and does not check whether a key was in it.
    """

    severity = BEHAVIOUR
    methods = ("pool-pressure",)

    def stats(self, pool: PoolId) -> PoolStats:
        """Report zero."""
        return replace(super().stats(pool), evictions=0)


class CountsUpdatesAsEvictions(Fault):
    """Counts an update of a held key as an eviction.

    Likely if every overwrite of a slot counts as an eviction.
    """

    severity = BEHAVIOUR
    methods = ("clear-storm",)

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """Count an update."""
        pool.evictions += key in pool.held
        return super().take_slot(pool, key, priority)


class LengthIsCapacity(Fault):
    """Reports the number of its slots as its length.

    Likely from `len(self.slots)`, if the slots are allocated at the start.
    """

    severity = BEHAVIOUR

    def stats(self, pool: PoolId) -> PoolStats:
        """The number of slots."""
        return replace(super().stats(pool), length=len(self.pool(pool).slots))


class StatisticsRaise(Fault):
    """Raises when its statistics are read before the first lookup.

    Likely from a hit rate: it divides by the number of lookups.
    """

    severity = BEHAVIOUR
    methods = ("cartpole-unizero",)
    steps = 10_000

    def stats(self, pool: PoolId) -> PoolStats:
        """Divide by the number of lookups."""
        stats = super().stats(pool)
        assert stats.hits is not None
        assert stats.misses is not None
        stats.hits / (stats.hits + stats.misses)
        return stats
