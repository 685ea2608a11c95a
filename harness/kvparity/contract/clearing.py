"""The contract on pools and keys: pools and keys stay apart, and a clear forgets one pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kvparity.contract.entries import (
    LAST_INIT,
    ONE_OF_EACH,
    SPEC,
    assert_same,
    assert_same_or_miss,
    each_pool,
    entry,
    raises,
)
from kvparity.contract.subject import CacheUnderTest
from kvparity.operations import ALL, ALL_INIT, RECUR, WM, init

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.operations import PoolId

# Pairs that become one key in 32 bits, in a signed integer, in a double, by Python's `hash`, or if 0 counts as no key.
EASILY_MIXED_UP = [
    (0, 1),
    (1, 1 + 2**32),
    (2**31, 2**32 + 2**31),
    (2**53, 2**53 + 1),
    (1, 2**61),
    (1, 2**63 + 1),
    (2**63 - 1, 2**64 - 1),
    (2**64 - 2, 2**64 - 1),
    (2**32 - 1, 2**64 - 1),
]


class Clearing(CacheUnderTest):
    """No pool and no key affects another, and a clear forgets the keys of one pool."""

    @each_pool
    def test_a_key_never_set_misses(self, pool: PoolId) -> None:
        """A key that was never set misses, while another key is held."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        assert cache.get(pool, 2) is None

    @each_pool
    @pytest.mark.parametrize("keys", EASILY_MIXED_UP, ids=lambda keys: f"{keys[0]:#x}-{keys[1]:#x}")
    def test_keys_have_64_bits(self, pool: PoolId, keys: tuple[int, int]) -> None:
        """Two keys are two entries, whichever of their 64 bits differ, and both are found."""
        cache, (first, second) = self.build(), keys
        cache.set(pool, first, entry(1))
        assert cache.get(pool, second) is None
        cache.set(pool, second, entry(2))
        assert_same(cache.get(pool, first), entry(1))
        assert_same(cache.get(pool, second), entry(2))

    def test_environments_do_not_share_entries(self) -> None:
        """A key has an entry of its own in each environment, and misses in those where it was not set."""
        cache = self.build()
        for env in range(SPEC.env_num):
            assert cache.get(init(env), 1) is None
            cache.set(init(env), 1, entry(env))
        for env in range(SPEC.env_num):
            assert_same(cache.get(init(env), 1), entry(env), what=f"the entry in {init(env)}")

    @each_pool
    def test_pools_do_not_share_entries(self, pool: PoolId) -> None:
        """A key that is set in one pool misses in every other."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        assert [str(other) for other in SPEC.pools if cache.get(other, 1) is not None] == [str(pool)]

    @pytest.mark.parametrize("pool", [init(0), LAST_INIT, RECUR, WM], ids=str)
    def test_a_clear_forgets_one_pool_only(self, pool: PoolId) -> None:
        """A cleared pool misses, and every other pool still holds its entry."""
        cache = self.build()
        for number, other in enumerate(SPEC.pools):
            cache.set(other, 1, entry(number))
        cache.clear(pool)
        for number, other in enumerate(SPEC.pools):
            if other == pool:
                assert cache.get(other, 1) is None
            else:
                assert_same(cache.get(other, 1), entry(number), what=f"the entry in {other}")

    def test_a_clear_of_all_init_pools_spares_the_others(self) -> None:
        """`ALL_INIT` forgets the keys of all environments and leaves recur and wm."""
        cache = self.build()
        for pool in SPEC.pools:
            cache.set(pool, 1, entry(1))
        cache.clear(ALL_INIT)
        assert [str(pool) for pool in SPEC.pools if cache.get(pool, 1) is not None] == ["recur", "wm"]

    def test_a_clear_of_all_forgets_everything(self) -> None:
        """`ALL` leaves no key in any pool."""
        cache = self.build()
        for pool in SPEC.pools:
            cache.set(pool, 1, entry(1))
        cache.clear(ALL)
        assert [str(pool) for pool in SPEC.pools if cache.get(pool, 1) is not None] == []

    @each_pool
    def test_a_clear_forgets_every_key(self, pool: PoolId) -> None:
        """No key of a full pool is left, and none comes back after another clear or other sets."""
        cache, slots = self.build(), SPEC.slots(pool)
        for key in range(slots):
            cache.set(pool, key, entry(key))
        for _ in range(2):
            cache.clear(pool)
            assert [key for key in range(slots) if cache.get(pool, key) is not None] == []
        for key in range(slots, 2 * slots):
            cache.set(pool, key, entry(key))
            assert_same(cache.get(pool, key), entry(key))
        assert [key for key in range(slots) if cache.get(pool, key) is not None] == []

    @each_pool
    def test_a_cleared_key_can_be_set_again(self, pool: PoolId) -> None:
        """After a clear, a forgotten key can be set and is found."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        cache.clear(pool)
        cache.set(pool, 1, entry(2))
        assert_same(cache.get(pool, 1), entry(2))

    def test_a_checkout_finds_nothing_after_a_clear(self) -> None:
        """If init and recur held a key and init is cleared, it comes from recur; if both are cleared, it misses."""
        cache = self.build()
        cache.set(init(0), 1, entry(1))
        cache.set(RECUR, 1, entry(2))
        cache.clear(init(0))
        assert_same(cache.checkout(0, 1), entry(2), what="the working copy")
        cache.clear(RECUR)
        assert cache.checkout(0, 1) is None

    @each_pool
    def test_never_gives_another_keys_value(self, pool: PoolId) -> None:
        """After more sets than there are slots, each key gives its own value or misses, and the newest is held."""
        cache, count = self.build(), 3 * SPEC.slots(pool) + 1
        for key in range(count):
            cache.set(pool, key, entry(key))
        assert_same(cache.get(pool, count - 1), entry(count - 1))
        for key in range(count):
            assert_same_or_miss(cache.get(pool, key), entry(key), what=f"the entry of key {key}")

    @pytest.mark.parametrize("env", [-1, SPEC.env_num])
    def test_an_environment_that_does_not_exist_raises(self, env: int) -> None:
        """`get`, `set` and `checkout` raise for it, and never use the pool of another environment instead."""
        cache = self.build()
        for pool in ONE_OF_EACH:
            cache.set(pool, 1, entry(1))
        calls: dict[str, Callable[[], object]] = {
            f"get(init[{env}], 1)": lambda: cache.get(init(env), 1),
            f"set(init[{env}], 1, ...)": lambda: cache.set(init(env), 1, entry(1)),
            f"checkout({env}, 1)": lambda: cache.checkout(env, 1),
        }
        silent = [call for call, make in calls.items() if not raises(make)]
        assert silent == [], f"environments are 0 to {SPEC.env_num - 1}, but these calls did not raise"
