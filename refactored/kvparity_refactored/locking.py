"""`LockedManager`: a manager that several threads may call at once.

A lock alone would not do. A `get` lends the slot itself, and as soon as the lock is released another thread's `set` may
overwrite it, while the caller still reads. So here a lookup returns a copy, made under the lock.
"""

from __future__ import annotations

from _thread import RLock
from typing import TYPE_CHECKING, Any

from kvparity.values.entry import clone
from kvparity_refactored.eviction import EvictionStrategy
from kvparity_refactored.manager import KVCacheManager
from kvparity_refactored.pool import KVCachePool

if TYPE_CHECKING:
    from kvparity.values.entry import KeysValues


class SharedLock(RLock):  # type: ignore[misc] # typeshed has it as final, which it is not
    """A re-entrant lock. In a copy or a pickle of what shares it there is one new lock, which nobody holds."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type[SharedLock], tuple[()]]:
        return type(self), ()


class LockedManager(KVCacheManager):
    """A `KVCacheManager` with one lock for all its pools. It costs a lock for each call and a copy for each hit.

    - Each method takes effect at one moment between its call and its return (linearisability), those that use several
      pools included. So does each method of a pool; `len` of a pool and each counter of its `stats` is a number that
      was right at some moment of the call.
    - Each lookup returns a copy, `get_wm_cache` and `keys_values_wm_list` too. It belongs to the caller: no `set`
      changes it, and writing into it changes no pool.
    - Two calls in a row are not one step: another thread may come between them. While a `set` copies a value, nobody
      may change that value.

    While a deep copy or a pickle of it is made, no other thread may call it. The copy has a lock of its own.

    Args:
        config: see `KVCacheManager`, as for the other arguments.
        env_num: see there.
        enable_stats: see there.
        eviction_strategy: see there.

    Raises:
        ValueError: a size is not an integer of at least 1.
    """

    def __init__(
        self,
        config: Any,
        env_num: int,
        enable_stats: bool = True,  # noqa: FBT001, FBT002 - the signature of every manager
        *,
        eviction_strategy: EvictionStrategy = EvictionStrategy.FIFO,
    ) -> None:
        self._lock = SharedLock()
        super().__init__(config, env_num, enable_stats, eviction_strategy=eviction_strategy)

    def _new_pool(self, size: int, name: str) -> LockedPool:
        return LockedPool(self._lock, size, self.eviction_strategy, self.enable_stats, name)

    # The other methods use one pool, which takes the lock itself.

    def hierarchical_get(self, env_id: int, cache_key: int) -> KeysValues | None:
        """See `KVCacheManager.hierarchical_get`; what it returns is a copy."""
        with self._lock:
            return super().hierarchical_get(env_id, cache_key)

    def clear_all(self) -> None:
        """See `KVCacheManager.clear_all`."""
        with self._lock:
            super().clear_all()

    def clear_init_caches(self) -> None:
        """See `KVCacheManager.clear_init_caches`."""
        with self._lock:
            super().clear_init_caches()

    def get_stats_summary(self) -> dict[str, Any]:
        """See `KVCacheManager.get_stats_summary`."""
        with self._lock:
            return super().get_stats_summary()

    def reset_stats(self) -> None:
        """See `KVCacheManager.reset_stats`."""
        with self._lock:
            super().reset_stats()


class LockedPool(KVCachePool):
    """A `KVCachePool` that holds a lock during each method.

    Args:
        lock: pools that share it are used by one thread at a time together.
        pool_size: see `KVCachePool`, as for the other arguments.
        eviction_strategy: see there.
        enable_stats: see there.
        name: see there.
    """

    __slots__ = ("_lock",)

    def __init__(
        self,
        lock: RLock,
        pool_size: int,
        eviction_strategy: EvictionStrategy,
        enable_stats: bool,  # noqa: FBT001 - the signature of every pool
        name: str,
    ) -> None:
        super().__init__(pool_size, eviction_strategy, enable_stats, name)
        self._lock = lock

    def get(self, cache_key: int) -> KeysValues | None:
        """A copy of what is held under `cache_key`, the caller's to keep and to write into; None on a miss."""
        with self._lock:
            found = super().get(cache_key)
            return None if found is None else clone(found)

    def set(self, cache_key: int, kv_cache: Any, priority: float | None = None) -> int:
        """Store a copy of `kv_cache`, which nobody may change until this returns. See `KVCachePool.set`."""
        with self._lock:
            return super().set(cache_key, kv_cache, priority)

    def clear(self) -> None:
        """See `KVCachePool.clear`."""
        with self._lock:
            super().clear()

    @property
    def values(self) -> list[KeysValues]:
        """A copy of every entry held, in the order of slots."""
        with self._lock:
            return [clone(value) for value in super().values]
