"""Deep copies and pickles of pools and managers: complete, and apart from what they are of."""

from __future__ import annotations

import copy
import pickle
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import torch

from kvparity.caches.protocol import CacheSpec
from kvparity.contract import entry, same
from kvparity.values.entry import KeysValues, clone, read, row_of, size_bytes
from kvparity_refactored import EvictionStrategy, KVCacheManager, KVCachePool, LockedManager

if TYPE_CHECKING:
    from collections.abc import Callable

Copied = TypeVar("Copied")


def through_pickle(value: Copied) -> Copied:
    """The value after it was pickled and unpickled."""
    result: Copied = pickle.loads(pickle.dumps(value))  # noqa: S301
    return result


DUPLICATES: dict[str, Callable[[Any], Any]] = {"deepcopy": copy.deepcopy, "pickle": through_pickle}

duplicates = pytest.mark.parametrize("duplicate", DUPLICATES.values(), ids=DUPLICATES)
strategies = pytest.mark.parametrize("strategy", EvictionStrategy, ids=lambda strategy: strategy.value)
locked_or_not = pytest.mark.parametrize("kind", [KVCacheManager, LockedManager], ids=["plain", "thread-safe"])


def manager(kind: type[KVCacheManager] = KVCacheManager, **options: Any) -> KVCacheManager:
    """A manager of two environments, 3 init slots each, 8 recur slots."""
    spec = CacheSpec(env_num=2, init_pool_size=3, num_simulations=4)
    return kind(spec.config(), spec.env_num, **options)


def filled(strategy: EvictionStrategy) -> KVCachePool:
    """A full pool of the keys 0, 1 and 2. Key 0 was used last, and key 1 has the lowest priority."""
    pool = KVCachePool(3, strategy, name="recur")
    for key, priority in enumerate([2.0, 1.0, 3.0]):
        pool.set(key, entry(key), priority)
    pool.get(0)
    return pool


@strategies
@locked_or_not
@duplicates
def test_a_copy_of_a_manager_goes_its_own_way(
    duplicate: Callable[[KVCacheManager], KVCacheManager],
    kind: type[KVCacheManager],
    strategy: EvictionStrategy,
) -> None:
    """It has everything that the original holds, and later operations of one do not affect the other."""
    original = manager(kind, eviction_strategy=strategy)
    original.set_init_cache(0, 1, entry(1))
    original.set_recur_cache(2, entry(2))
    original.set_wm_cache(3, entry(3))
    copied = duplicate(original)
    assert same(copied.hierarchical_get(0, 1), entry(1))
    assert same(copied.hierarchical_get(0, 2), entry(2))
    assert same(copied.get_wm_cache(3), entry(3))
    for key in (2, *range(10, 20)):
        copied.set_recur_cache(key, entry(key + 1))
        assert same(copied.get_recur_cache(key), entry(key + 1))
    assert len(original.recur_pool) == 1
    assert same(original.get_recur_cache(2), entry(2))
    copied.clear_all()
    assert copied.hierarchical_get(0, 1) is None
    assert same(original.hierarchical_get(0, 1), entry(1))
    copied.reset_stats()
    assert copied.get_stats_summary() == manager().get_stats_summary()
    assert original.recur_pool.stats.hits > 0


@strategies
@duplicates
def test_a_copy_of_a_pool_has_its_order(
    duplicate: Callable[[KVCachePool], KVCachePool], strategy: EvictionStrategy
) -> None:
    """The same keys leave the copy and the original, whatever happens to the other one."""
    original = filled(strategy)
    copied = duplicate(original)
    left = []
    for pool in (copied, original):
        keys = list(range(9))
        for key in range(3, 9):
            pool.set(key, entry(key), 10.0 - key)
            pool.get(key)
            assert same(pool.get(key), entry(key))
        left.append([key for key in keys if pool.get(key) is not None])
    assert left[0] == left[1]
    assert copied.stats == original.stats
    assert (copied.size_bytes, copied.name) == (original.size_bytes, original.name)


