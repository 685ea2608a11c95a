"""`KVCachePool`: a bounded map from keys to copies of key/value objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvparity_refactored.eviction import EvictionStrategy, check_priority, order_for
from kvparity_refactored.sizes import check_size
from kvparity_refactored.slots import Slot
from kvparity_refactored.stats import CacheStats

if TYPE_CHECKING:
    from kvparity.values.entry import KeysValues


class KVCachePool:
    """A fixed number of slots, a dict `key -> slot`, and the order in which slots are evicted.

    `get`, `set` and `clear` of a key are O(1); under PRIORITY a `set` is O(log n).

    One thread at a time may use it. What a `get` lends is the slot itself, which any later `set` may overwrite: the
    thread must have read it by then. `kvparity_refactored.locking` has a pool for several threads.

    Args:
        pool_size: the number of slots.
        eviction_strategy: which entry leaves a full pool.
        enable_stats: whether lookups and evictions are counted.
        name: for messages.

    Attributes:
        stats: the counters; they stay at zero with `enable_stats=False`.
        size_bytes: of the tensors of every slot that was ever written; `clear` frees none.

    Raises:
        ValueError: `pool_size` is not an integer of at least 1, or the strategy does not exist.
    """

    __slots__ = (
        "_follows_lookups", "_index", "_keys", "_order", "_slots",
        "enable_stats", "eviction_strategy", "name", "pool_size", "size_bytes", "stats",
    )  # fmt: skip

    def __init__(
        self,
        pool_size: int,
        eviction_strategy: EvictionStrategy = EvictionStrategy.FIFO,
        enable_stats: bool = True,  # noqa: FBT001, FBT002 - the signature that callers know
        name: str = "",
    ) -> None:
        self.pool_size = check_size(f"pool_size of pool {name}" if name else "pool_size", pool_size)
        self.eviction_strategy = EvictionStrategy(eviction_strategy)
        self.enable_stats = enable_stats
        self.name = name
        self.stats = CacheStats()
        self.size_bytes = 0
        self._slots = [Slot() for _ in range(pool_size)]
        self._index: dict[int, int] = {}  # key -> slot
        self._keys = [0] * pool_size  # slot -> key
        self._order = order_for(self.eviction_strategy, pool_size)
        self._follows_lookups = self._order.follows_lookups

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        named = f"{self.name!r}, " if self.name else ""
        return f"KVCachePool({named}{self.eviction_strategy.value}, {len(self)} of {self.pool_size} slots held)"

    def get(self, cache_key: int) -> KeysValues | None:
        """Lend the slot's own object: read only, and valid until the next `set` or `clear`. None on a miss."""
        slot = self._index.get(cache_key)
        if slot is None:
            if self.enable_stats:
                self.stats.misses += 1
            return None
        if self.enable_stats:
            self.stats.hits += 1
        if self._follows_lookups:
            self._order.used(slot)
        return self._slots[slot].value

    def set(self, cache_key: int, kv_cache: Any, priority: float | None = None) -> int:
        """Store a copy of `kv_cache`: in the key's own slot, else in a free one, else in the slot of an evicted key.

        Args:
            cache_key: an unsigned 64-bit integer.
            kv_cache: any key/value object, see `kvparity.values.entry`. It may be changed right after.
            priority: read under PRIORITY only. None is 0.0 for a new key and leaves a held key's as it is.

        Returns:
            The slot.

        Raises:
            NotKeysValuesError: `kv_cache` is not a key/value object. The pool is as before.
            ValueError: `priority` is not a number. The pool is as before.
        """
        if priority is not None:
            priority = check_priority(priority)
        slot = self._index.get(cache_key)
        if slot is not None:
            self.size_bytes += self._slots[slot].store(kv_cache)
            self._order.updated(slot, priority)
            return slot
        held = len(self._index)  # slots fill in order, so this is the first free one
        slot = held if held < self.pool_size else self._order.victim()
        self.size_bytes += self._slots[slot].store(kv_cache)  # before the victim leaves: it may raise
        if held == self.pool_size:
            self._evict(slot)
        self._index[cache_key] = slot
        self._keys[slot] = cache_key
        self._order.added(slot, priority)
        return slot

    def _evict(self, slot: int) -> None:
        del self._index[self._keys[slot]]
        if self.enable_stats:
            self.stats.evictions += 1

    def clear(self) -> None:
        """Forget every key; statistics and the slots' storage stay, and slots fill from the first again."""
        self._index.clear()

    @property
    def values(self) -> list[KeysValues]:
        """Every entry held, in the order of slots: a new list of the slots' own objects."""
        held = (self._slots[slot].value for slot in sorted(self._index.values()))
        return [value for value in held if value is not None]
