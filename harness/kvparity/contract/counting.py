"""The contract on statistics, for caches that have any: they count what happened.

The wm pool is left out: how often it is used depends on how a cache makes its working copies.
"""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING

import pytest

from kvparity.caches.protocol import as_stats, counts
from kvparity.contract.entries import SPEC, each_searched_pool, entry
from kvparity.contract.subject import CacheUnderTest
from kvparity.operations import RECUR, WM, init

if TYPE_CHECKING:
    from kvparity.caches.protocol import Cache
    from kvparity.operations import PoolId


class Counting(CacheUnderTest):
    """Statistics count what happened; a counter that a cache does not have (None) is not tested."""

    @each_searched_pool
    def test_counts_hits_and_misses(self, pool: PoolId) -> None:
        """Each get counts as one hit or one miss of its own pool; a set counts as neither."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        for key in (1, 1, 1, 2, 3):
            cache.get(pool, key)
        for other in (each for each in SPEC.pools if each != WM):
            hits, misses = (3, 2) if other == pool else (0, 0)
            _check(cache, other, hits=hits, misses=misses)

    def test_counts_the_lookups_of_a_checkout(self) -> None:
        """A checkout that recur answers is a miss of init and a hit of recur; if init answers, recur is not asked."""
        cache = self.build()
        cache.set(RECUR, 1, entry(1))
        cache.set(init(1), 2, entry(2))
        cache.checkout(0, 1)
        cache.checkout(1, 2)
        cache.checkout(1, 3)
        _check(cache, init(0), hits=0, misses=1)
        _check(cache, init(1), hits=1, misses=1)
        _check(cache, RECUR, hits=1, misses=1)

    @each_searched_pool
    def test_counts_keys_and_evictions(self, pool: PoolId) -> None:
        """After sets of different keys, the length is the number of keys held, and all others are evictions."""
        cache, count = self.build(), SPEC.slots(pool) + 2
        for key in range(count):
            cache.set(pool, key, entry(key))
        held = sum(cache.get(pool, key) is not None for key in range(count))
        _check(cache, pool, length=held, evictions=count - held)

    @each_searched_pool
    def test_a_key_that_is_set_again_is_no_eviction(self, pool: PoolId) -> None:
        """Two sets of one key leave one key and evict none."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        cache.set(pool, 1, entry(2))
        _check(cache, pool, length=1, evictions=0)

    @each_searched_pool
    def test_a_clear_leaves_the_counters(self, pool: PoolId) -> None:
        """A clear empties the pool, counts as no eviction, and keeps what was counted before."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        cache.get(pool, 1)
        cache.get(pool, 2)
        cache.clear(pool)
        _check(cache, pool, hits=1, misses=1, evictions=0, length=0)


def _check(cache: Cache, pool: PoolId, **expected: int) -> None:
    __tracebackhide__ = True
    if not counts(cache):
        pytest.skip("the cache has no statistics")
    reported = cache.stats(pool)
    try:
        stats = as_stats(reported)
    except TypeError as error:
        raise AssertionError(
            f"stats({pool}) returned {reprlib.repr(reported)}, expected a kvparity.PoolStats, with None for what the"
            f" cache does not count: {error}"
        ) from None
    counted = {name: number for name in expected if (number := getattr(stats, name)) is not None}
    if not counted:
        pytest.skip(f"the cache counts none of {', '.join(expected)}")
    assert counted == {name: expected[name] for name in counted}, f"the statistics of {pool} do not count what happened"
