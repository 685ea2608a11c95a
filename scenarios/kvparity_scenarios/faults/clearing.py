"""Faults of clearing: a `clear` that forgets too few keys, too many, or those of another pool."""

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

    UniZero clears recur at the start of every search. In a cache that evicts, the clear looks superfluous.
    """

    methods = ("clear-storm", "revisit")

    def clear(self, pool: PoolId) -> None:
        """Ignore that pool."""
        if pool != RECUR:
            super().clear(pool)


class ClearForgetsLastPool(Fault):
    """Does not clear the last environment's init pool when all are cleared.

    Likely from `range(env_num - 1)`.
    """

    methods = ("clear-storm",)

    def clear(self, pool: PoolId) -> None:
        """Restore the last pool."""
        last = self.pools[init(self.env_num - 1)]
        held, free, priorities = dict(last.held), list(last.free), dict(last.priorities)
        super().clear(pool)
        if pool in (ALL, ALL_INIT):
            last.held, last.free, last.priorities = held, free, priorities


class ClearsWrongEnvironment(Fault):
    """Clears the init pool of the next environment instead.

    Likely if code uses the position in the batch of finished episodes as the number of the environment.
    """

    methods = ("clear-storm",)

    def clear(self, pool: PoolId) -> None:
        """The next environment."""
        super().clear(pool if pool.env is None else init((pool.env + 1) % self.env_num))


class ClearsAllEnvironments(Fault):
    """Clears all init pools when only one environment's should be cleared.

    Likely if a manager has only `clear_init_caches()`, and calls it at the end of an episode.
    """

    severity = BEHAVIOUR
    methods = ("clear-storm",)

    def clear(self, pool: PoolId) -> None:
        """All of them."""
        super().clear(pool if pool.env is None else ALL_INIT)


class ClearKeepsNewest(Fault):
    """Keeps the newest key when it clears a pool.

    Likely from `while len(pool) > 1`.
    """

    methods = ("clear-storm",)

    def forget(self, pool: Pool) -> None:
        """Forget all keys but the last."""
        for key in list(pool.held)[:-1]:
            pool.free.append(pool.held.pop(key))
            del pool.priorities[key]


class ClearKeepsCount(Fault):
    """Still counts a cleared pool as full, so it evicts too early.

    Likely from a counter of free slots beside the dict: the pool evicts long before it is full.
    """

    severity = BEHAVIOUR
    methods = ("clear-storm",)

    def forget(self, pool: Pool) -> None:
        """All used slots but one are lost. Working copies are not affected."""
        lost = [] if pool is self.pools[WM] else list(pool.held.values())[1:]
        super().forget(pool)
        pool.free = [slot for slot in pool.free if slot not in lost]


class ClearByTensor(Fault):
    """Fills the entries of a cleared pool with zeros and keeps their keys.

    Likely if a clear "resets" the buffer: a lookup that should miss returns zeros.
    """

    methods = ("clear-storm",)

    def forget(self, pool: Pool) -> None:
        """Write zeros into the held entries."""
        for slot in pool.held.values():
            entry = pool.slots[slot]
            for layer in () if entry is None else entry._keys_values:
                layer._k_cache._cache.zero_()
                layer._v_cache._cache.zero_()


class MissesOnceAfterClear(Fault):
    """Misses at the first lookup of a held key after a clear.

    Likely from state that is built again at the first use, but too late for that use.
    """

    severity = BEHAVIOUR

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.cleared: set[Pool] = set()

    def forget(self, pool: Pool) -> None:
        """Remember that the pool was cleared."""
        super().forget(pool)
        self.cleared.add(pool)

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Miss once."""
        if pool in self.cleared and key in pool.held:
            self.cleared.remove(pool)
            return super().look_up(pool, -1)
        return super().look_up(pool, key)


class ClearResetsStatistics(Fault):
    """Sets hits and misses to zero when it clears a pool.

    Likely if a clear builds a new pool. Recur is cleared at every search, so hit rates become meaningless.
    """

    severity = BEHAVIOUR

    def forget(self, pool: Pool) -> None:
        """Forget keys and counters."""
        super().forget(pool)
        pool.hits = pool.misses = 0
