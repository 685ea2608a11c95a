"""`KVCachePool`: slots, statistics, failures, and what a slot does with its storage."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kvparity.contract import entry, same
from kvparity.errors import NotKeysValuesError
from kvparity.values.entry import KeysValues, clone, read, row_of, size_bytes
from kvparity_refactored import CacheStats, EvictionStrategy, KVCachePool

strategies = pytest.mark.parametrize("strategy", EvictionStrategy, ids=lambda strategy: strategy.value)


def row(pool: KVCachePool, key: int) -> torch.Tensor:
    """The storage behind a held key."""
    found = row_of(pool.get(key))
    assert found is not None
    return found


@strategies
def test_fills_slots_in_order(strategy: EvictionStrategy) -> None:
    """`set` returns the slot, and slots fill from 0."""
    pool = KVCachePool(3, strategy)
    assert [pool.set(key, entry(key)) for key in (7, 8, 9)] == [0, 1, 2]


@strategies
def test_an_update_in_place_returns_the_same_slot(strategy: EvictionStrategy) -> None:
    """A key set again stays in its slot and counts once."""
    pool = KVCachePool(3, strategy)
    slots = [pool.set(key, entry(seed)) for seed, key in enumerate([7, 8, 7, 8])]
    assert slots == [0, 1, 0, 1]
    assert len(pool) == 2
    assert same(pool.get(7), entry(2))


@strategies
def test_a_clear_fills_from_the_first_slot_again(strategy: EvictionStrategy) -> None:
    """After a clear the pool is empty, and no key from before it is evicted later."""
    pool = KVCachePool(3, strategy)
    for key in range(5):
        pool.set(key, entry(key))
    pool.clear()
    assert len(pool) == 0
    assert [pool.set(key, entry(key)) for key in (0, 1, 2)] == [0, 1, 2]
    assert pool.stats.evictions == 2


def test_lends_the_slots_own_object() -> None:
    """Two gets lend one object, no copies."""
    pool = KVCachePool(1)
    pool.set(1, entry(1))
    assert pool.get(1) is pool.get(1)


def test_counts_each_lookup_once() -> None:
    """Hits, misses and evictions are counted; an update in place and a clear count nothing."""
    pool = KVCachePool(1)
    pool.set(1, entry(1))
    pool.set(1, entry(2))
    pool.get(1)
    pool.get(2)
    pool.set(2, entry(2))
    pool.clear()
    pool.get(2)
    assert pool.stats == CacheStats(hits=1, misses=2, evictions=1)


def test_counts_nothing_when_told_not_to() -> None:
    """With statistics off, every counter stays at zero and the rates are those without queries."""
    pool = KVCachePool(1, EvictionStrategy.LRU, enable_stats=False)
    for key in range(3):
        pool.set(key, entry(key))
        pool.get(key)
    assert pool.stats == CacheStats()
    assert (pool.stats.hit_rate, pool.stats.miss_rate) == (0.0, 1.0)


@pytest.mark.parametrize("size", [0, -1, 1.5, None, True])
def test_a_bad_size_is_a_value_error(size: Any) -> None:
    """The error names the pool, the size and what was expected."""
    with pytest.raises(ValueError, match="pool_size") as raised:
        KVCachePool(size, name="recur")
    assert str(raised.value) == f"pool_size of pool recur must be an integer of at least 1, got {size!r}"


def test_an_unknown_strategy_is_a_value_error() -> None:
    """A strategy that does not exist raises."""
    with pytest.raises(ValueError, match="'random' is not a valid EvictionStrategy"):
        KVCachePool(1, "random")  # type: ignore[arg-type]


@pytest.mark.parametrize("priority", [float("nan"), "high", [1], 10**400], ids=["nan", "text", "list", "too-large"])
def test_a_priority_that_cannot_be_compared_is_a_value_error(priority: Any) -> None:
    """NaN would break the order, so it raises like anything that is not a float, and nothing is stored."""
    pool = KVCachePool(1, EvictionStrategy.PRIORITY)
    with pytest.raises(ValueError, match=r"^priority must be a number that can be compared with others, got "):
        pool.set(1, entry(1), priority)
    assert len(pool) == 0


def test_says_what_it_is() -> None:
    """Its repr has the name, the strategy and how many slots are held."""
    pool = KVCachePool(3, EvictionStrategy.LRU, name="recur")
    pool.set(1, entry(1))
    assert repr(pool) == "KVCachePool('recur', lru, 1 of 3 slots held)"


class Half:
    """A value whose second layer raises when it is read."""

    @property
    def _keys_values(self) -> Any:
        yield entry(9)._keys_values[0]
        raise AttributeError("no second layer")


RUBBISH = {
    "text": "rubbish",
    "none": None,
    "half": Half(),
    "no-layers": KeysValues([], []),
    "no-tensors": KeysValues([None] * 4, [0] * 4),  # type: ignore[list-item]
    "last-is-no-tensor": KeysValues([*read(entry(9))[0][:3], None], [0] * 4),  # type: ignore[list-item]
    "lists": KeysValues([[0.0]] * 4, [0] * 4),  # type: ignore[list-item]
}


@strategies
@pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH.keys())
def test_a_failing_set_changes_nothing(strategy: EvictionStrategy, rubbish: Any) -> None:
    """A value that is not an entry evicts nothing under a new key, and changes nothing under a held one."""
    pool = KVCachePool(2, strategy)
    for key in (0, 1):
        pool.set(key, entry(key))
        for target in (0, 5):
            with pytest.raises(NotKeysValuesError):
                pool.set(target, rubbish)
        assert len(pool) == key + 1
    assert [same(pool.get(key), entry(key)) for key in (0, 1)] == [True, True]
    assert pool.get(5) is None
    assert pool.stats.evictions == 0


def test_a_slot_keeps_its_storage() -> None:
    """Values of one kind go into the same row: on updates, evictions and after a clear."""
    pool = KVCachePool(1)
    pool.set(0, entry(0))
    first = row(pool, 0)
    for key in (0, 1, 2):
        pool.set(key, entry(key + 5))
        assert row(pool, key) is first
    pool.clear()
    pool.set(3, entry(3))
    assert row(pool, 3) is first


def test_a_row_is_copied_as_a_whole() -> None:
    """A source that has a row itself is stored correctly, from its row or from replaced tensors."""
    pool, source = KVCachePool(1), clone(entry(1))
    pool.set(0, entry(0))
    pool.set(0, source)
    assert same(pool.get(0), entry(1))
    source._keys_values[1]._v_cache._cache = torch.zeros(1, 2, 8, 4)
    pool.set(0, source)
    assert same(pool.get(0), source)


def test_a_source_that_requires_grad_needs_no_new_storage() -> None:
    """Tensors of a graph are copied into the slot's own row, and a lent entry requires no grad."""
    pool = KVCachePool(1)
    pool.set(0, entry(0))
    first, source = row(pool, 0), entry(1)
    read(source)[0][2].requires_grad_()
    pool.set(0, source)
    pool.set(0, clone(source))
    assert row(pool, 0) is first
    assert not any(tensor.requires_grad for tensor in read(pool.get(0))[0])


