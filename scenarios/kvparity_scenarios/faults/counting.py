"""Faults of counting: a cache that answers right, and says something else of itself."""

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

    Likely where pool and manager both count: UniZero's manager was written so that they could.
    """

    severity = BEHAVIOUR

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Once here, once there."""
        pool.hits += key in pool.held
        pool.misses += key not in pool.held
        return super().look_up(pool, key)


class ForgetsMisses(Fault):
    """Does not count misses.

    Likely from an early `return None`: the hit rate is then always 1.
    """

    severity = BEHAVIOUR

    def stats(self, pool: PoolId) -> PoolStats:
        """None ever."""
        return replace(super().stats(pool), misses=0)


class SwapsHitsAndMisses(Fault):
    """Reports hits as misses and misses as hits.

    Likely where a tuple of counters is unpacked in another order.
    """

    severity = BEHAVIOUR

    def stats(self, pool: PoolId) -> PoolStats:
        """Crosswise."""
        told = super().stats(pool)
        return replace(told, hits=told.misses, misses=told.hits)


class ForgetsEvictions(Fault):
    """Does not count evictions.

    Likely where a ring overwrites without noticing that somebody lived there.
    """

    severity = BEHAVIOUR
    methods = ("pool-pressure",)

    def stats(self, pool: PoolId) -> PoolStats:
        """None ever."""
        return replace(super().stats(pool), evictions=0)


class CountsUpdatesAsEvictions(Fault):
    """Counts an update of a held key as an eviction.

    Likely where whatever overwrites a slot is taken for an eviction.
    """

    severity = BEHAVIOUR
    methods = ("clear-storm",)

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """One too many."""
        pool.evictions += key in pool.held
        return super().take_slot(pool, key, priority)


class LengthIsCapacity(Fault):
    """Reports its slots as its length.

    Likely from `len(self.slots)`, with slots that are allocated beforehand.
    """

    severity = BEHAVIOUR

    def stats(self, pool: PoolId) -> PoolStats:
        """Full from the start."""
        return replace(super().stats(pool), length=len(self.pool(pool).slots))


class StatisticsRaise(Fault):
    """Raises when it is asked for statistics before anything was looked up.

    Likely from a hit rate, which divides by the number of lookups.
    """

    severity = BEHAVIOUR
    methods = ("cartpole-unizero",)
    steps = 10_000

    def stats(self, pool: PoolId) -> PoolStats:
        """Divides by zero."""
        told = super().stats(pool)
        assert told.hits is not None
        assert told.misses is not None
        told.hits / (told.hits + told.misses)
        return told