@duplicates
def test_a_copy_of_an_lru_pool_refreshes_its_own_order(duplicate: Callable[[KVCachePool], KVCachePool]) -> None:
    """A lookup in the copy keeps a key there, and not in the original."""
    original = filled(EvictionStrategy.LRU)
    copied = duplicate(original)
    copied.get(1)
    copied.set(3, entry(3))
    original.set(3, entry(3))
    assert copied.get(2) is None
    assert original.get(1) is None


@duplicates
def test_a_copy_of_a_slot_keeps_its_storage(duplicate: Callable[[KVCachePool], KVCachePool]) -> None:
    """It has a row of its own, which takes the next value of its kind, and no value of another kind."""
    original = filled(EvictionStrategy.FIFO)
    copied = duplicate(original)
    before, of_original = row_of(copied.get(1)), row_of(original.get(1))
    copied.set(1, entry(5))
    assert before is not None
    assert row_of(copied.get(1)) is before
    assert before is not of_original
    copied.set(1, entry(5, layers=3))
    assert copied.size_bytes == 2 * size_bytes(entry(0)) + size_bytes(entry(5, layers=3))


@duplicates
def test_a_copy_reads_a_source_inside_its_storage_before_it_writes(
    duplicate: Callable[[KVCachePool], KVCachePool],
) -> None:
    """Views of the copy's own row are recognised, although it is in another place."""
    original = KVCachePool(1)
    original.set(0, entry(0, shape=(1, 4, 4, 4)))
    copied = duplicate(original)
    own = read(copied.get(0))[0]
    source = KeysValues([own[i][:, :, :1].expand(1, 4, 4, 4) for i in (1, 0, 3, 2)], [1, 2, 3, 4])
    expected = clone(source)
    copied.set(0, source)
    assert same(copied.get(0), expected)


@duplicates
def test_a_copy_has_what_a_consumer_put_into_a_working_copy(
    duplicate: Callable[[KVCachePool], KVCachePool],
) -> None:
    """The replaced tensor is in the copy until the next set, and does not count as memory."""
    original, foreign = KVCachePool(1), torch.ones(1, 2, 90, 4)
    original.set(0, entry(0))
    lent = original.get(0)
    assert lent is not None
    lent._keys_values[0]._k_cache._cache = foreign
    copied = duplicate(original)
    assert same(copied.get(0), lent)
    copied.set(0, entry(1))
    assert same(copied.get(0), entry(1))
    assert copied.size_bytes == size_bytes(entry(1))


@duplicates
def test_what_is_lent_is_the_slots_own_in_a_copy_too(duplicate: Callable[[Any], Any]) -> None:
    """If a model holds a manager and one of its entries, they belong together in a copy of the model."""
    original = manager()
    original.set_wm_cache(1, entry(1))
    copied, lent = duplicate((original, original.get_wm_cache(1)))
    assert copied.get_wm_cache(1) is lent


@duplicates
def test_a_copy_of_a_thread_safe_manager_has_one_lock_of_its_own(
    duplicate: Callable[[KVCacheManager], KVCacheManager],
) -> None:
    """All its pools share the new lock, and the original's lock blocks nobody in the copy."""
    original = manager(LockedManager)
    with original.recur_pool._lock:  # type: ignore[attr-defined]
        copied = duplicate(original)
        thread = Thread(target=copied.clear_all, daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
    pools = (*copied.init_pools, copied.recur_pool, copied.wm_pool)
    assert {id(pool._lock) for pool in pools} == {id(copied._lock)}  # type: ignore[attr-defined]
    assert copied._lock is not original._lock


def test_a_copy_of_a_pool_keeps_what_a_subclass_added() -> None:
    """Attributes of a subclass without slots are copied as Python does."""

    class Named(KVCachePool):
        """Has a dictionary."""

    original = Named(1)
    vars(original)["note"] = ["kept"]
    copied = copy.deepcopy(original)
    assert vars(copied) == {"note": ["kept"]}
    assert vars(copied)["note"] is not vars(original)["note"]
