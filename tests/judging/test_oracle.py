"""The truth: what was last set under each key, and what an ideal pool would hold."""

from __future__ import annotations

import random

import pytest
import torch

from kvparity import ALL, ALL_INIT, RECUR, WM, CacheSpec, init
from kvparity.judging.oracle import STRATEGIES, Contents, IdealCache, LastSet, Truth
from kvparity.operations import covered

CPU = torch.device("cpu")
SPEC = CacheSpec(env_num=2, init_pool_size=2, num_simulations=2)


def ideal(strategy: str = "fifo") -> IdealCache:
    """An ideal cache of one strategy."""
    return IdealCache(SPEC, lambda _: strategy)


# ---------------------------------------------------------------- contents


def test_the_last_set_is_remembered_with_its_resets() -> None:
    """A re-set replaces the fingerprint and is counted."""
    contents = Contents(4)
    contents.set(1, b"a", CPU, 0)
    contents.set(1, b"b", CPU, 7)
    assert contents.last_set[1] == (b"b", CPU, 7, 1)


def test_a_clear_forgets_all_and_is_remembered() -> None:
    """Resets are counted from the clear on."""
    contents = Contents(4)
    contents.set(1, b"a", CPU, 0)
    contents.clear(3)
    assert contents.last_set == {}
    assert contents.cleared == 3
    contents.set(1, b"a", CPU, 4)
    assert contents.last_set[1].resets == 0


@pytest.mark.parametrize(("slots", "remembered"), [(4, 65_536), (10_000, 80_000)])
def test_memory_is_bounded_and_what_is_forgotten_is_unknown(slots: int, remembered: int) -> None:
    """Beyond the limit the oldest keys go, and the contents no longer claim to know every key, until a clear."""
    contents = Contents(slots)
    for key in range(remembered):
        contents.set(key, b"a", CPU, key)
    assert contents.complete
    assert 0 in contents.last_set
    contents.set(remembered, b"a", CPU, remembered)
    assert contents.complete is False
    assert 0 not in contents.last_set
    assert len(contents.last_set) == remembered
    contents.clear(100_000)
    assert contents.complete


def test_a_truth_is_complete_unless_it_is_said_to_have_begun_late() -> None:
    """Caches are empty at first."""
    assert all(contents.complete for contents in Truth.empty(SPEC).pools.values())


def test_a_truth_that_began_late_is_incomplete_pool_by_pool() -> None:
    """A clear makes its own pool complete, and no other."""
    truth = Truth.empty(SPEC, complete=False)
    truth.pools[RECUR].clear(0)
    assert truth.pools[RECUR].complete
    assert not truth.pools[init(0)].complete


def test_an_owner_is_looked_for_nearby_first() -> None:
    """The same bytes may have been set in several pools."""
    truth = Truth.empty(SPEC)
    truth.pools[init(0)].set(1, b"x", CPU, 0)
    truth.pools[RECUR].set(2, b"x", CPU, 1)
    assert truth.find(b"x", RECUR)[:2] == (RECUR, 2)
    assert truth.find(b"x", init(0))[:2] == (init(0), 1)
    assert truth.find(b"y", RECUR) is None


@pytest.mark.parametrize(
    ("pool", "single"),
    [(RECUR, [RECUR]), (ALL_INIT, [init(0), init(1)]), (ALL, [init(0), init(1), RECUR, WM]), (init(1), [init(1)])],
)
def test_a_clear_covers_the_pools_that_it_names(pool: object, single: list[object]) -> None:
    """One, every init pool, or all."""
    assert covered(pool, SPEC.pools) == single


# ---------------------------------------------------------------- ideals


class Naive:
    """A pool by the book: a list of `(key, priority, age, use)`, searched from end to end."""

    def __init__(self, strategy: str, slots: int) -> None:
        self.strategy, self.slots = strategy, slots
        self.rows: list[list[float]] = []
        self.clock = 0
        self.hits = self.misses = self.evictions = 0

    def row(self, key: int) -> list[float] | None:
        return next((row for row in self.rows if row[0] == key), None)

    def set(self, key: int, priority: float | None) -> None:
        self.clock += 1
        row = self.row(key)
        if row is not None:
            row[3] = self.clock
            row[1] = row[1] if priority is None else priority
            return
        if len(self.rows) == self.slots:
            order = {"fifo": lambda r: r[2], "lru": lambda r: r[3], "priority": lambda r: (r[1], r[2])}
            self.rows.remove(min(self.rows, key=order[self.strategy]))
            self.evictions += 1
        self.rows.append([key, priority or 0.0, self.clock, self.clock])

    def get(self, key: int) -> bool:
        self.clock += 1
        row = self.row(key)
        if row is None:
            self.misses += 1
            return False
        self.hits += 1
        row[3] = self.clock
        return True


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("slots", range(1, 6))
def test_an_ideal_pool_does_what_its_strategy_says(strategy: str, slots: int) -> None:
    """After every step of a long run it holds and has counted what a naive model of the strategy has."""
    pool, naive, rng = STRATEGIES[strategy](slots), Naive(strategy, slots), random.Random(slots)
    for number in range(2_000):
        key = rng.randrange(7)
        what = rng.choices(("set", "get", "clear"), (300, 200, 1))[0]
        if what == "set":
            priority = rng.choice((None, -1.0, 0.0, 1.0, 2.0))
            pool.set(key, number, priority)
            naive.set(key, priority)
        elif what == "get":
            assert pool.get(key) == naive.get(key)
        else:
            pool.clear()
            naive.rows.clear()
        assert {key for key in range(7) if key in pool} == {row[0] for row in naive.rows}
        assert len(pool) == len(naive.rows)
        assert (pool.hits, pool.misses, pool.evictions) == (naive.hits, naive.misses, naive.evictions)


