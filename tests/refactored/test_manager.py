"""`KVCacheManager` and the switch: the contract under every strategy, sizes, lookups, statistics, messages."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import kvparity_refactored
from kvparity import registry
from kvparity.caches import adapter
from kvparity.caches.protocol import CacheSpec
from kvparity.contract import CacheContract, entry, same
from kvparity.operations import init
from kvparity_legacy import EvictingCache
from kvparity_refactored import EvictionStrategy, KVCacheManager, build_cache

SPEC = CacheSpec(env_num=2, init_pool_size=3, num_simulations=4)


class TestFifo(CacheContract):
    """The first-in-first-out manager keeps the contract."""

    cache = kvparity_refactored.fifo


class TestLru(CacheContract):
    """The least-recently-used manager keeps the contract."""

    cache = kvparity_refactored.lru


class TestPriority(CacheContract):
    """The priority manager keeps the contract."""

    cache = kvparity_refactored.priority


@pytest.mark.parametrize("env", [-1, SPEC.env_num])
@pytest.mark.parametrize("name", ["refactored-fifo", "refactored-lru", "refactored-priority"])
def test_an_environment_out_of_range_is_a_value_error(name: str, env: int) -> None:
    """An `env_id` beyond the last environment, or before the first, raises with the range in the text."""
    cache = registry.build_cache(name, SPEC)
    message = rf"^env_id {env} is outside \[0, 2\): this .* env_num=2$"
    with pytest.raises(ValueError, match=message):
        cache.get(init(env), 1)
    with pytest.raises(ValueError, match=message):
        cache.set(init(env), 1, entry(1))
    with pytest.raises(ValueError, match=message):
        cache.checkout(env, 1)


def manager(**options: Any) -> KVCacheManager:
    """A new, empty manager of two environments, 3 init slots each, 8 recur slots."""
    return KVCacheManager(SPEC.config(), SPEC.env_num, **options)


def test_the_facade() -> None:
    """The package exports these names, sorted, and nothing else."""
    assert kvparity_refactored.__all__ == [
        "CacheStats",
        "EvictionStrategy",
        "KVCacheManager",
        "KVCachePool",
        "LockedManager",
        "build_cache",
        "fifo",
        "lru",
        "priority",
        "thread_safe",
    ]
    assert sorted(kvparity_refactored.__all__) == kvparity_refactored.__all__


@pytest.mark.parametrize("name", ["fifo", "lru", "priority"])
def test_a_factory_builds_its_strategy(name: str) -> None:
    """Each factory's manager uses its strategy in every pool."""
    built = getattr(kvparity_refactored, name)(SPEC.config(), SPEC.env_num)
    pools = [*built.init_pools, built.recur_pool, built.wm_pool]
    assert {pool.eviction_strategy for pool in pools} == {EvictionStrategy(name)}


def test_fifo_is_the_default() -> None:
    """Without a strategy, a manager evicts first in, first out."""
    assert manager().recur_pool.eviction_strategy is EvictionStrategy.FIFO


@pytest.mark.parametrize(
    ("config", "sizes"),
    [
        ({"game_segment_length": 20, "num_simulations": 25}, (20, 75, 3)),
        ({"game_segment_length": 20}, (20, 150, 3)),
        ({"game_segment_length": 20, "init_pool_size": 7}, (7, 150, 3)),
        ({"game_segment_length": 20, "max_cache_size": 5000}, (20, 150, 3)),
        ({"game_segment_length": 20, "max_cache_size": 5}, (5, 150, 3)),
    ],
)
def test_pool_sizes_come_from_the_config(config: dict[str, int], sizes: tuple[int, ...]) -> None:
    """Init pools are sized by config, recur by simulations times environments (50 when absent), wm by environments."""
    built = KVCacheManager(SimpleNamespace(**config), 3)
    assert (built.init_pools[0].pool_size, built.recur_pool.pool_size, built.wm_pool.pool_size) == sizes
    assert len(built.init_pools) == 3


