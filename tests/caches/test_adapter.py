"""Managers as caches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kvparity.caches.adapter import ManagerCache, adapt
from kvparity.caches.protocol import Cache, PoolStats
from kvparity.contract import SPEC, entry, same
from kvparity.errors import UnusableCacheError
from kvparity.operations import ALL, ALL_INIT, RECUR, WM, PoolId, init
from kvparity_refactored import KVCacheManager
from kvparity_scenarios.correct_cache import CorrectCache

MANAGER_METHODS = (
    "get_init_cache", "set_init_cache", "get_recur_cache", "set_recur_cache", "get_wm_cache", "set_wm_cache",
    "hierarchical_get", "clear_all", "clear_init_caches", "clear_recur_cache",
)  # fmt: skip


class FakePool:
    """A pool that notes each call under its own name."""

    def __init__(self, name: str, calls: list[Any]) -> None:
        self.name = name
        self.calls = calls

    def clear(self) -> None:
        """Forget."""
        self.calls.append((self.name, "clear"))


class FakeManager:
    """Has `KVCacheManager`'s methods, notes each call, and answers a lookup with its arguments."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.init_pools = [FakePool(f"init {env}", self.calls) for env in range(2)]
        self.recur_pool = FakePool("recur", self.calls)
        self.wm_pool = FakePool("wm", self.calls)
        for method in MANAGER_METHODS:
            setattr(self, method, self._noting(method))

    def _noting(self, method: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append((method, *arguments, *([options] if options else [])))
            return (method, *arguments)

        return call


def manager() -> KVCacheManager:
    """A manager of two environments."""
    return KVCacheManager(SPEC.config(), SPEC.env_num)


@pytest.mark.parametrize("lost", MANAGER_METHODS)
def test_a_manager_that_lacks_a_method_is_told_which(lost: str) -> None:
    """The error names the missing method, for each method that a cache needs."""
    fake = FakeManager()
    setattr(fake, lost, None)
    with pytest.raises(UnusableCacheError, match=f"^FakeManager cannot be used as a KVCacheManager: it lacks {lost}$"):
        adapt(fake)


def test_all_methods_that_a_manager_lacks_are_told() -> None:
    """One error names all missing methods, and the name of the cache."""
    fake = SimpleNamespace(**dict.fromkeys(MANAGER_METHODS[2:], print))
    with pytest.raises(
        UnusableCacheError,
        match=r"^mine:Manager cannot be used as a KVCacheManager: it lacks get_init_cache, set_init_cache$",
    ):
        adapt(fake, name="mine:Manager")


@pytest.mark.parametrize("lost", ["init_pools", "recur_pool", "wm_pool"])
def test_a_manager_that_lacks_a_pool_is_told_which(lost: str) -> None:
    """The error names the missing pool, for each pool that a cache needs."""
    fake = FakeManager()
    delattr(fake, lost)
    with pytest.raises(UnusableCacheError, match=f"^FakeManager cannot be used as a KVCacheManager: it lacks {lost}$"):
        adapt(fake)


def test_a_cache_is_taken_as_it_is() -> None:
    """An object with the four methods is not wrapped."""
    cache = CorrectCache(SPEC.config(), SPEC.env_num)
    assert adapt(cache) is cache


# ---------------------------------------------------------------------- managers as caches


@pytest.mark.parametrize(
    ("pool", "called"),
    [
        (init(1), ("set_init_cache", 1, 7, "value")),
        (RECUR, ("set_recur_cache", 7, "value")),
        (WM, ("set_wm_cache", 7, "value")),
    ],
    ids=str,
)
def test_a_set_calls_the_pools_set(pool: PoolId, called: tuple[Any, ...]) -> None:
    """It is called once, with key and value, and for an init pool with the environment."""
    fake = FakeManager()
    adapt(fake).set(pool, 7, "value")
    assert fake.calls == [called]


@pytest.mark.parametrize(
    ("pool", "called"),
    [(init(1), ("get_init_cache", 1, 7)), (RECUR, ("get_recur_cache", 7)), (WM, ("get_wm_cache", 7))],
    ids=str,
)
def test_a_get_calls_the_pools_get(pool: PoolId, called: tuple[Any, ...]) -> None:
    """It is called once, and what it returns is the answer."""
    fake = FakeManager()
    assert adapt(fake).get(pool, 7) == called
    assert fake.calls == [called]


@pytest.mark.parametrize(
    ("pool", "called"),
    [
        (RECUR, ("clear_recur_cache",)),
        (ALL_INIT, ("clear_init_caches",)),
        (ALL, ("clear_all",)),
        (init(1), ("init 1", "clear")),
        (WM, ("wm", "clear")),
    ],
    ids=str,
)
def test_a_clear_calls_the_clear_of_what_it_names(pool: PoolId, called: tuple[Any, ...]) -> None:
    """The manager's own method is called if it has one, else the pool's."""
    fake = FakeManager()
    adapt(fake).clear(pool)
    assert fake.calls == [called]


def test_a_checkout_is_a_lookup_and_a_copy_in_the_wm_pool() -> None:
    """What `hierarchical_get` found is set in the wm pool, and returned from there."""
    fake = FakeManager()
    copy = adapt(fake).checkout(1, 7)
    lookup, stored, got = fake.calls
    assert lookup == ("hierarchical_get", 1, 7)
    assert stored == ("set_wm_cache", got[1], lookup)
    assert copy == got
    assert got[0] == "get_wm_cache"


def test_a_checkout_that_misses_touches_no_wm_pool() -> None:
    """Without an entry, nothing is set in the wm pool."""
    fake = FakeManager()
    fake.hierarchical_get = lambda _env, _key: None
    assert adapt(fake).checkout(1, 7) is None
    assert fake.calls == []


def test_environments_that_check_out_one_key_get_copies_of_their_own() -> None:
    """Neither sees what the other writes, and the entry does not change."""
    cache = adapt(manager())
    cache.set(RECUR, 1, entry(1))
    first, second = cache.checkout(0, 1), cache.checkout(1, 1)
    assert first is not None
    first._keys_values[0]._k_cache._cache.fill_(9)
    assert same(second, entry(1))
    assert same(cache.get(RECUR, 1), entry(1))


@pytest.mark.parametrize("key", [0, 1, 2**63, 2**64 - 2, 2**64 - 1])
def test_a_working_copy_takes_no_key_that_a_workload_uses(key: int) -> None:
    """Its key in the wm pool is neither the key that was checked out nor 0 or another extreme key."""
    cache = adapt(manager())
    cache.set(RECUR, key, entry(1))
    for env in (0, 1):
        cache.checkout(env, key)
        assert cache.get(WM, key) is None


def test_working_copies_take_keys_of_64_bits() -> None:
    """Thousands of keys are all different and fit into 64 bits, so that any manager can hold them."""
    fake = FakeManager()
    cache = adapt(fake)
    keys = [cache.checkout(0, 7)[1] for _ in range(5000)]
    assert len(set(keys)) == 5000
    assert all(0 <= key < 2**64 for key in keys)


@pytest.mark.parametrize(
    ("strategy", "passed"),
    [("priority", [{"priority": 2.5}]), ("fifo", []), (SimpleNamespace(value="PRIORITY"), [{"priority": 2.5}])],
    ids=["priority", "fifo", "enumeration"],
)
@pytest.mark.parametrize("pool", [init(1), RECUR, WM], ids=str)
def test_a_priority_goes_to_pools_that_evict_by_it(pool: PoolId, strategy: Any, passed: list[Any]) -> None:
    """Other pools get no priority, because their managers may not accept one."""
    fake = FakeManager()
    cache = adapt(fake)
    for held in (*fake.init_pools, fake.recur_pool, fake.wm_pool):
        held.eviction_strategy = strategy
    cache.set(pool, 7, "value", priority=2.5)
    [call] = fake.calls
    assert [argument for argument in call if isinstance(argument, dict)] == passed


def test_a_set_without_priority_passes_none() -> None:
    """A pool that evicts by priority keeps its own default."""
    fake = FakeManager()
    fake.recur_pool.eviction_strategy = "priority"
    adapt(fake).set(RECUR, 7, "value")
    assert fake.calls == [("set_recur_cache", 7, "value")]


@pytest.mark.parametrize("pool", [init(1), RECUR, WM], ids=str)
@pytest.mark.parametrize(
    ("declared", "name"), [("lru", "lru"), ("LRU", "lru"), (SimpleNamespace(value="priority"), "priority")]
)
def test_the_strategy_is_what_the_pool_declares(pool: PoolId, declared: Any, name: str) -> None:
    """Text and enumeration values are accepted, and given in lower case."""
    fake = FakeManager()
    for held in (fake.init_pools[1], fake.recur_pool, fake.wm_pool):
        held.eviction_strategy = declared
    assert ManagerCache(fake).strategy(pool) == name


def test_a_pool_that_declares_nothing_is_first_in_first_out() -> None:
    """Without a declared strategy, a pool is first in, first out."""
    assert ManagerCache(FakeManager()).strategy(RECUR) == "fifo"


def test_statistics_are_the_pools_own() -> None:
    """Hits, misses, evictions, keys and bytes are those of the manager's pool."""
    cache = ManagerCache(manager())
    for key in range(SPEC.init_pool_size + 1):
        cache.set(init(0), key, entry(key))
    for key in (0, 1, 2):
        cache.get(init(0), key)
    allocated = SPEC.init_pool_size * 4 * 1 * 2 * 8 * 4 * 4
    assert cache.stats(init(0)) == PoolStats(hits=2, misses=1, evictions=1, length=3, size_bytes=allocated)
    assert cache.stats(init(1)).length == 0


def test_statistics_that_a_pool_has_not_are_none() -> None:
    """A missing counter, or one that is not an integer, is None."""
    fake = FakeManager()
    fake.recur_pool.stats = SimpleNamespace(hits=3, misses=2.5, evictions=True)
    assert ManagerCache(fake).stats(RECUR) == PoolStats(hits=3)
    assert ManagerCache(fake).stats(WM) == PoolStats()


def test_statistics_of_numpy_are_integers() -> None:
    """Counters may be numpy integers."""
    fake = FakeManager()
    fake.recur_pool.stats = SimpleNamespace(hits=np.int64(3), misses=np.float64(2), evictions=np.bool_(1))  # type: ignore[attr-defined]
    stats = ManagerCache(fake).stats(RECUR)
    assert stats == PoolStats(hits=3)
    assert type(stats.hits) is int


def test_statistics_that_are_switched_off_are_none() -> None:
    """With statistics off, every counter is None, whatever its value."""
    cache = ManagerCache(KVCacheManager(SPEC.config(), SPEC.env_num, enable_stats=False))
    cache.set(RECUR, 1, entry(1))
    cache.get(RECUR, 1)
    stats = cache.stats(RECUR)
    assert (stats.hits, stats.misses, stats.evictions, stats.length) == (None, None, None, 1)


def test_an_adapted_manager_is_a_cache() -> None:
    """It has all methods of the protocol."""
    cache: Cache = adapt(manager())
    assert cache.get(RECUR, 1) is None
