"""Faults of eviction: a pool that holds too much or too little, or gives up the wrong key."""

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
    """Leaves a key in the dict when its slot is overwritten, so it finds another key's tensors.

    Released LightZero (0.2.0) does: 3.4 % of a CartPole training's recur lookups were such wrong hits.
    """

    methods = ("pool-pressure",)

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.pointers: Counter[Pool] = Counter()

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """The slot at the pointer, and nobody else is told."""
        del priority
        slot = pool.held[key] = self.pointers[pool]
        self.pointers[pool] = (slot + 1) % len(pool.slots)
        return slot


class OneSlotFewer(Fault):
    """Has one slot fewer than it was asked for.

    Likely from a ring that keeps one slot empty to tell full from empty.
    """

    severity = BEHAVIOUR
    methods = ("pool-pressure", "clear-storm")

    def slots_of(self, pool: PoolId, slots: int) -> int:
        """Off by one; working copies are spared."""
        return slots if pool == WM else max(1, slots - 1)


class OneSlotMore(Fault):
    """Has one slot more than it was asked for.

    Likely from `if len(pool) > limit` after the insertion instead of `>=` before it.
    """

    severity = BEHAVIOUR
    methods = ("clear-storm",)

    def slots_of(self, pool: PoolId, slots: int) -> int:
        """Off by one."""
        return slots if pool == WM else slots + 1


class RecurForOneEnvironment(Fault):
    """Sizes recur by `num_simulations` and forgets the environments.

    UniZero's pools are sized from three numbers of the config; too small a pool loses keys in the middle of a search.
    """

    severity = BEHAVIOUR

    def slots_of(self, pool: PoolId, slots: int) -> int:
        """As if there were one environment."""
        return slots // self.env_num if pool.family == "recur" else slots


class SharesStorage(Fault):
    """Has two slots share one storage.

    Likely from views into one buffer with a wrong stride: who writes one overwrites the other.
    """

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """Slots 0 and 1 are one."""
        slot = super().take_slot(pool, key, priority)
        if slot == 1 and pool.slots[0] is not None:
            pool.slots[1] = pool.slots[0]
        return slot


class UpdateTakesNewSlot(Fault):
    """Gives a key that is set again a new slot, and drops the key when the ring comes round to the old one.

    The original of October 2025 does (`legacy-evicting`): the old slot still names the key as its own.
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
        """Without the original's second quirk: nothing is left of a cleared pool."""
        super().forget(pool)
        self.pointers[pool] = 0
        self.owners = {place: key for place, key in self.owners.items() if place[0] is not pool}


class OwnersSurviveClear(UpdateTakesNewSlot):
    """Leaves pointer and back-pointers as they are when it is cleared, so that later keys are dropped early.

    The other quirk of the original of October 2025.
    """

    methods = ("clear-storm",)

    def forget(self, pool: Pool) -> None:
        """The dict only."""
        pool.held.clear()


class UpdateEvicts(Fault):
    """Evicts a key to make room for one that it holds already.

    Likely where room is made before the key is looked for.
    """

    severity = BEHAVIOUR
    methods = ("revisit",)
    steps = 1500

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """Room first."""
        if not pool.free:
            pool.free.append(self.make_room(pool))
        return super().take_slot(pool, key, priority)


class UpdateRenews(Fault):
    """Moves a key that is set again to the back of the order, under FIFO.

    Likely from `dict.pop` and insert; it is neither FIFO nor LRU.
    """

    severity = BEHAVIOUR
    methods = ("revisit",)
    steps = 2000

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """As good as new."""
        if key in pool.held:
            pool.held[key] = pool.held.pop(key)
        return super().take_slot(pool, key, priority)


class GetRenews(Fault):
    """Moves a key that is looked up to the back of the order, under FIFO.

    Likely where FIFO and LRU share an `OrderedDict`.
    """

    severity = BEHAVIOUR
    methods = ("pool-pressure",)

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """A use counts."""
        if key in pool.held:
            pool.held[key] = pool.held.pop(key)
        return super().look_up(pool, key)


class LastInFirstOut(Fault):
    """Evicts the newest key.

    Likely from `popitem()`, whose default is the last.
    """

    severity = BEHAVIOUR
    methods = ("pool-pressure",)

    def victim(self, pool: Pool) -> int:
        """The wrong end; working copies are spared."""
        return super().victim(pool) if pool is self.pools[WM] else next(reversed(pool.held))


