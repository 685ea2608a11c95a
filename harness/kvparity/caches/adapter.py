"""Adapts anything with the methods of `KVCacheManager` to a `Cache`."""

from __future__ import annotations

from itertools import count
from numbers import Integral
from typing import Any

import xxhash

from kvparity.caches.protocol import Cache, PoolStats
from kvparity.errors import UnusableCacheError
from kvparity.operations import ALL, ALL_INIT, PoolId

_CACHE_METHODS = ("set", "get", "checkout", "clear")
MANAGER_METHODS = (
    "get_init_cache", "set_init_cache", "get_recur_cache", "set_recur_cache", "get_wm_cache", "set_wm_cache",
    "hierarchical_get", "clear_all", "clear_init_caches", "clear_recur_cache",
)  # fmt: skip
_POOLS = ("init_pools", "recur_pool", "wm_pool")


def adapt(built: Any, *, name: str = "") -> Cache:
    """`built` itself if it is a `Cache`, or wrapped if it has the methods of `KVCacheManager`.

    Raises:
        UnusableCacheError: it is neither. The message names the missing methods, or else the missing pools.
    """
    name = name or type(built).__name__
    if all(callable(getattr(built, method, None)) for method in _CACHE_METHODS):
        cache: Cache = built
        return cache
    lacks = [method for method in MANAGER_METHODS if not callable(getattr(built, method, None))]
    if not lacks:
        lacks = [pool for pool in _POOLS if not hasattr(built, pool)]
    if not lacks:
        return ManagerCache(built)
    if len(lacks) == len(MANAGER_METHODS):
        raise UnusableCacheError(
            f"{name} returned a {type(built).__name__}, which is not a cache: it needs the methods"
            f" {', '.join(_CACHE_METHODS)}, or those of KVCacheManager ({MANAGER_METHODS[0]}, ...)"
        )
    raise UnusableCacheError(f"{name} cannot be used as a KVCacheManager: it lacks {', '.join(lacks)}")


class ManagerCache:
    """A manager as a `Cache`: pools become methods, and each checkout gets a key of its own in the wm pool.

    It needs a key of its own because two environments may check out the same latent, and each must own its copy.
    """

    def __init__(self, manager: Any) -> None:
        self.manager = manager
        self._checkouts = count()  # `next` of it is atomic: no two threads get the same ticket

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Store through `set_init_cache`, `set_recur_cache` or `set_wm_cache`."""
        options = {} if priority is None or not self._takes_priority(pool) else {"priority": priority}
        if pool.family == "init":
            self.manager.set_init_cache(pool.env, key, value, **options)
        elif pool.family == "recur":
            self.manager.set_recur_cache(key, value, **options)
        else:
            self.manager.set_wm_cache(key, value, **options)

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Look up through `get_init_cache`, `get_recur_cache` or `get_wm_cache`."""
        if pool.family == "init":
            return self.manager.get_init_cache(pool.env, key)
        if pool.family == "recur":
            return self.manager.get_recur_cache(key)
        return self.manager.get_wm_cache(key)

    def checkout(self, env: int, key: int) -> Any | None:
        """Look up with `hierarchical_get`, and copy the entry into the wm pool."""
        found = self.manager.hierarchical_get(env, key)
        if found is None:
            return None
        # A hash, as the keys of a workload are, so that it hardly ever equals one of them.
        ticket = xxhash.xxh3_64_intdigest(b"kvparity checkout %d" % next(self._checkouts))
        self.manager.set_wm_cache(ticket, found)
        return self.manager.get_wm_cache(ticket)

    def clear(self, pool: PoolId) -> None:
        """Call `clear_recur_cache`, `clear_init_caches`, `clear_all`, or the `clear` of one pool object."""
        if pool.family == "recur":
            self.manager.clear_recur_cache()
        elif pool == ALL_INIT:
            self.manager.clear_init_caches()
        elif pool == ALL:
            self.manager.clear_all()
        else:
            self._pool(pool).clear()

    def stats(self, pool: PoolId) -> PoolStats:
        """The counters of the pool object's `stats`, and its `len`; None for what it does not have."""
        held = self._pool(pool)
        stats = getattr(held, "stats", None)
        counts = {name: _count(getattr(stats, name, None)) for name in ("hits", "misses", "evictions")}
        if getattr(held, "enable_stats", True) is False:
            counts = {}
        length = len(held) if hasattr(held, "__len__") else None
        return PoolStats(length=length, size_bytes=_count(getattr(held, "size_bytes", None)), **counts)

    def strategy(self, pool: PoolId) -> str:
        """The `eviction_strategy` that the pool object declares; `fifo` if it declares none."""
        declared = getattr(self._pool(pool), "eviction_strategy", "fifo")
        return str(getattr(declared, "value", declared)).lower()

    def _takes_priority(self, pool: PoolId) -> bool:
        return self.strategy(pool) == "priority"

    def _pool(self, pool: PoolId) -> Any:
        if pool.family == "init":
            return self.manager.init_pools[pool.env]
        return self.manager.recur_pool if pool.family == "recur" else self.manager.wm_pool


def _count(number: Any) -> int | None:
    return None if isinstance(number, bool) or not isinstance(number, Integral) else int(number)
