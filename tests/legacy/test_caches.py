"""The original, where it behaves: the contract for the evicting generation, sizes, counts, drops and messages."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import kvparity_legacy
from kvparity.caches.protocol import CacheSpec, Drop, HasStats, PoolStats, ReportsDrops
from kvparity.contract import CacheContract, entry, same
from kvparity.operations import ALL, ALL_INIT, RECUR, WM, PoolId, init
from kvparity.values.entry import size_bytes
from kvparity_legacy import EvictingCache, ReleasedCache

SPEC = CacheSpec(env_num=2, init_pool_size=3, num_simulations=4)

generations = pytest.mark.parametrize("generation", [ReleasedCache, EvictingCache])


class TestEvicting(CacheContract):
    """The evicting generation keeps the whole contract: its quirks only lose keys."""

    cache = EvictingCache


def test_the_facade() -> None:
    """The package exports both generations, sorted, and nothing else."""
    assert kvparity_legacy.__all__ == ["EvictingCache", "ReleasedCache"]
    assert sorted(kvparity_legacy.__all__) == kvparity_legacy.__all__


@generations
@pytest.mark.parametrize("env", [-1, SPEC.env_num])
def test_an_environment_out_of_range_is_a_value_error(generation: type[EvictingCache], env: int) -> None:
    """An `env_id` beyond the last environment, or before the first, raises with the range in the text."""
    cache = generation(SPEC.config(), SPEC.env_num)
    message = rf"^env_id {env} is outside \[0, 2\): this .* env_num=2$"
    with pytest.raises(ValueError, match=message):
        cache.get(init(env), 1)
    with pytest.raises(ValueError, match=message):
        cache.set(init(env), 1, entry(1))
    with pytest.raises(ValueError, match=message):
        cache.checkout(env, 1)


@generations
def test_lends_the_slots_own_object(generation: type[EvictingCache]) -> None:
    """Two gets of one key lend one object, no copies."""
    cache = generation(SPEC.config(), SPEC.env_num)
    cache.set(RECUR, 1, entry(1))
    assert cache.get(RECUR, 1) is cache.get(RECUR, 1)


@generations
def test_a_slot_is_written_in_place(generation: type[EvictingCache]) -> None:
    """When a ring reuses a slot, it overwrites the slot's own tensors and does not replace them."""
    cache = generation(CacheSpec(env_num=1, init_pool_size=1).config(), 1)
    cache.set(init(0), 1, entry(1))
    lent = cache.get(init(0), 1)
    assert lent is not None
    tensor = lent._keys_values[0]._k_cache._cache
    cache.set(init(0), 2, entry(2))
    assert tensor.equal(entry(2)._keys_values[0]._k_cache._cache)


@generations
def test_recur_has_num_simulations_slots_for_each_environment(generation: type[EvictingCache]) -> None:
    """A recur ring of 2 * 3 slots holds the last six of seven keys under their own values."""
    cache = generation(SimpleNamespace(init_pool_size=1, num_simulations=3), 2)
    for key in range(7):
        cache.set(RECUR, key, entry(key))
    assert [same(cache.get(RECUR, key), entry(key)) for key in range(7)] == [False] + [True] * 6


def test_num_simulations_is_50_when_absent() -> None:
    """Without `num_simulations` the recur ring of one environment has 50 slots."""
    cache = EvictingCache(SimpleNamespace(game_segment_length=1), 1)
    for key in range(51):
        cache.set(RECUR, key, entry(key, layers=1))
    assert cache.stats(RECUR).length == 50


def test_an_init_pool_falls_back_on_game_segment_length() -> None:
    """Without `init_pool_size` an init ring has `game_segment_length` slots."""
    cache = EvictingCache(SimpleNamespace(game_segment_length=2), 1)
    for key in range(3):
        cache.set(init(0), key, entry(key))
    assert cache.stats(init(0)).length == 2


@generations
def test_counts_lookups_by_pool(generation: type[EvictingCache]) -> None:
    """A checkout that recur answers is a miss of the init pool, a hit of recur and nothing of wm."""
    cache = generation(SPEC.config(), SPEC.env_num)
    assert isinstance(cache, HasStats)
    cache.set(RECUR, 1, entry(1))
    cache.checkout(0, 1)
    counts = {str(pool): cache.stats(pool) for pool in SPEC.pools}
    assert [(counts[pool].hits, counts[pool].misses) for pool in counts] == [(0, 1), (0, 0), (1, 0), (0, 0)]


def test_a_checkout_that_init_answers_does_not_ask_recur() -> None:
    """A hit in the init pool is one hit there and no lookup of recur."""
    cache = EvictingCache(SPEC.config(), SPEC.env_num)
    cache.set(init(1), 1, entry(1))
    cache.checkout(1, 1)
    assert (cache.stats(init(1)).hits, cache.stats(RECUR).misses) == (1, 0)


