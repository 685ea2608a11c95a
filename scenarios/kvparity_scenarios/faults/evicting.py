"""Faults of eviction: a pool that holds too many or too few keys, or evicts the wrong one."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

from kvparity.operations import WM
from kvparity.results.divergence import BEHAVIOUR
from kvparity_scenarios.faults.fault import Fault

if TYPE_CHECKING:
    from kvparity.caches.protocol import PoolStats
    from kvparity.operations import PoolId
    from kvparity.values.entry import KeysValues
    from kvparity_scenarios.correct_cache import Pool


class KeepsOverwrittenKeys(Fault):
    """Keeps a key whose slot is overwritten, so the key returns another key's tensors.

    LightZero 0.2.0 does this: 3.4 % of the recur lookups of a CartPole training were such wrong hits.
    """

    methods = ("pool-pressure",)

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.pointers: Counter[Pool] = Counter()

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """The slot at the pointer; its old key stays in the dict."""
        del priority
        slot = pool.held[key] = self.pointers[pool]
        self.pointers[pool] = (slot + 1) % len(pool.slots)
        return slot


class OneSlotFewer(Fault):
    """Has one slot fewer than configured.

    Likely from a ring that keeps one slot empty to distinguish full from empty.
    """

    severity = BEHAVIOUR
    methods = ("pool-pressure", "clear-storm")

    def slots_of(self, pool: PoolId, slots: int) -> int:
        """One fewer. The wm pool is not affected."""
        return slots if pool == WM else max(1, slots - 1)


class OneSlotMore(Fault):
    """Has one slot more than configured.

    Likely from `if len(pool) > limit` after the insertion instead of `>=` before it.
    """

    severity = BEHAVIOUR
    methods = ("clear-storm",)

    def slots_of(self, pool: PoolId, slots: int) -> int:
        """One more. The wm pool is not affected."""
        return slots if pool == WM else slots + 1


class RecurForOneEnvironment(Fault):
    """Gives recur `num_simulations` slots instead of `num_simulations * env_num`.

    UniZero sizes its pools from three numbers of the config. A pool that is too small loses keys during a search.
    """

    severity = BEHAVIOUR

    def slots_of(self, pool: PoolId, slots: int) -> int:
        """Slots for one environment."""
        return slots // self.env_num if pool.family == "recur" else slots


class SharesStorage(Fault):
    """Has two slots with the same storage.

    Likely from views into one buffer with a wrong stride: a write into one slot overwrites the other.
    """

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """Slots 0 and 1 share their storage."""
        slot = super().take_slot(pool, key, priority)
        if slot == 1 and pool.slots[0] is not None:
            pool.slots[1] = pool.slots[0]
        return slot


class UpdateTakesNewSlot(Fault):
    """Gives a key that is set again a new slot, and drops the key when it reuses the old slot.

    The original of October 2025 (`legacy-evicting`) does this: the old slot still names the key.
    """

    severity = BEHAVIOUR
    methods: ClassVar[tuple[str, ...]] = ("revisit",)

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.pointers: Counter[Pool] = Counter()
        self.owners: dict[tuple[Pool, int], int] = {}

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """A ring with back-pointers."""
        del priority
        slot = self.pointers[pool]
        owner = self.owners.get((pool, slot))
        if owner is not None and pool.held.pop(owner, None) is not None:
            pool.evictions += 1
        self.owners[pool, slot] = key
        self.pointers[pool] = (slot + 1) % len(pool.slots)
        pool.held[key] = slot
        return slot

    def forget(self, pool: Pool) -> None:
        """Forget pointer and back-pointers too, which the original does not."""
        super().forget(pool)
        self.pointers[pool] = 0
        self.owners = {place: key for place, key in self.owners.items() if place[0] is not pool}


class OwnersSurviveClear(UpdateTakesNewSlot):
    """Does not reset pointer and back-pointers at a clear, so later keys are dropped early.

    The original of October 2025 (`legacy-evicting`) does this, too.
    """

    methods = ("clear-storm",)

    def forget(self, pool: Pool) -> None:
        """Clear the dict only."""
        pool.held.clear()


class UpdateEvicts(Fault):
    """Evicts a key when it sets a key that it already holds.

    Likely if room is made before the key is looked up.
    """

    severity = BEHAVIOUR
    methods = ("revisit",)
    steps = 1500

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """Make room first."""
        if not pool.free:
            pool.free.append(self.make_room(pool))
        return super().take_slot(pool, key, priority)


class UpdateRenews(Fault):
    """Declares FIFO, but a key that is set again leaves last.

    Likely from `dict.pop` and insert. It is neither FIFO nor LRU.
    """

    severity = BEHAVIOUR
    methods = ("revisit",)
    steps = 2000

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """Move a held key to the end."""
        if key in pool.held:
            pool.held[key] = pool.held.pop(key)
        return super().take_slot(pool, key, priority)


class GetRenews(Fault):
    """Declares FIFO, but a key that is looked up leaves last.

    Likely if FIFO and LRU share an `OrderedDict`.
    """

    severity = BEHAVIOUR
    methods = ("pool-pressure",)

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Move the key to the end."""
        if key in pool.held:
            pool.held[key] = pool.held.pop(key)
        return super().look_up(pool, key)


