"""Who leaves a full pool: each strategy by example, and all of them against a naive model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvparity.contract import entry, same
from kvparity_refactored import EvictionStrategy, KVCachePool
from kvparity_refactored.eviction import PriorityOrder

ENTRIES = [entry(seed, layers=1, shape=(1, 1, 2, 2)) for seed in range(40)]


def filled(strategy: EvictionStrategy, size: int = 3) -> KVCachePool:
    """A full pool of the keys 0, 1, 2, ..., set in that order."""
    pool = KVCachePool(size, strategy)
    for key in range(size):
        pool.set(key, ENTRIES[key])
    return pool


def held(pool: KVCachePool) -> list[int]:
    """Which of the keys up to 39 a pool holds."""
    return [key for key in range(40) if pool.get(key) is not None]


def test_the_strategies() -> None:
    """Three strategies, by the names used on the command line."""
    assert [strategy.value for strategy in EvictionStrategy] == ["fifo", "lru", "priority"]


def test_fifo_evicts_the_first_set() -> None:
    """Keys leave in the order in which they came."""
    pool = filled(EvictionStrategy.FIFO)
    pool.set(3, ENTRIES[3])
    pool.set(4, ENTRIES[4])
    assert held(pool) == [2, 3, 4]


def test_fifo_keeps_the_turn_of_an_update_in_place() -> None:
    """Setting the oldest key again does not save it."""
    pool = filled(EvictionStrategy.FIFO)
    pool.set(0, ENTRIES[9])
    pool.set(3, ENTRIES[3])
    assert held(pool) == [1, 2, 3]


def test_fifo_keeps_the_turn_of_what_is_read() -> None:
    """Reading the oldest key does not save it."""
    pool = filled(EvictionStrategy.FIFO)
    pool.get(0)
    pool.set(3, ENTRIES[3])
    assert held(pool) == [1, 2, 3]


def test_lru_keeps_what_is_read() -> None:
    """A get makes a key the youngest."""
    pool = filled(EvictionStrategy.LRU)
    pool.get(0)
    pool.set(3, ENTRIES[3])
    assert held(pool) == [0, 2, 3]


def test_lru_keeps_what_is_set_again() -> None:
    """An update in place makes a key the youngest."""
    pool = filled(EvictionStrategy.LRU)
    pool.set(0, ENTRIES[9])
    pool.set(3, ENTRIES[3])
    assert held(pool) == [0, 2, 3]


def test_lru_takes_the_victims_slot() -> None:
    """The new key goes where the key that left was."""
    pool = filled(EvictionStrategy.LRU)
    pool.get(0)
    assert pool.set(3, ENTRIES[3]) == 1


def test_priority_works_without_any_priorities() -> None:
    """With no priority ever given the first set leaves first."""
    pool = filled(EvictionStrategy.PRIORITY)
    pool.set(3, ENTRIES[3])
    assert held(pool) == [1, 2, 3]


def test_priority_evicts_the_lowest() -> None:
    """The lowest priority leaves, whatever its age; the default is 0.0."""
    pool = KVCachePool(3, EvictionStrategy.PRIORITY)
    for key, priority in enumerate([2.0, None, 1.0]):
        pool.set(key, ENTRIES[key], priority)
    pool.set(3, ENTRIES[3], 5.0)
    pool.set(4, ENTRIES[4], 5.0)
    assert held(pool) == [0, 3, 4]


def test_priority_breaks_ties_by_age() -> None:
    """Among the lowest the one set first leaves, updates in place or not."""
    pool = filled(EvictionStrategy.PRIORITY)
    pool.set(0, ENTRIES[9], 0.0)
    pool.set(3, ENTRIES[3])
    assert held(pool) == [1, 2, 3]


def test_priority_keeps_the_priority_of_an_update_without_one() -> None:
    """Setting a key again with no priority keeps the one that it has."""
    pool = filled(EvictionStrategy.PRIORITY)
    pool.set(0, ENTRIES[0], 3.0)
    pool.set(0, ENTRIES[9])
    pool.set(3, ENTRIES[3])
    assert held(pool) == [0, 2, 3]


def test_priority_changes_with_an_update_that_has_one() -> None:
    """Setting a key again with another priority moves it up or down."""
    pool = KVCachePool(2, EvictionStrategy.PRIORITY)
    pool.set(0, ENTRIES[0], 1.0)
    pool.set(1, ENTRIES[1], 2.0)
    pool.set(1, ENTRIES[1], 0.5)
    pool.set(2, ENTRIES[2])
    assert held(pool) == [0, 2]


def test_priority_memory_is_bounded() -> None:
    """Ten thousand changes of priority leave a heap of at most twice the pool and a little."""
    pool = filled(EvictionStrategy.PRIORITY, size=10)
    for number in range(10_000):
        pool.set(number % 10, ENTRIES[0], float(number))
    assert isinstance(pool._order, PriorityOrder)
    assert len(pool._order._heap) <= 36


@dataclass
class Model:
    """A pool in which every decision is a search through a list."""

    size: int
    strategy: EvictionStrategy
    now: int = 0
    entries: dict[int, dict[str, Any]] = field(default_factory=dict)
    evictions: int = 0

    def set(self, key: int, seed: int, priority: float | None) -> None:
        """Update in place, or evict by looking at all entries and insert."""
        self.now += 1
        if key not in self.entries:
            if len(self.entries) == self.size:
                del self.entries[min(self.entries, key=self._rank)]
                self.evictions += 1
            self.entries[key] = {"set": self.now, "priority": 0.0}
        entry = self.entries[key]
        entry |= {"seed": seed, "used": self.now}
        if priority is not None:
            entry["priority"] = priority

    def get(self, key: int) -> int | None:
        """The seed under `key`."""
        self.now += 1
        if key not in self.entries:
            return None
        self.entries[key]["used"] = self.now
        seed: int = self.entries[key]["seed"]
        return seed

    def _rank(self, key: int) -> tuple[float, ...]:
        entry = self.entries[key]
        return {
            EvictionStrategy.FIFO: (entry["set"],),
            EvictionStrategy.LRU: (entry["used"],),
            EvictionStrategy.PRIORITY: (entry["priority"], entry["set"]),
        }[self.strategy]


KEYS = st.integers(0, 9)
PRIORITIES = st.none() | st.sampled_from([-1.0, 0.0, 0.5, 2.0])
STEPS = st.one_of(
    st.tuples(st.just("set"), KEYS, st.integers(0, 39), PRIORITIES),
    st.tuples(st.just("get"), KEYS),
    st.tuples(st.just("clear")),
)


@pytest.mark.parametrize("strategy", EvictionStrategy, ids=lambda strategy: strategy.value)
@given(size=st.integers(1, 5), steps=st.lists(STEPS, max_size=60))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_agrees_with_the_naive_model(strategy: EvictionStrategy, size: int, steps: list[tuple[Any, ...]]) -> None:
    """After any operations a pool holds what a pool of linear searches holds, value by value, and counts alike."""
    pool, model = KVCachePool(size, strategy), Model(size, strategy)
    slots: dict[int, int] = {}
    for step, *rest in steps:
        if step == "set":
            key, seed, priority = rest
            kept = key in model.entries
            slot = pool.set(key, ENTRIES[seed], priority)
            model.set(key, seed, priority)
            assert 0 <= slot < size
            assert not kept or slot == slots[key]
            slots[key] = slot
        elif step == "get":
            found, seed = pool.get(rest[0]), model.get(rest[0])
            assert found is None if seed is None else same(found, ENTRIES[seed])
        else:
            pool.clear()
            model.entries.clear()
        assert len(pool) == len(model.entries)
        assert len({slots[key] for key in model.entries}) == len(pool)
    assert pool.stats.evictions == model.evictions
    for key in range(10):
        found, seed = pool.get(key), model.get(key)
        assert found is None if seed is None else same(found, ENTRIES[seed])
