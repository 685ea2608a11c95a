"""Which slot leaves a full pool: the strategies, and the order of slots that each keeps."""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from enum import Enum
from typing import Any, Protocol


class EvictionStrategy(Enum):
    """Who leaves when a pool is full.

    FIFO: the entry set first; an update in place does not make it younger.
    LRU: the entry whose last `get` or `set` is longest ago.
    PRIORITY: the entry of the lowest priority, among equals the one set first. The default priority is 0.0.
    """

    FIFO = "fifo"
    LRU = "lru"
    PRIORITY = "priority"


class Order(Protocol):
    """The order in which slots leave. A pool tells it what happens and asks it who is next.

    It need not hear of a clear: a pool asks only when full, and then every slot has been added since.
    """

    follows_lookups: bool
    """Whether `used` has to be called at all."""

    def added(self, slot: int, priority: float | None) -> None:
        """A new key took `slot`."""

    def updated(self, slot: int, priority: float | None) -> None:
        """The key in `slot` got a new value; a priority of None keeps the one it has."""

    def used(self, slot: int, /) -> None:
        """The entry in `slot` was looked up."""

    def victim(self) -> int:
        """The slot that leaves next, from a full pool. Asking changes nothing."""


class FifoOrder:
    """First in, first out: slots fill in order, then a pointer goes round. All O(1)."""

    __slots__ = ("_pointer", "_size")
    follows_lookups = False

    def __init__(self, size: int) -> None:
        self._size = size
        self._pointer = 0

    def added(self, slot: int, priority: float | None) -> None:  # noqa: ARG002 - see Order
        """The next one round is the oldest."""
        self._pointer = (slot + 1) % self._size

    def updated(self, slot: int, priority: float | None) -> None:
        """An update in place keeps its turn."""

    def used(self, slot: int, /) -> None:
        """A lookup keeps its turn."""

    def victim(self) -> int:
        """The slot at the pointer."""
        return self._pointer


class LruOrder(OrderedDict[int, None]):
    """Least recently used: slots in order of use, the front one leaves. All O(1)."""

    __slots__ = ()
    follows_lookups = True

    used = OrderedDict.move_to_end  # to the back; every lookup calls it, so no method of ours is around it

    def added(self, slot: int, priority: float | None) -> None:  # noqa: ARG002 - see Order
        """To the back."""
        self[slot] = None
        self.move_to_end(slot)

    def updated(self, slot: int, priority: float | None) -> None:  # noqa: ARG002 - see Order
        """To the back."""
        self.move_to_end(slot)

    def victim(self) -> int:
        """The slot in front."""
        return next(iter(self))


class PriorityOrder:
    """Lowest priority first: a heap in which outdated entries stay until they surface. O(log n) amortised.

    An entry is `(priority, age, slot)`. It is outdated once `_current[slot]` is another object. The heap is
    rebuilt when outdated entries outnumber the slots, so it stays within about twice the pool.
    """

    __slots__ = ("_age", "_current", "_heap", "_limit")
    follows_lookups = False

    def __init__(self, size: int) -> None:
        self._limit = 2 * size + 16
        self._heap: list[tuple[float, int, int]] = []
        self._current: dict[int, tuple[float, int, int]] = {}
        self._age = 0

    def added(self, slot: int, priority: float | None) -> None:
        """A new entry, younger than all others."""
        self._age += 1
        self._push((0.0 if priority is None else priority, self._age, slot))

    def updated(self, slot: int, priority: float | None) -> None:
        """A new priority at the old age; without one, nothing changes."""
        if priority is not None:
            _, age, _ = self._current[slot]
            self._push((priority, age, slot))

    def used(self, slot: int, /) -> None:
        """A lookup changes no priority."""

    def victim(self) -> int:
        """The slot of the lowest entry that is not outdated."""
        heap, current = self._heap, self._current
        while current[heap[0][2]] is not heap[0]:
            heapq.heappop(heap)
        return heap[0][2]

    def _push(self, entry: tuple[float, int, int]) -> None:
        self._current[entry[2]] = entry
        if len(self._heap) < self._limit:
            heapq.heappush(self._heap, entry)
        else:
            self._heap = list(self._current.values())
            heapq.heapify(self._heap)


def order_for(strategy: EvictionStrategy, size: int) -> Order:
    """An empty order of that strategy for a pool of `size` slots."""
    if strategy is EvictionStrategy.FIFO:
        return FifoOrder(size)
    return LruOrder() if strategy is EvictionStrategy.LRU else PriorityOrder(size)


def check_priority(priority: Any) -> float:
    """`priority` as a float.

    Raises:
        ValueError: it is none, or not a number, which has no place in an order.
    """
    try:
        number = float(priority)
    except (OverflowError, TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise ValueError(f"priority must be a number that can be compared with others, got {priority!r}")
    return number