class LastInFirstOut(Fault):
    """Evicts the newest key.

    Likely from `popitem()`, which by default takes the last item.
    """

    severity = BEHAVIOUR
    methods = ("pool-pressure",)

    def victim(self, pool: Pool) -> int:
        """The newest key. Working copies are not affected."""
        return super().victim(pool) if pool is self.pools[WM] else next(reversed(pool.held))


class LruIgnoresGets(Fault):
    """Declares LRU, but evicts first in, first out: lookups do not count as use.

    Likely if the two strategies are one class with a flag.
    """

    eviction = "lru"
    severity = BEHAVIOUR
    methods = ("pool-pressure",)

    def use(self, pool: Pool, key: int) -> None:
        """Do nothing."""


class LruIgnoresUpdates(Fault):
    """Declares LRU, but a `set` of a held key does not count as use.

    Likely if only `get` moves the key.
    """

    eviction = "lru"
    severity = BEHAVIOUR
    methods = ("clear-storm",)
    seed = 4

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """Leave a held key where it is in the order."""
        held = pool.held.get(key)
        return super().take_slot(pool, key, priority) if held is None else held


class LruEvictsMostRecent(Fault):
    """Declares LRU, but evicts the most recently used key.

    Likely from a reversed comparison.
    """

    eviction = "lru"
    severity = BEHAVIOUR
    methods = ("pool-pressure",)

    def victim(self, pool: Pool) -> int:
        """The newest key. Working copies are not affected."""
        return super().victim(pool) if pool is self.pools[WM] else next(reversed(pool.held))


class PriorityEvictsHighest(Fault):
    """Declares PRIORITY, but evicts the highest priority.

    Likely from a heap, whose top is its least number.
    """

    eviction = "priority"
    severity = BEHAVIOUR
    methods = ("pool-pressure",)

    def victim(self, pool: Pool) -> int:
        """The key of the highest priority."""
        return max(pool.held, key=lambda key: pool.priorities[key])


class PriorityEvictsNewestEqual(Fault):
    """Declares PRIORITY, but evicts the newest of several keys with the lowest priority.

    Likely if ages are stored as negative numbers, or not at all.
    """

    eviction = "priority"
    severity = BEHAVIOUR
    methods = ("revisit", "pool-pressure")
    steps = 1500

    def victim(self, pool: Pool) -> int:
        """The last key of the lowest priority. Working copies are not affected."""
        if pool is self.pools[WM]:
            return super().victim(pool)
        return min(reversed(pool.held), key=lambda key: pool.priorities[key])


class PriorityRaisesUnset(Fault):
    """Raises at the first eviction if no priorities were given.

    UniZero's manager of October 2025 did this: it took the minimum of an empty dict.
    """

    eviction = "priority"
    methods = ("numeric-edge", "mcts")

    def victim(self, pool: Pool) -> int:
        """The minimum over keys with a priority other than 0."""
        return min((rank, key) for key, rank in pool.priorities.items() if rank)[1]


class PriorityKeepsFirst(Fault):
    """Declares PRIORITY, but ignores the priority of a `set` of a held key.

    Likely if an update copies the value into its slot and returns early.
    """

    eviction = "priority"
    severity = BEHAVIOUR
    methods = ("fuzz",)

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """Ignore the priority if the key is held."""
        return super().take_slot(pool, key, None if key in pool.held else priority)


class PriorityHeapSurvivesClear(Fault):
    """Does not clear the heap of priorities with the pool, and later evicts keys that are gone.

    Likely if one pool is kept in two structures.
    """

    eviction = "priority"
    methods = ("pool-pressure",)
    steps = 1500

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.heaps: dict[Pool, list[tuple[float, int, int]]] = {pool: [] for pool in self.pools.values()}
        self.ages = count()

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """Add the key to a heap as well."""
        slot = super().take_slot(pool, key, priority)
        heapq.heappush(self.heaps[pool], (pool.priorities[key], next(self.ages), key))
        return slot

    def victim(self, pool: Pool) -> int:
        """The top of the heap, even if its key is gone."""
        return heapq.heappop(self.heaps[pool])[-1]


class LengthNeverShrinks(Fault):
    """Counts every key that it ever held in its length.

    Likely from tombstones that are never removed: memory leaks slowly, and the length is wrong.
    """

    severity = BEHAVIOUR

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.records: dict[Pool, set[int]] = {pool: set() for pool in self.pools.values()}

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """Add a record."""
        self.records[pool].add(key)
        return super().take_slot(pool, key, priority)

    def stats(self, pool: PoolId) -> PoolStats:
        """Report the number of records as the length."""
        return replace(super().stats(pool), length=len(self.records[self.pool(pool)]))
