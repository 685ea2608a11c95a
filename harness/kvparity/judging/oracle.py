"""The truth that both sides are held against, so that a disagreement names who is wrong.

Content: per pool, the fingerprint of the value last set under each key since the last clear. Presence: an ideal pool
of the same strategy and capacity, which says whether a key should still be there.

Memory is bounded: beyond a multiple of a pool's slots the oldest keys are forgotten, and of a forgotten key the oracle
says that it does not know.

What is taken from the front again and again is an `OrderedDict`: a plain dict's front is searched for behind all that
was taken from it before, which in a large pool takes longer than all the rest.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol

from kvparity.operations import RECUR, WM, PoolId, init

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from kvparity.caches.protocol import CacheSpec

_REMEMBERED_KEYS = 65_536


class LastSet(NamedTuple):
    """What was last set under a key, and when.

    Attributes:
        fingerprint: of the value.
        device: of the value; None where its tensors are on several.
        number: of the operation that set it.
        resets: how often the key had been set before since the last clear.
    """

    fingerprint: bytes
    device: torch.device | None
    number: int
    resets: int


class Removal(NamedTuple):
    """A key that an ideal pool evicted: by which operation, to make room for which key; a working copy's is below 0."""

    number: int
    for_key: int


class Contents:
    """What was last set under each key of one pool since its last clear.

    Args:
        slots: of the pool; many times as many keys are remembered.
        complete: False where keys may have been set before the first operation that is seen.

    Attributes:
        cleared: the operation that cleared it last.
        last_set: what was last set, by key.
        sets: in all.
        clears: that made it forget something.
    """

    def __init__(self, slots: int, *, complete: bool = True) -> None:
        self._limit = max(_REMEMBERED_KEYS, 8 * slots)
        self.complete = complete
        self.cleared: int | None = None
        self.sets = self.clears = 0
        self.last_set: OrderedDict[int, LastSet] = OrderedDict()
        self._before_clear: OrderedDict[int, LastSet] = OrderedDict()
        self._replaced: OrderedDict[int, LastSet] = OrderedDict()

    def set(self, key: int, fingerprint: bytes, device: torch.device | None, number: int) -> None:
        """Note a set."""
        self.sets += 1
        last_set = self.last_set
        earlier = last_set.pop(key, None)
        resets = 0
        if earlier is not None:
            resets = earlier.resets + 1
            self._replaced[key] = earlier
            if len(self._replaced) > self._limit:
                self._replaced.popitem(last=False)
        last_set[key] = LastSet(fingerprint, device, number, resets)
        if len(last_set) > self._limit:
            last_set.popitem(last=False)
            self.complete = False

    def earlier(self, key: int, fingerprint: bytes) -> LastSet | None:
        """The set of `key` that stored these bytes before its last set, or before the last clear; None if unknown."""
        for sets in (self._replaced, self._before_clear):
            found = sets.get(key)
            if found is not None and found.fingerprint == fingerprint:
                return found
        return None

    def forget(self, key: int) -> None:
        """Nobody knows what was last set under that key."""
        self.last_set.pop(key, None)
        self.complete = False

    def forget_all(self) -> None:
        """Nor under any other."""
        self.last_set.clear()
        self.complete = False

    def clear(self, number: int) -> None:
        """Note a clear: from here on every key is known again."""
        if self.last_set:
            self.clears += 1
            self._before_clear, self.last_set = self.last_set, OrderedDict()
        self.cleared = number
        self.complete = True


class Ideal(Protocol):
    """A pool that does exactly what its strategy says. It holds keys, not values."""

    evicted: OrderedDict[int, Removal]
    hits: int
    misses: int
    evictions: int
    resets: int

    def set(self, key: int, number: int, priority: float | None) -> None:
        """Hold `key` from operation `number` on, evicting another where the pool is full."""

    def get(self, key: int) -> bool:
        """Whether `key` is held; counts as a use."""

    def clear(self) -> None:
        """Hold nothing."""

    def __contains__(self, key: object) -> bool: ...
    def __len__(self) -> int: ...


