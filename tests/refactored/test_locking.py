"""The thread-safe manager: the contract, copies in the place of what is lent, and a default that takes no lock."""

from __future__ import annotations

from threading import Event, Thread
from typing import Any

import pytest

import kvparity_refactored
from kvparity.caches.protocol import CacheSpec
from kvparity.contract import CacheContract, entry, same
from kvparity.values.entry import write_token
from kvparity_refactored import EvictionStrategy, KVCacheManager, KVCachePool, LockedManager

SPEC = CacheSpec(env_num=2, init_pool_size=3, num_simulations=4)


class TestThreadSafe(CacheContract):
    """The thread-safe manager keeps the contract of every cache."""

    cache = kvparity_refactored.thread_safe


def manager(**options: Any) -> LockedManager:
    """A thread-safe manager of two environments, 3 init slots each, 8 recur slots."""
    return LockedManager(SPEC.config(), SPEC.env_num, **options)


@pytest.mark.parametrize("pool", ["init", "recur", "wm"])
def test_what_is_looked_up_outlasts_later_sets(pool: str) -> None:
    """A lookup returns the caller's own copy, which no set changes."""
    cache = manager()
    environment = (0,) if pool == "init" else ()
    put, look = getattr(cache, f"set_{pool}_cache"), getattr(cache, f"get_{pool}_cache")
    put(*environment, 1, entry(1))
    found = look(*environment, 1)
    put(*environment, 1, entry(2))
    assert same(found, entry(1))
    assert same(look(*environment, 1), entry(2))


@pytest.mark.parametrize("lookup", ["hierarchical_get", "get_init_cache"])
def test_writing_into_what_is_looked_up_changes_no_pool(lookup: str) -> None:
    """The caller owns what a lookup returns."""
    cache = manager()
    cache.set_init_cache(0, 1, entry(1))
    for layer in getattr(cache, lookup)(0, 1)._keys_values:
        write_token(layer._k_cache, 7.0)
    assert same(cache.get_init_cache(0, 1), entry(1))


def test_the_list_of_working_copies_is_of_copies() -> None:
    """No later set changes what the original's attribute returned."""
    cache = manager()
    cache.set_wm_cache(1, entry(1))
    [value] = cache.keys_values_wm_list
    cache.set_wm_cache(1, entry(2))
    assert same(value, entry(1))


def test_every_strategy_can_be_had() -> None:
    """A thread-safe manager can have any eviction strategy."""
    cache = manager(eviction_strategy=EvictionStrategy.LRU)
    assert {pool.eviction_strategy for pool in (*cache.init_pools, cache.recur_pool)} == {EvictionStrategy.LRU}


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("hierarchical_get", (0, 1)),
        ("get_recur_cache", (1,)),
        ("set_wm_cache", (1, entry(1))),
        ("clear_all", ()),
        ("reset_stats", ()),
        ("get_stats_summary", ()),
    ],
)
def test_a_method_waits_for_the_lock_of_all_pools(method: str, arguments: tuple[Any, ...]) -> None:
    """A method waits while another thread is in any of the pools."""
    cache = manager()
    done = Event()

    def call() -> None:
        getattr(cache, method)(*arguments)
        done.set()

    with cache.init_pools[1]._lock:  # type: ignore[attr-defined]
        thread = Thread(target=call, daemon=True)
        thread.start()
        assert not done.wait(0.02)
    thread.join()
    assert done.is_set()


def test_the_lock_is_released_when_a_call_raises() -> None:
    """After a bad `env_id` nobody waits."""
    cache = manager()
    with pytest.raises(ValueError, match="env_id 9"):
        cache.hierarchical_get(9, 1)
    thread = Thread(target=cache.clear_all, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


def test_without_it_nothing_is_locked_or_copied() -> None:
    """The plain manager pays nothing for it: plain pools, no lock."""
    cache = KVCacheManager(SPEC.config(), SPEC.env_num)
    assert {type(pool) for pool in (*cache.init_pools, cache.recur_pool, cache.wm_pool)} == {KVCachePool}
    assert "_lock" not in vars(cache)
    cache.set_recur_cache(1, entry(1))
    assert cache.get_recur_cache(1) is cache.get_recur_cache(1)
