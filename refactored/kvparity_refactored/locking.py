"""Thread-safe variants: one lock for all pools of a manager, and copies in the place of what is lent.

A lock alone would not do. A `get` lends the slot itself, and another thread's `set` may overwrite that as soon as the
lock is released, while the caller still reads. So here whoever looks up gets a copy, made under the lock.
"""

from __future__ import annotations

from _thread import RLock
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from kvparity.values.entry import clone
from kvparity_refactored.pool import KVCachePool

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.values.entry import KeysValues
    from kvparity_refactored.eviction import EvictionStrategy

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")


class SharedLock(RLock):  # type: ignore[misc] # typeshed has it as final, which it is not
    """A re-entrant lock whose copy, or pickle, is a new one that nobody holds; what shares it shares the new one."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type[SharedLock], tuple[()]]:
        return type(self), ()


class LockedPool(KVCachePool):
    """A `KVCachePool` whose methods happen one at a time.

    Args:
        lock: held while a method works; pools that share one happen one at a time together.
        pool_size: and the rest, see `KVCachePool`.
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

    @property
    def values(self) -> list[KeysValues]:
        """A copy of every entry held, in the order of slots."""
        with self._lock:
            return [clone(value) for value in super().values]

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
        """Forget every key."""
        with self._lock:
            super().clear()


def one_at_a_time(lock: RLock, call: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
    """`call`, which holds `lock` while it works."""

    @wraps(call)
    def held(*arguments: Arguments.args, **options: Arguments.kwargs) -> Returned:
        with lock:
            return call(*arguments, **options)

    return held