@pytest.mark.parametrize(
    ("config", "env_num", "message"),
    [
        ({"game_segment_length": 20}, 0, "env_num must be an integer of at least 1, got 0"),
        (
            {"game_segment_length": 0},
            1,
            "game_segment_length must be an integer of at least 1, got 0",
        ),
        ({}, 1, "game_segment_length must be an integer of at least 1, got None"),
        (
            {"game_segment_length": 1, "num_simulations": -2},
            1,
            "num_simulations must be an integer of at least 1, got -2",
        ),
        (
            {"game_segment_length": 1, "max_cache_size": 0},
            1,
            "max_cache_size must be an integer of at least 1, got 0",
        ),
    ],
)
def test_a_bad_size_is_a_value_error(config: dict[str, int], env_num: int, message: str) -> None:
    """A size that no pool can have raises with its name, its value and the range."""
    with pytest.raises(ValueError, match="must be an integer") as raised:
        KVCacheManager(SimpleNamespace(**config), env_num)
    assert str(raised.value) == message


@pytest.mark.parametrize("env_id", [-1, 2, None, 0.5, "0"])
def test_a_bad_env_id_is_a_value_error(env_id: Any) -> None:
    """Each method with an `env_id` raises for one that does not exist, and names the range and its source."""
    built = manager()
    calls = (
        lambda: built.get_init_cache(env_id, 1),
        lambda: built.set_init_cache(env_id, 1, entry(1)),
        lambda: built.hierarchical_get(env_id, 1),
    )
    for call in calls:
        with pytest.raises(ValueError, match="env_id") as raised:
            call()
        assert str(raised.value) == f"env_id {env_id!r} is outside [0, 2): this manager was built with env_num=2"


def test_set_methods_return_the_slot() -> None:
    """Every setter returns the slot that it wrote, the same one for the same key."""
    built = manager()
    slots = [(built.set_init_cache(1, key, entry(key)), built.set_recur_cache(key, entry(key))) for key in (5, 6, 5)]
    assert slots == [(0, 0), (1, 1), (0, 0)]
    assert [built.set_wm_cache(key, entry(key)) for key in (5, 6, 5)] == [0, 1, 0]


def test_parameters_have_the_names_that_callers_know() -> None:
    """Every argument can be given by keyword."""
    built = manager(enable_stats=True)
    built.set_init_cache(env_id=0, cache_key=1, kv_cache=entry(1))
    built.set_recur_cache(cache_key=2, kv_cache=entry(2))
    built.set_wm_cache(cache_key=3, kv_cache=entry(3))
    assert same(built.get_init_cache(env_id=0, cache_key=1), entry(1))
    assert same(built.get_recur_cache(cache_key=2), entry(2))
    assert same(built.get_wm_cache(cache_key=3), entry(3))
    assert same(built.hierarchical_get(env_id=0, cache_key=2), entry(2))


def test_priorities_reach_the_pools() -> None:
    """A priority that is passed to the manager decides which key leaves."""
    built = manager(eviction_strategy=EvictionStrategy.PRIORITY)
    for key, priority in enumerate([2.0, 1.0, 3.0, 4.0]):
        built.set_init_cache(0, key, entry(key), priority=priority)
    assert [built.get_init_cache(0, key) is None for key in range(4)] == [False, True, False, False]


def test_a_hierarchical_get_counts_once_in_each_pool_that_it_asks() -> None:
    """A lookup that init answers does not ask recur; one that recur answers is a miss of init."""
    built = manager()
    built.set_init_cache(0, 1, entry(1))
    built.set_recur_cache(2, entry(2))
    built.hierarchical_get(0, 1)
    built.hierarchical_get(0, 2)
    built.hierarchical_get(0, 3)
    init, recur = built.init_pools[0].stats, built.recur_pool.stats
    assert (init.hits, init.misses, recur.hits, recur.misses) == (1, 2, 1, 1)


