"""The contract on what a cache lends: entries to read, and working copies to write into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from kvparity.contract.entries import SPEC, assert_same, each_pool, each_searched_pool, entry
from kvparity.contract.subject import CacheUnderTest
from kvparity.operations import RECUR, init
from kvparity.values.entry import clone

if TYPE_CHECKING:
    from kvparity.operations import PoolId


class Lending(CacheUnderTest):
    """What a cache lends does not change for as long as the contract promises."""

    @each_pool
    def test_a_get_repeats(self, pool: PoolId) -> None:
        """A lookup does not change what the next lookup returns."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        cache.get(pool, 1)
        assert_same(cache.get(pool, 1), entry(1))

    @each_searched_pool
    def test_a_checkout_gives_what_was_set(self, pool: PoolId) -> None:
        """A working copy has every layer, K and V, sizes and padding of what was set last, many times over."""
        cache = self.build()
        for key in range(3 * SPEC.env_num):
            for seed in (key, 100 + key):
                cache.set(pool, key, entry(seed))
                assert_same(cache.checkout(0, key), entry(seed), what="the working copy")

    def test_a_checkout_prefers_the_init_pool(self) -> None:
        """A key in both pools comes from the environment's init pool."""
        cache = self.build()
        cache.set(init(0), 1, entry(1))
        cache.set(RECUR, 1, entry(2))
        assert_same(cache.checkout(0, 1), entry(1), what="the working copy")

    def test_a_checkout_falls_back_on_recur(self) -> None:
        """A key comes from recur if its own environment's init pool lacks it, even if another one's holds it."""
        cache = self.build()
        cache.set(init(1), 1, entry(1))
        cache.set(RECUR, 1, entry(2))
        assert_same(cache.checkout(0, 1), entry(2), what="the working copy")

    def test_a_checkout_asks_its_own_environment(self) -> None:
        """Each environment gets its own value of a key, and a miss before it has set one."""
        cache = self.build()
        for env in range(SPEC.env_num):
            assert cache.checkout(env, 1) is None
            cache.set(init(env), 1, entry(env))
        for env in range(SPEC.env_num):
            assert_same(cache.checkout(env, 1), entry(env), what=f"the working copy of environment {env}")

    def test_a_checkout_of_an_unknown_key_misses(self) -> None:
        """A key that neither pool holds is a miss."""
        assert self.build().checkout(0, 1) is None

    def test_a_checkout_moves_no_entry(self) -> None:
        """After recur answered, the init pool still misses and recur still holds the entry."""
        cache = self.build()
        cache.set(RECUR, 1, entry(1))
        cache.checkout(0, 1)
        assert cache.get(init(0), 1) is None
        assert_same(cache.get(RECUR, 1), entry(1))

    @each_searched_pool
    def test_writing_into_a_working_copy_changes_no_entry(self, pool: PoolId) -> None:
        """The consumer may fill, resize and replace tensors of a working copy; the entry does not change."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        _write_into(cache.checkout(0, 1))
        assert_same(cache.get(pool, 1), entry(1))
        assert_same(cache.checkout(0, 1), entry(1), what="the next working copy")

    @each_searched_pool
    def test_a_working_copy_is_owned_for_env_num_checkouts(self, pool: PoolId) -> None:
        """Environments that check out the same value in turn each keep what they wrote."""
        cache = self.build()
        copies = []
        for env in range(SPEC.env_num):
            cache.set(RECUR if pool == RECUR else init(env), 1, entry(1))
            copy = cache.checkout(env, 1)
            assert copy is not None
            copy._keys_values[0]._k_cache._cache.fill_(env)
            copies.append(copy)
        firsts = [copy._keys_values[0]._k_cache._cache.unique().tolist() for copy in copies]
        assert firsts == [[float(env)] for env in range(SPEC.env_num)]

    @each_searched_pool
    def test_a_working_copy_outlasts_its_entry(self, pool: PoolId) -> None:
        """A working copy does not change when its key is set again, or its pool is filled and cleared."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        copy = cache.checkout(0, 1)
        cache.set(pool, 1, entry(2))
        for key in range(2, 2 + SPEC.slots(pool)):
            cache.set(pool, key, entry(key))
        cache.clear(pool)
        cache.set(pool, 1, entry(3))
        assert_same(copy, entry(1), what="the working copy")

    @each_pool
    def test_what_a_get_lends_outlasts_other_gets(self, pool: PoolId) -> None:
        """Until the next set or clear of its pool, a lent entry stays as it is while others are lent."""
        cache, count = self.build(), SPEC.slots(pool)
        for key in range(count):
            cache.set(pool, key, entry(key))
        lent = {key: found for key in range(count) if (found := cache.get(pool, key)) is not None}
        assert lent
        for key, found in lent.items():
            assert_same(found, entry(key), what=f"the entry that was lent for key {key}")

    @each_searched_pool
    def test_what_a_get_lends_outlasts_sets_and_clears_of_other_pools(self, pool: PoolId) -> None:
        """A lent entry does not change through sets and clears of other pools."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        lent = cache.get(pool, 1)
        others = [other for other in SPEC.pools if other != pool]
        for number, other in enumerate(others * 4):
            cache.set(other, number, entry(10 + number))
        for other in others:
            cache.clear(other)
        assert_same(lent, entry(1), what="the entry that was lent")

    @each_searched_pool
    def test_what_a_get_lends_outlasts_checkouts(self, pool: PoolId) -> None:
        """A lent entry does not change when checkouts are made and their working copies are written into."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        lent = cache.get(pool, 1)
        for _ in range(2 * SPEC.env_num):
            _write_into(cache.checkout(0, 1))
        assert_same(lent, entry(1), what="the entry that was lent")

    @each_pool
    def test_takes_back_a_working_copy(self, pool: PoolId) -> None:
        """A working copy can be set as an entry after it was written into, and then be written into again."""
        cache = self.build()
        cache.set(RECUR, 1, entry(1))
        copy = cache.checkout(0, 1)
        assert copy is not None
        copy._keys_values[0]._k_cache._cache.fill_(5)
        expected = clone(copy)
        cache.set(pool, 2, copy)
        copy._keys_values[0]._k_cache._cache.fill_(6)
        assert_same(cache.get(pool, 2), expected)

    @each_pool
    def test_takes_what_it_lent(self, pool: PoolId) -> None:
        """To set what a get lent under the same key changes nothing."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        cache.set(pool, 1, cache.get(pool, 1))
        assert_same(cache.get(pool, 1), entry(1))

    @each_pool
    def test_takes_what_it_lent_under_another_key(self, pool: PoolId) -> None:
        """What a get of a full pool lent can be set under a new key, even if that key takes the same slot."""
        cache, slots = self.build(), SPEC.slots(pool)
        for key in range(slots):
            cache.set(pool, key, entry(key))
        for key in range(slots):
            lent = cache.get(pool, key)
            if lent is not None:
                cache.set(pool, slots + key, lent)
                assert_same(cache.get(pool, slots + key), entry(key))


def _write_into(copy: Any) -> None:
    """Do everything that a consumer may do to a working copy."""
    assert copy is not None, "the checkout missed, expected a working copy"
    for layer in copy._keys_values:
        for token in (layer._k_cache, layer._v_cache):
            token._cache.fill_(9)
            token._size = 0
            token._cache = torch.zeros(1)
