"""`KVCachePool`: a bounded map from keys to copies of key/value objects."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from kvparity_refactored.eviction import EvictionStrategy, order_for
from kvparity_refactored.slots import Slot
from kvparity_refactored.stats import CacheStats

if TYPE_CHECKING:
    from kvparity.values.entry import KeysValues


class KVCachePool:
    """Slots that are written by copy, a dict `key -> slot`, and the order in which slots leave a full pool.

    `get`, `set` and `clear` of a key are O(1); under PRIORITY a `set` is O(log n).

    One thread at a time may use it, for as long as it reads what a `get` lent: that is the slot itself, which any later
    `set` may overwrite. A manager built with `thread_safe=True` has pools for several threads.

    Args:
        pool_size: how many entries it holds at most.
        eviction_strategy: who leaves when it is full.
        enable_stats: whether it counts.
        name: for messages.

    Attributes:
        stats: the counters; they stay at zero with `enable_stats=False`.
        size_bytes: of the tensors of every slot that has been written once; `clear` frees none.

    Raises:
        ValueError: `pool_size` is not an integer of at least 1, or there is no such strategy.
    """

    __slots__ = (
        "_index", "_keys", "_order", "_slots", "_used",
        "enable_stats", "eviction_strategy", "name", "pool_size", "size_bytes", "stats",
    )  # fmt: skip

    def __init__(
        self,
        pool_size: int,
        eviction_strategy: EvictionStrategy = EvictionStrategy.FIFO,
        enable_stats: bool = True,  # noqa: FBT001, FBT002 - the signature that callers know
        name: str = "",
    ) -> None:
        if isinstance(pool_size, bool) or not isinstance(pool_size, int) or pool_size < 1:
            raise ValueError(
                f"pool_size {pool_size!r} is not an integer in [1, ...):"
                f" {f'pool {name}' if name else 'a pool'} has at least one slot"
            )
        self.pool_size = pool_size
        self.eviction_strategy = EvictionStrategy(eviction_strategy)
        self.enable_stats = enable_stats
        self.name = name
        self.stats = CacheStats()
        self.size_bytes = 0
        self._index: dict[int, int] = {}
        self._keys = [0] * pool_size
        self._slots = [Slot() for _ in range(pool_size)]
        self._order = order_for(self.eviction_strategy, pool_size)
        self._bind()

    def __setstate__(self, state: tuple[dict[str, Any] | None, dict[str, Any]]) -> None:
        """As Python does, but for the order that lookups refresh, which is the copy's own."""
        attributes, slots = state
        for name, value in {**(attributes or {}), **slots}.items():
            setattr(self, name, value)
        self._bind()

    def _bind(self) -> None:
        """Bind what every lookup calls, or None. Python does not copy a built-in method: it would be the original's."""
        self._used = self._order.used if self._order.refreshed_by_get else None

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        named = f"{self.name!r}, " if self.name else ""
        return f"KVCachePool({named}{self.eviction_strategy.value}, {len(self)} of {self.pool_size} slots held)"

    @property
    def values(self) -> list[KeysValues]:
        """Every entry held, in the order of slots: a new list of the slots' own objects."""
        held = (self._slots[slot].value for slot in sorted(self._index.values()))
        return [value for value in held if value is not None]

    def get(self, cache_key: int) -> KeysValues | None:
        """Lend the slot's own object, read only and good until the next `set` or `clear`; None on a miss."""
        slot = self._index.get(cache_key)
        if slot is None:
            if self.enable_stats:
                self.stats.misses += 1
            return None
        if self.enable_stats:
            self.stats.hits += 1
        if self._used is not None:
            self._used(slot)
        return self._slots[slot].value

    def set(self, cache_key: int, kv_cache: Any, priority: float | None = None) -> int:
        """Store a copy of `kv_cache`: in place where the key is held, else in a free slot or a victim's.

        Args:
            cache_key: an unsigned 64-bit integer.
            kv_cache: any key/value object, see `kvparity.values.entry`. It may be changed right after.
            priority: read under PRIORITY only. None is 0.0 for a new key and leaves a held key's as it is.

        Returns:
            The slot.

        Raises:
            NotKeysValuesError: `kv_cache` is not one. The pool is as before.
            ValueError: `priority` is not a number. The pool is as before.
        """
        if priority is not None:
            priority = _orderable(priority)
        slot = self._index.get(cache_key)
        if slot is not None:
            self.size_bytes += self._slots[slot].store(kv_cache)
            self._order.updated(slot, priority)
            return slot
        held = len(self._index)
        full = held == self.pool_size
        slot = self._order.victim() if full else held
        self.size_bytes += self._slots[slot].store(kv_cache)
        if full:
            del self._index[self._keys[slot]]
            if self.enable_stats:
                self.stats.evictions += 1
        self._index[cache_key] = slot
        self._keys[slot] = cache_key
        self._order.added(slot, priority)
        return slot

    def clear(self) -> None:
        """Forget every key; statistics and the slots' storage stay, and slots fill from the first again."""
        self._index.clear()


def _orderable(priority: Any) -> float:
    try:
        number = float(priority)
    except (OverflowError, TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise ValueError(f"priority {priority!r} is not a number that can be compared with others")
    return number