class Fifo:
    """First in, first out; a key that is set again stays where it is."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._held: OrderedDict[int, None] = OrderedDict()
        self._remembered = 4 * slots + 1024
        self.evicted: OrderedDict[int, Removal] = OrderedDict()
        self.hits = self.misses = self.evictions = self.resets = 0

    def set(self, key: int, number: int, priority: float | None) -> None:  # noqa: ARG002
        """See `Ideal`."""
        held = self._held
        if key in held:
            self.resets += 1
            self._refresh(key)
            return
        if len(held) >= self._slots:
            self._note(self._victim(), number, key)
        held[key] = None

    def get(self, key: int) -> bool:
        """See `Ideal`."""
        if key in self._held:
            self.hits += 1
            self._refresh(key)
            return True
        self.misses += 1
        return False

    def clear(self) -> None:
        """See `Ideal`."""
        self._held.clear()
        self.evicted.clear()

    def _victim(self) -> int:
        """Who leaves when the pool is full."""
        return next(iter(self._held))

    def _refresh(self, key: int) -> None:
        """A use changes nothing here."""

    def _note(self, victim: int, number: int, for_key: int) -> None:
        del self._held[victim]
        self.evictions += 1
        evicted = self.evicted
        evicted.pop(victim, None)
        evicted[victim] = Removal(number, for_key)
        if len(evicted) > self._remembered:
            evicted.popitem(last=False)

    def __contains__(self, key: object) -> bool:
        return key in self._held

    def __len__(self) -> int:
        return len(self._held)


class Lru(Fifo):
    """The key that was not set or found for longest leaves first."""

    def _refresh(self, key: int) -> None:
        self._held.move_to_end(key)


class Priority(Fifo):
    """The key of lowest priority leaves first, of equal ones the oldest; one without a priority counts as 0."""

    def __init__(self, slots: int) -> None:
        super().__init__(slots)
        self._rank: dict[int, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, int]] = []
        self._age = count()

    def set(self, key: int, number: int, priority: float | None) -> None:
        """See `Ideal`."""
        if key in self._held:
            self.resets += 1
            old, age = self._rank[key]
            if priority is not None and priority != old:
                self._place(key, priority, age)
            return
        if len(self._held) >= self._slots:
            self._note(self._victim(), number, key)
        self._held[key] = None
        self._place(key, 0.0 if priority is None else priority, next(self._age))

    def clear(self) -> None:
        """See `Ideal`."""
        super().clear()
        self._rank.clear()
        self._heap.clear()

    def _place(self, key: int, priority: float, age: int) -> None:
        self._rank[key] = (priority, age)
        heapq.heappush(self._heap, (priority, age, key))
        if len(self._heap) > 4 * self._slots + 64:
            self._heap = [(*rank, held) for held, rank in self._rank.items()]
            heapq.heapify(self._heap)

    def _victim(self) -> int:
        while True:
            priority, age, key = heapq.heappop(self._heap)
            if self._rank.get(key) == (priority, age):
                del self._rank[key]
                return key


STRATEGIES: dict[str, Callable[[int], Ideal]] = {"fifo": Fifo, "lru": Lru, "priority": Priority}


class IdealCache:
    """An ideal pool for each pool of a spec.

    Args:
        spec: the sizes.
        strategy: names the strategy of a pool: a key of `STRATEGIES`.
    """

    def __init__(self, spec: CacheSpec, strategy: Callable[[PoolId], str]) -> None:
        self.strategies = {pool: strategy(pool) for pool in spec.pools}
        self.pools = {pool: STRATEGIES[name](spec.slots(pool)) for pool, name in self.strategies.items()}
        self._init = [(pool, self.pools[pool]) for pool in map(init, range(spec.env_num))]
        self._recur = self.pools[RECUR]
        self._wm_slots = spec.slots(WM)
        self._checkouts = 0
        self._not_in_wm = 0  # checkouts since wm was last up to date

    def set(self, pool: PoolId, key: int, number: int, priority: float | None) -> None:
        """Set `key` in `pool`."""
        if pool == WM:
            self._bring_wm_up_to_date()
        self.pools[pool].set(key, number, priority)

    def get(self, pool: PoolId, key: int) -> PoolId | None:
        """`pool` where it holds the key, else None."""
        if pool == WM:
            self._bring_wm_up_to_date()
        return pool if self.pools[pool].get(key) else None

    def checkout(self, env: int, key: int) -> PoolId | None:
        """Where a search's lookup finds the key: `init[env]`, recur, or nowhere."""
        pool, held = self._init[env]
        if not held.get(key):
            if not self._recur.get(key):
                return None
            pool = RECUR
        self._checkouts += 1
        self._not_in_wm += 1
        return pool

    def clear(self, pool: PoolId) -> None:
        """Clear one pool."""
        if pool == WM:
            self._not_in_wm = 0
        self.pools[pool].clear()

    def _bring_wm_up_to_date(self) -> None:
        """Each working copy takes a wm slot; but hardly any workload asks the wm pool for keys of its own."""
        missing = min(self._not_in_wm, self._wm_slots)
        self._not_in_wm = 0
        for checkout in range(self._checkouts - missing + 1, self._checkouts + 1):
            self.pools[WM].set(-checkout, 0, None)  # a key that no workload has


@dataclass(frozen=True, slots=True)
class Truth:
    """The contents of each pool of a spec, known from the operations alone."""

    pools: dict[PoolId, Contents]

    @classmethod
    def empty(cls, spec: CacheSpec, *, complete: bool = True) -> Truth:
        """Before any operation; `complete=False` where the caches may not have been empty then."""
        return cls({pool: Contents(spec.slots(pool), complete=complete) for pool in spec.pools})

    def find(self, fingerprint: bytes, nearest: PoolId) -> tuple[PoolId, int, LastSet] | None:
        """Whose value that is, looking into `nearest` first: pool, key and when it was set."""
        for pool in (nearest, *self.pools):
            for key, last in self.pools[pool].last_set.items():
                if last.fingerprint == fingerprint:
                    return pool, key, last
        return None
