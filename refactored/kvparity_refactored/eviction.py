"""The eviction strategies: which slot leaves a full pool, and the order of slots that each strategy keeps."""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from enum import Enum
from typing import Any, Protocol


class EvictionStrategy(Enum):
    """Which entry leaves a full pool.

    FIFO: the entry set first. An update in place does not make it younger.
    LRU: the entry whose last `get` or `set` is longest ago.
    PRIORITY: the entry of the lowest priority; among equals, the one set first. The default priority is 0.0.
    """

    FIFO = "fifo"
    LRU = "lru"
    PRIORITY = "priority"


class Order(Protocol):
    """The order in which slots leave. The pool reports what happens, and asks which slot is next.

    The pool does not report a clear: it asks only when it is full, and by then every slot was added again.
    """

    follows_lookups: bool
    """Whether the pool must call `used`."""

    def added(self, slot: int, priority: float | None) -> None:
        """`slot` got a new key."""

    def updated(self, slot: int, priority: float | None) -> None:
        """The key in `slot` got a new value. A priority of None leaves its priority as it is."""

    def used(self, slot: int, /) -> None:
        """The entry in `slot` was looked up."""

    def victim(self) -> int:
        """The slot that leaves a full pool next. A call changes nothing."""


class FifoOrder:
    """First in, first out: slots fill in order, then a pointer goes round. Everything is O(1)."""

    __slots__ = ("_pointer", "_size")
    follows_lookups = False

    def __init__(self, size: int) -> None:
        self._size = size
        self._pointer = 0

    def added(self, slot: int, priority: float | None) -> None:  # noqa: ARG002 - see Order
        """The slot after it is now the oldest."""
        self._pointer = (slot + 1) % self._size

    def updated(self, slot: int, priority: float | None) -> None:
        """Does nothing: an update in place changes no order."""

    def used(self, slot: int, /) -> None:
        """Does nothing: a lookup changes no order."""

    def victim(self) -> int:
        """The slot at the pointer."""
        return self._pointer


class LruOrder(OrderedDict[int, None]):
    """Least recently used: slots in the order of their last use; the first one leaves. Everything is O(1)."""

    __slots__ = ()
    follows_lookups = True

    used = OrderedDict.move_to_end  # without a method around it, because every lookup calls it

    def added(self, slot: int, priority: float | None) -> None:  # noqa: ARG002 - see Order
        """Move it to the end."""
        self[slot] = None
        self.move_to_end(slot)

    def updated(self, slot: int, priority: float | None) -> None:  # noqa: ARG002 - see Order
        """Move it to the end."""
        self.move_to_end(slot)

    def victim(self) -> int:
        """The first slot."""
        return next(iter(self))


class PriorityOrder:
    """Lowest priority first: a heap, in which outdated entries stay until they reach the top. O(log n) amortised.

    An entry is `(priority, age, slot)`. It is outdated as soon as `_current[slot]` is another object. When there are
    more outdated entries than slots, the heap is rebuilt: it holds at most about two entries for each slot.
    """

    __slots__ = ("_age", "_current", "_heap", "_limit")
    follows_lookups = False

    def __init__(self, size: int) -> None:
        self._limit = 2 * size + 16
        self._heap: list[tuple[float, int, int]] = []
        self._current: dict[int, tuple[float, int, int]] = {}
        self._age = 0

    def added(self, slot: int, priority: float | None) -> None:
        """Add an entry that is younger than all others."""
        self._age += 1
        self._push((0.0 if priority is None else priority, self._age, slot))

    def updated(self, slot: int, priority: float | None) -> None:
        """Change the priority and keep the age; without a priority, change nothing."""
        if priority is not None:
            _, age, _ = self._current[slot]
            self._push((priority, age, slot))

    def used(self, slot: int, /) -> None:
        """Does nothing: a lookup changes no priority."""

    def victim(self) -> int:
        """The slot of the first entry that is not outdated."""
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
        ValueError: it is not a number, or it is NaN, which cannot be ordered.
    """
    try:
        number = float(priority)
    except (OverflowError, TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise ValueError(f"priority must be a number that can be compared with others, got {priority!r}")
    return number