def test_a_priority_that_changes_often_still_decides() -> None:
    """The last one counts, however many there were while nothing was evicted."""
    pool = STRATEGIES["priority"](2)
    pool.set(1, 0, 0.0)
    pool.set(2, 1, 50.0)
    for number in range(2, 202):
        pool.set(1, number, float(number % 101))
    pool.set(3, 202, 60.0)
    assert (1 in pool, 2 in pool, 3 in pool) == (True, False, True)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_eviction_is_remembered_with_its_cause(strategy: str) -> None:
    """Which operation, and for which key; a clear forgets it."""
    pool = STRATEGIES[strategy](1)
    pool.set(1, 10, None)
    pool.set(2, 11, None)
    assert pool.evicted == {1: (11, 2)}
    pool.clear()
    assert pool.evicted == {}


def test_an_eviction_is_remembered_for_several_rounds_of_the_pool() -> None:
    """However large the pool is."""
    pool = STRATEGIES["fifo"](1_000)
    for key in range(10_000):
        pool.set(key, key, None)
    assert pool.evicted[5_001] == (6_001, 6_001)


def test_of_two_evictions_of_a_key_the_second_is_remembered() -> None:
    """As long as those that were evicted with it."""
    pool = STRATEGIES["fifo"](1)
    for number, key in enumerate((0, *range(1, 1_000), 0, *range(1_000, 1_500))):
        pool.set(key, number, None)
    assert pool.evicted[0] == (1_001, 1_000)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_memory_of_evictions_is_bounded(strategy: str) -> None:
    """However long the run."""
    pool = STRATEGIES[strategy](2)
    for key in range(20_000):
        pool.set(key, key, float(key % 3))
    assert len(pool.evicted) < 2_000
    assert pool.evictions == 19_998


def test_a_checkout_looks_into_init_then_recur() -> None:
    """And counts as a use of the one, a miss of the other."""
    cache = ideal()
    cache.set(init(0), 1, 0, None)
    cache.set(RECUR, 1, 1, None)
    cache.set(RECUR, 2, 2, None)
    assert cache.checkout(0, 1) == init(0)
    assert cache.checkout(1, 1) == RECUR
    assert cache.checkout(0, 2) == RECUR
    assert cache.checkout(0, 3) is None
    assert (cache.pools[init(0)].hits, cache.pools[init(0)].misses) == (1, 2)
    assert (cache.pools[RECUR].hits, cache.pools[RECUR].misses) == (2, 1)


def test_working_copies_use_up_wm_slots() -> None:
    """A key set in wm is gone after as many checkouts as there are slots."""
    cache = ideal()
    cache.set(RECUR, 1, 0, None)
    cache.checkout(0, 1)
    cache.set(WM, 9, 1, None)
    cache.checkout(0, 1)
    assert cache.get(WM, 9) == WM
    cache.checkout(0, 1)
    assert cache.get(WM, 9) is None


def test_a_cleared_wm_pool_is_empty() -> None:
    """Earlier working copies do not come back."""
    cache = ideal()
    cache.set(RECUR, 1, 0, None)
    cache.checkout(0, 1)
    cache.clear(WM)
    cache.set(WM, 9, 1, None)
    assert len(cache.pools[WM]) == 1


def test_without_checkouts_the_wm_pool_holds_what_is_set_in_it() -> None:
    """Each key in a slot of its own."""
    cache = ideal()
    for key in (8, 9):
        cache.set(WM, key, key, None)
        assert cache.get(WM, 8) == WM
    assert len(cache.pools[WM]) == 2


def test_each_working_copy_uses_up_one_slot() -> None:
    """Under a key that no workload has."""
    cache = IdealCache(CacheSpec(env_num=4), lambda _: "fifo")
    cache.set(RECUR, 1, 0, None)
    cache.set(WM, 9, 1, None)
    cache.checkout(0, 1)
    cache.checkout(0, 1)
    assert cache.get(WM, 9) == WM
    assert len(cache.pools[WM]) == 3
    assert cache.get(WM, 1) is None
    assert cache.get(WM, 2) is None


def test_a_priority_decides_which_key_an_ideal_cache_evicts() -> None:
    """In the pool where it is set."""
    cache = ideal("priority")
    for key, priority in ((1, 2.0), (2, 1.0), (3, 3.0)):
        cache.set(init(0), key, key, priority)
    assert cache.get(init(0), 1) == init(0)
    assert cache.get(init(0), 2) is None


def test_an_earlier_value_of_a_key_is_remembered() -> None:
    """The one before its last set, and the one before the last clear that forgot something; no other bytes."""
    contents = Contents(2)
    for number in range(3):
        contents.set(7, b"%d" % number, CPU, number)
    assert contents.earlier(7, b"1") == LastSet(b"1", CPU, 1, 1)
    assert contents.earlier(7, b"0") is None
    contents.clear(3)
    contents.clear(4)
    assert contents.earlier(7, b"2") == LastSet(b"2", CPU, 2, 2)
    assert contents.earlier(8, b"2") is None


def test_earlier_values_are_bounded() -> None:
    """The oldest are forgotten first."""
    contents = Contents(1)
    contents._limit = 4
    for number in range(2):
        for key in range(4):
            contents.set(key, b"%d" % number, CPU, number)
    contents.set(5, b"0", CPU, 9)
    contents.set(5, b"1", CPU, 10)
    assert contents.earlier(0, b"0") is None
    assert contents.earlier(1, b"0") is not None
    assert contents.earlier(5, b"0") is not None