def test_a_clear_keeps_statistics() -> None:
    """Every clear empties its pools and keeps the counters; only `reset_stats` sets them to zero."""
    built = manager()
    for env_id in range(2):
        built.set_init_cache(env_id, 1, entry(1))
        built.get_init_cache(env_id, 1)
    built.set_recur_cache(1, entry(1))
    built.get_recur_cache(1)
    built.clear_init_caches()
    built.clear_recur_cache()
    built.clear_all()
    pools = [*built.init_pools, built.recur_pool]
    assert [(len(pool), pool.stats.hits) for pool in pools] == [(0, 1)] * 3
    built.reset_stats()
    assert [pool.stats.hits for pool in pools] == [0] * 3


def test_clear_all_empties_every_pool() -> None:
    """`clear_all` clears the init pools, recur and wm."""
    built = manager()
    built.set_init_cache(1, 1, entry(1))
    built.set_recur_cache(1, entry(1))
    built.set_wm_cache(1, entry(1))
    built.clear_all()
    assert [len(pool) for pool in (*built.init_pools, built.recur_pool, built.wm_pool)] == [0] * 4


def test_the_summary() -> None:
    """The summary has these keys, and each value is the text of its pool's statistics."""
    built = manager()
    built.set_init_cache(1, 1, entry(1))
    built.get_init_cache(1, 1)
    idle = "CacheStats(hits=0, misses=0, evictions=0, hit_rate=0.00%)"
    assert built.get_stats_summary() == {
        "stats_enabled": True,
        "init_pools": {"env_0": idle, "env_1": "CacheStats(hits=1, misses=0, evictions=0, hit_rate=100.00%)"},
        "recur_pool": idle,
        "wm_pool": idle,
    }


def test_the_summary_with_statistics_off() -> None:
    """With statistics off the summary has the same keys, and says so."""
    built = manager(enable_stats=False)
    built.get_recur_cache(1)
    summary = built.get_stats_summary()
    assert summary["stats_enabled"] is False
    assert summary["recur_pool"] == "CacheStats(hits=0, misses=0, evictions=0, hit_rate=0.00%)"
    assert list(summary["init_pools"]) == ["env_0", "env_1"]


def test_the_old_attributes_hold_what_the_wm_pool_holds() -> None:
    """`keys_values_wm_list` and its sizes are the working copies, or empty without any."""
    built = manager()
    assert (built.keys_values_wm_list, built.keys_values_wm_size_list) == ([], [])
    for key in (1, 2, 3):
        built.set_wm_cache(key, entry(key))
    assert built.keys_values_wm_list == [built.get_wm_cache(3), built.get_wm_cache(2)]
    assert built.keys_values_wm_size_list == [3, 2]
    built.wm_pool.clear()
    assert (built.keys_values_wm_list, built.keys_values_wm_size_list) == ([], [])


def test_the_switch_is_off_by_default() -> None:
    """Without `use_new_cache_manager`, the caller's legacy system is built."""
    assert isinstance(build_cache(SPEC.config(), 2, legacy=EvictingCache), EvictingCache)


@pytest.mark.parametrize(("wanted", "expected"), [(True, KVCacheManager), (False, EvictingCache)])
def test_the_switch_is_one_line_of_the_config(wanted: bool, expected: type) -> None:  # noqa: FBT001
    """`use_new_cache_manager` alone decides, so removing it rolls back."""
    config = SPEC.config()
    config.use_new_cache_manager = wanted
    assert isinstance(build_cache(config, 2, legacy=EvictingCache), expected)


def test_either_side_of_the_switch_is_driven_alike() -> None:
    """Both results of the switch work through one interface."""
    for wanted in (True, False):
        config = SPEC.config()
        config.use_new_cache_manager = wanted
        cache = adapter.adapt(build_cache(config, 2, legacy=EvictingCache))
        cache.set(SPEC.pools[0], 1, entry(1))
        assert same(cache.checkout(0, 1), entry(1))


def test_a_switch_that_is_no_boolean_is_a_value_error() -> None:
    """The text "False" raises, because it would count as true."""
    config = SimpleNamespace(use_new_cache_manager="False")
    with pytest.raises(ValueError, match=r"^use_new_cache_manager must be True or False, got 'False'$"):
        build_cache(config, 2, legacy=EvictingCache)