class LruIgnoresGets(Fault):
    """Declares LRU and evicts first in, first out: a lookup is no use.

    Likely when the two strategies are one class with a flag.
    """

    eviction = "lru"
    severity = BEHAVIOUR
    methods = ("pool-pressure",)

    def use(self, pool: Pool, key: int) -> None:
        """Nothing is noted."""


class LruIgnoresUpdates(Fault):
    """Declares LRU and does not count a `set` of a held key as a use.

    Likely where only `get` moves the key.
    """

    eviction = "lru"
    severity = BEHAVIOUR
    methods = ("clear-storm",)
    seed = 4

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """In place, and in turn."""
        held = pool.held.get(key)
        return super().take_slot(pool, key, priority) if held is None else held


class LruEvictsMostRecent(Fault):
    """Declares LRU and evicts the most recently used key.

    Likely from a comparison the wrong way round.
    """

    eviction = "lru"
    severity = BEHAVIOUR
    methods = ("pool-pressure",)

    def victim(self, pool: Pool) -> int:
        """The wrong end; working copies are spared."""
        return super().victim(pool) if pool is self.pools[WM] else next(reversed(pool.held))


class PriorityEvictsHighest(Fault):
    """Declares PRIORITY and evicts the highest.

    Likely with a heap, which has its least number on top.
    """

    eviction = "priority"
    severity = BEHAVIOUR
    methods = ("pool-pressure",)

    def victim(self, pool: Pool) -> int:
        """The best."""
        return max(pool.held, key=lambda key: pool.priorities[key])


class PriorityEvictsNewestEqual(Fault):
    """Declares PRIORITY and evicts, among equals, the newest.

    Likely where ages are kept as negative numbers, or not at all.
    """

    eviction = "priority"
    severity = BEHAVIOUR
    methods = ("revisit", "pool-pressure")
    steps = 1500

    def victim(self, pool: Pool) -> int:
        """The last of the lowest; working copies are spared."""
        if pool is self.pools[WM]:
            return super().victim(pool)
        return min(reversed(pool.held), key=lambda key: pool.priorities[key])


class PriorityRaisesUnset(Fault):
    """Raises on the first eviction when no priorities were given.

    UniZero's manager of October 2025 did: it took the minimum of an empty dict.
    """

    eviction = "priority"
    methods = ("numeric-edge", "mcts")

    def victim(self, pool: Pool) -> int:
        """0 counts as none here."""
        return min((rank, key) for key, rank in pool.priorities.items() if rank)[1]


class PriorityKeepsFirst(Fault):
    """Declares PRIORITY and keeps the priority that a key was first set with, whatever it is set with again.

    Likely where an update copies the value into its slot and returns early.
    """

    eviction = "priority"
    severity = BEHAVIOUR
    methods = ("fuzz",)

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """Deaf where the key is held."""
        return super().take_slot(pool, key, None if key in pool.held else priority)


class PriorityHeapSurvivesClear(Fault):
    """Leaves the heap of priorities as it is when a pool is cleared, and stumbles over its dead keys.

    Likely wherever one pool is kept in two structures.
    """

    eviction = "priority"
    methods = ("pool-pressure",)
    steps = 1500

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.heaps: dict[Pool, list[tuple[float, int, int]]] = {pool: [] for pool in self.pools.values()}
        self.ages = count()

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """A heap beside the dict."""
        slot = super().take_slot(pool, key, priority)
        heapq.heappush(self.heaps[pool], (pool.priorities[key], next(self.ages), key))
        return slot

    def victim(self, pool: Pool) -> int:
        """The top of the heap, held or not."""
        return heapq.heappop(self.heaps[pool])[-1]


class LengthNeverShrinks(Fault):
    """Keeps a record of every key that it ever held.

    Likely from tombstones that nobody collects: a slow leak of memory, and a length that lies.
    """

    severity = BEHAVIOUR

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.records: dict[Pool, set[int]] = {pool: set() for pool in self.pools.values()}

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """One more record."""
        self.records[pool].add(key)
        return super().take_slot(pool, key, priority)

    def stats(self, pool: PoolId) -> PoolStats:
        """The length is that of the records."""
        return replace(super().stats(pool), length=len(self.records[self.pool(pool)]))