def test_counts_evictions_length_and_bytes() -> None:
    """Five sets into three slots are two evictions, three keys and three slots' bytes."""
    cache = EvictingCache(SPEC.config(), SPEC.env_num)
    for key in range(5):
        cache.set(init(0), key, entry(key))
    expected = PoolStats(hits=0, misses=0, evictions=2, length=3, size_bytes=3 * size_bytes(entry(0)))
    assert cache.stats(init(0)) == expected


@generations
def test_a_clear_keeps_counts_and_storage(generation: type[EvictingCache]) -> None:
    """After a clear the length is 0 and the bytes and hits are what they were."""
    cache = generation(SPEC.config(), SPEC.env_num)
    cache.set(WM, 1, entry(1))
    cache.get(WM, 1)
    cache.clear(ALL)
    stats = cache.stats(WM)
    assert (stats.length, stats.hits, stats.size_bytes) == (0, 1, size_bytes(entry(1)))


def test_reports_a_proper_eviction() -> None:
    """The listener gets the pool, the key, the slot, and that the slot was reused."""
    cache, drops = EvictingCache(SPEC.config(), SPEC.env_num), []
    assert isinstance(cache, ReportsDrops)
    cache.on_drop = drops.append
    for key in range(4):
        cache.set(init(1), key, entry(key))
    reason = "it reused slot 0, which held the key"
    assert drops == [Drop(pool=init(1), key=0, slot=0, reason=reason)]


def test_reports_a_spurious_drop() -> None:
    """The listener is called if a key leaves because of a slot that no longer holds it."""
    cache, drops = EvictingCache(SPEC.config(), SPEC.env_num), []
    cache.on_drop = drops.append
    for key in (0, 0, 1, 2):
        cache.set(init(0), key, entry(key))
    reason = (
        "it reused slot 0, which still named this key as its owner, although the key's newest value is in slot 1"
        " (known quirk: docs/the-original.md)"
    )
    assert drops == [Drop(pool=init(0), key=0, slot=0, reason=reason, spurious=True)]


def test_does_not_report_a_key_that_is_set_at_once_again() -> None:
    """A key that is set again into its own slot neither leaves nor counts as evicted."""
    cache, drops = EvictingCache(SPEC.config(), SPEC.env_num), []
    cache.on_drop = drops.append
    for key in (0, 1, 2, 0):
        cache.set(init(0), key, entry(key))
    assert (drops, cache.stats(init(0)).evictions) == ([], 0)


def test_a_checkout_drops_the_wm_key_whose_slot_it_takes() -> None:
    """Working copies and keys that are set in wm use the same ring."""
    cache, drops = EvictingCache(SPEC.config(), SPEC.env_num), []
    cache.set(RECUR, 1, entry(1))
    for key in (5, 6):
        cache.set(WM, key, entry(key))
    cache.on_drop = drops.append
    cache.checkout(0, 1)
    assert [(drop.pool, drop.key) for drop in drops] == [(WM, 5)]
    assert cache.get(WM, 5) is None
    assert same(cache.get(WM, 6), entry(6))


def test_a_working_copy_owns_its_slot() -> None:
    """The slot of a working copy names no key, so no key leaves because of it."""
    cache = EvictingCache(SPEC.config(), SPEC.env_num)
    cache.set(RECUR, 1, entry(1))
    cache.set(WM, 5, entry(5))
    cache.set(WM, 6, entry(6))
    cache.checkout(0, 1)
    cache.set(WM, 5, entry(7))
    cache.checkout(1, 1)
    assert same(cache.get(WM, 5), entry(7))


def test_released_reports_no_drops() -> None:
    """The released generation never removes a key, so it has no listener to call."""
    assert not isinstance(ReleasedCache(SPEC.config(), SPEC.env_num), ReportsDrops)


@generations
@pytest.mark.parametrize(
    ("config", "env_num", "message"),
    [
        ({"init_pool_size": 1}, 0, "env_num must be an integer of at least 1, got 0"),
        ({"init_pool_size": 0}, 1, "init_pool_size must be an integer of at least 1, got 0"),
        ({}, 1, "game_segment_length must be an integer of at least 1, got None"),
        (
            {"init_pool_size": 1, "num_simulations": 1.5},
            1,
            "num_simulations must be an integer of at least 1, got 1.5",
        ),
    ],
)
def test_a_bad_size_is_a_value_error(
    generation: type[EvictingCache], config: dict[str, object], env_num: int, message: str
) -> None:
    """The error names the size, its value and what was expected."""
    with pytest.raises(ValueError, match="must be an integer") as raised:
        generation(SimpleNamespace(**config), env_num)
    assert str(raised.value) == message


@generations
@pytest.mark.parametrize("pool", [ALL, ALL_INIT, PoolId("other")], ids=str)
def test_a_pool_that_is_not_one_pool_is_a_value_error(generation: type[EvictingCache], pool: PoolId) -> None:
    """A set into several pools, or into an unknown one, raises and names the possible pools."""
    cache = generation(SPEC.config(), SPEC.env_num)
    with pytest.raises(ValueError, match=f"^{pool} is not a single pool: expected init") as raised:
        cache.set(pool, 1, entry(1))
    assert str(raised.value).endswith("expected init[env], recur or wm")