def test_storage_born_in_inference_mode_can_be_written_outside_of_it() -> None:
    """A pool that was first filled in inference mode takes values outside of it, and vice versa."""
    pool = KVCachePool(1)
    with torch.inference_mode():
        pool.set(0, entry(0))
    pool.set(0, entry(1))
    with torch.inference_mode():
        pool.set(0, entry(2))
    assert same(pool.get(0), entry(2))


def test_storage_is_allocated_anew_for_another_device() -> None:
    """A value on another device stays on that device."""
    pool = KVCachePool(1)
    pool.set(0, entry(0))
    tensors, sizes = read(entry(1))
    pool.set(0, KeysValues([tensor.to("meta") for tensor in tensors], sizes))
    assert {tensor.device.type for tensor in read(pool.get(0))[0]} == {"meta"}


def test_keeps_tensors_on_several_devices_where_they_are() -> None:
    """A value on several devices stays on them."""
    pool = KVCachePool(1)
    pool.set(0, entry(0))
    tensors, sizes = read(entry(1))
    pool.set(0, KeysValues([*tensors[:3], tensors[3].to("meta")], sizes))
    assert [tensor.device.type for tensor in read(pool.get(0))[0]] == ["cpu", "cpu", "cpu", "meta"]


@pytest.mark.parametrize(
    "derive",
    [
        lambda own: own,
        lambda own: own[::-1],
        lambda own: [own[0].flip(3), own[3], own[3], own[1]],
        lambda own: [tensor.transpose(1, 2) for tensor in own[::-1]],
        lambda own: [own[i][:, :, :1].expand(1, 4, 4, 4) for i in (1, 0, 3, 2)],
        lambda own: [own[0].clone(), own[0].clone(), own[2].clone(), own[0][:, :, :1].expand(1, 4, 4, 4)],
    ],
    ids=["itself", "reversed", "some", "transposed", "expanded", "one-expanded"],
)
def test_a_source_inside_the_slots_own_storage_is_copied_right(derive: Any) -> None:
    """Views of the row that is written to are read before they are overwritten."""
    pool = KVCachePool(1)
    pool.set(0, entry(0, shape=(1, 4, 4, 4)))
    source = KeysValues(derive(read(pool.get(0))[0]), [1, 2, 3, 4])
    expected = clone(source)
    pool.set(0, source)
    assert same(pool.get(0), expected)


def test_a_store_undoes_what_a_consumer_re_pointed() -> None:
    """Tensors that a consumer put into a lent entry do not receive the next value, and do not hide it."""
    pool, foreign = KVCachePool(1), torch.zeros(1, 2, 8, 4)
    pool.set(0, entry(0))
    lent = pool.get(0)
    assert lent is not None
    lent._keys_values[0]._k_cache._cache = foreign
    pool.set(0, entry(1))
    assert same(pool.get(0), entry(1))
    assert not foreign.any()


def test_size_bytes_counts_every_slot_written() -> None:
    """It has the bytes of two written slots of three, before and after a clear."""
    pool = KVCachePool(3)
    assert pool.size_bytes == 0
    pool.set(0, entry(0))
    pool.set(1, entry(1))
    pool.clear()
    assert pool.size_bytes == 2 * size_bytes(entry(0))


def test_values_are_the_held_entries_by_slot() -> None:
    """`values` lends the held entries in the order of slots."""
    pool = KVCachePool(2)
    for key in range(3):
        pool.set(key, entry(key))
    assert [same(value, entry(key)) for value, key in zip(pool.values, (2, 1), strict=True)] == [True, True]
