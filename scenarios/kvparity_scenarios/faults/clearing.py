"""Faults of clearing: a `clear` that forgets too little, too much, or elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvparity.operations import ALL, ALL_INIT, RECUR, WM, PoolId, init
from kvparity.results.divergence import BEHAVIOUR
from kvparity_scenarios.faults.fault import Fault

if TYPE_CHECKING:
    from kvparity.values.entry import KeysValues
    from kvparity_scenarios.correct_cache import Pool


class RecurNeverCleared(Fault):
    """Ignores a clear of recur.

    UniZero clears recur at the start of every search; a cache that evicts anyway seems not to need it.
    """

    methods = ("clear-storm", "revisit")

    def clear(self, pool: PoolId) -> None:
        """All but that one."""
        if pool != RECUR:
            super().clear(pool)


class ClearForgetsLastPool(Fault):
    """Leaves the last environment's init pool when all are cleared.

    Likely from `range(env_num - 1)`.
    """

    methods = ("clear-storm",)

    def clear(self, pool: PoolId) -> None:
        """One short."""
        last = self.pools[init(self.env_num - 1)]
        held, free, priorities = dict(last.held), list(last.free), dict(last.priorities)
        super().clear(pool)
        if pool in (ALL, ALL_INIT):
            last.held, last.free, last.priorities = held, free, priorities


class ClearsWrongEnvironment(Fault):
    """Clears the next environment's init pool.

    Likely where the position in the batch of finished episodes is taken for the number of the environment.
    """

    methods = ("clear-storm",)

    def clear(self, pool: PoolId) -> None:
        """One too far."""
        super().clear(pool if pool.env is None else init((pool.env + 1) % self.env_num))


class ClearsAllEnvironments(Fault):
    """Clears every init pool where one environment's was meant.

    Likely where a manager has one `clear_init_caches()` and an episode ends.
    """

    severity = BEHAVIOUR
    methods = ("clear-storm",)

    def clear(self, pool: PoolId) -> None:
        """Too many."""
        super().clear(pool if pool.env is None else ALL_INIT)


class ClearKeepsNewest(Fault):
    """Keeps the newest key of a pool that is cleared.

    Likely from `while len(pool) > 1`.
    """

    methods = ("clear-storm",)

    def forget(self, pool: Pool) -> None:
        """All but one."""
        for key in list(pool.held)[:-1]:
            pool.free.append(pool.held.pop(key))
            del pool.priorities[key]


class ClearKeepsCount(Fault):
    """Takes a pool that was cleared for as full as it was before.

    Likely from a counter of free slots beside the dict: the pool evicts long before it is full.
    """

    severity = BEHAVIOUR
    methods = ("clear-storm",)

    def forget(self, pool: Pool) -> None:
        """Slots that are in use stay lost, but for one; working copies are spared."""
        lost = [] if pool is self.pools[WM] else list(pool.held.values())[1:]
        super().forget(pool)
        pool.free = [slot for slot in pool.free if slot not in lost]


class ClearByTensor(Fault):
    """Fills the entries of a cleared pool with zeros and leaves their keys.

    Likely where a buffer is "reset": what was to be a miss is a hit of nothing.
    """

    methods = ("clear-storm",)

    def forget(self, pool: Pool) -> None:
        """Zeros."""
        for slot in pool.held.values():
            entry = pool.slots[slot]
            for layer in () if entry is None else entry._keys_values:
                layer._k_cache._cache.zero_()
                layer._v_cache._cache.zero_()


class MissesOnceAfterClear(Fault):
    """Misses the first key that is looked up after a clear.

    Likely from state that is built anew at the first use, too late for that use.
    """

    severity = BEHAVIOUR

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.cleared: set[Pool] = set()

    def forget(self, pool: Pool) -> None:
        """From here on the pool is not ready."""
        super().forget(pool)
        self.cleared.add(pool)

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Ready after the first key that it holds."""
        if pool in self.cleared and key in pool.held:
            self.cleared.remove(pool)
            return super().look_up(pool, -1)
        return super().look_up(pool, key)


class ClearResetsStatistics(Fault):
    """Sets hits and misses to zero when a pool is cleared.

    Likely where a pool is cleared by building a new one: recur is cleared at every search, so hit rates mean nothing.
    """

    severity = BEHAVIOUR

    def forget(self, pool: Pool) -> None:
        """Keys and counters."""
        super().forget(pool)
        pool.hits = pool.misses = 0
