"""`KVCacheManager`: the pools of one world model, and the lookups across them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvparity_refactored.eviction import EvictionStrategy
from kvparity_refactored.locking import LockedPool, SharedLock, one_at_a_time
from kvparity_refactored.pool import KVCachePool

if TYPE_CHECKING:
    from kvparity.values.entry import KeysValues

_DEFAULT_NUM_SIMULATIONS = 50
_SEVERAL_POOLS = ("hierarchical_get", "clear_all", "clear_init_caches", "get_stats_summary", "reset_stats")


class KVCacheManager:
    """One init pool for each environment, one recur pool, one pool of working copies ("wm").

    It counts nothing itself: `stats` is each pool's own.

    What it promises to threads: as it stands, nothing. One thread at a time may call it, and what a `get` lends is
    the slot itself, which the next `set` may overwrite. With `thread_safe=True` any number of threads may call it:

    - Every method happens at one moment between its call and its return, those that go through several pools
      included (linearisability); `len` of a pool and each counter of its `stats` is a number that was right then.
    - Every lookup gives a copy, `get_wm_cache` and `keys_values_wm_list` too. It is the caller's own: no `set` changes
      it, and writing into it changes no pool.
    - It does not promise that two calls in a row are one step, nor that a value may change while a `set` copies it.

    A deep copy of it, or a pickle, has pools and a lock of its own; no other thread may call it while that is made.

    Args:
        config: the recur pool has `num_simulations` (50 when absent) times `env_num` slots, an init pool has
            `init_pool_size`, or without that `game_segment_length`, though no more than `max_cache_size`.
        env_num: environments, and slots of the wm pool.
        enable_stats: whether the pools count.
        eviction_strategy: who leaves a full pool.
        thread_safe: whether several threads may call it at once; costs a lock for each call and a copy for each hit.

    Attributes:
        init_pools: one `KVCachePool` for each environment, by `env_id`.
        recur_pool: the pool that a search writes its nodes to.
        wm_pool: copies that the caller may write into. Whoever writes into what it looked up copies it here
            first, because what the other pools lend is read only.

    Raises:
        ValueError: a size is not an integer of at least 1.
    """

    def __init__(
        self,
        config: Any,
        env_num: int,
        enable_stats: bool = True,  # noqa: FBT001, FBT002 - the signature that callers know
        *,
        eviction_strategy: EvictionStrategy = EvictionStrategy.FIFO,
        thread_safe: bool = False,
    ) -> None:
        _check_size("env_num", env_num)
        simulations = getattr(config, "num_simulations", _DEFAULT_NUM_SIMULATIONS)
        _check_size("num_simulations", simulations)
        init_size = _init_pool_size(config)
        self._lock = lock = SharedLock() if thread_safe else None

        def pool(name: str, size: int) -> KVCachePool:
            if lock is None:
                return KVCachePool(size, eviction_strategy, enable_stats, name)
            return LockedPool(lock, size, eviction_strategy, enable_stats, name)

        self.env_num = env_num
        self.enable_stats = enable_stats
        self.init_pools = [pool(f"init[{env_id}]", init_size) for env_id in range(env_num)]
        self.recur_pool = pool("recur", simulations * env_num)
        self.wm_pool = pool("wm", env_num)
        self._bind()

    def __getstate__(self) -> dict[str, Any]:
        """All but the methods that `_bind` binds, which are of this manager alone."""
        bound = () if self._lock is None else _SEVERAL_POOLS
        return {name: value for name, value in vars(self).items() if name not in bound}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._bind()

    def _bind(self) -> None:
        """Under a lock, bind the methods that go through several pools anew, so that as written they take none."""
        if self._lock is not None:
            for method in _SEVERAL_POOLS:
                setattr(self, method, one_at_a_time(self._lock, getattr(self, method)))

    def get_init_cache(self, env_id: int, cache_key: int) -> KeysValues | None:
        """Lend what the init pool of `env_id` holds under `cache_key`, or None.

        Raises:
            ValueError: there is no such environment.
        """
        if type(env_id) is int and 0 <= env_id < self.env_num:  # the call below takes a fifth of a whole lookup
            return self.init_pools[env_id].get(cache_key)
        return self._init_pool(env_id).get(cache_key)

    def set_init_cache(self, env_id: int, cache_key: int, kv_cache: Any, priority: float | None = None) -> int:
        """Store a copy in the init pool of `env_id`; returns the slot. See `KVCachePool.set`.

        Raises:
            ValueError: there is no such environment.
        """
        return self._init_pool(env_id).set(cache_key, kv_cache, priority)

    def get_recur_cache(self, cache_key: int) -> KeysValues | None:
        """Lend what the recur pool holds under `cache_key`, or None."""
        return self.recur_pool.get(cache_key)

    def set_recur_cache(self, cache_key: int, kv_cache: Any, priority: float | None = None) -> int:
        """Store a copy in the recur pool; returns the slot. See `KVCachePool.set`."""
        return self.recur_pool.set(cache_key, kv_cache, priority)

    def get_wm_cache(self, cache_key: int) -> KeysValues | None:
        """Lend the working copy under `cache_key`, to write into, or None."""
        return self.wm_pool.get(cache_key)

    def set_wm_cache(self, cache_key: int, kv_cache: Any, priority: float | None = None) -> int:
        """Make a working copy; returns the slot. See `KVCachePool.set`."""
        return self.wm_pool.set(cache_key, kv_cache, priority)

    def hierarchical_get(self, env_id: int, cache_key: int) -> KeysValues | None:
        """The search's lookup: the init pool of `env_id`, then the recur pool. What it lends is read only.

        Raises:
            ValueError: there is no such environment.
        """
        found = self._init_pool(env_id).get(cache_key)
        return self.recur_pool.get(cache_key) if found is None else found

    def clear_all(self) -> None:
        """Clear every pool; statistics stay."""
        self.clear_init_caches()
        self.clear_recur_cache()
        self.wm_pool.clear()

    def clear_init_caches(self) -> None:
        """Clear the init pool of every environment; statistics stay."""
        for pool in self.init_pools:
            pool.clear()

    def clear_recur_cache(self) -> None:
        """Clear the recur pool; statistics stay."""
        self.recur_pool.clear()

    def get_stats_summary(self) -> dict[str, Any]:
        """What each pool has counted, in words; the init pools are `env_0`, `env_1`, ..."""
        return {
            "stats_enabled": self.enable_stats,
            "init_pools": {f"env_{env_id}": str(pool.stats) for env_id, pool in enumerate(self.init_pools)},
            "recur_pool": str(self.recur_pool.stats),
            "wm_pool": str(self.wm_pool.stats),
        }

    def reset_stats(self) -> None:
        """Start to count anew in every pool."""
        for pool in (*self.init_pools, self.recur_pool, self.wm_pool):
            pool.stats.reset()

    @property
    def keys_values_wm_list(self) -> list[KeysValues]:
        """What the wm pool holds, in the order of slots, for readers of the original's attribute.

        A new list each time: changing it changes no pool.
        """
        return self.wm_pool.values

    @property
    def keys_values_wm_size_list(self) -> list[int]:
        """How many tokens are valid in each entry of `keys_values_wm_list`."""
        return [value.size for value in self.wm_pool.values]

    def _init_pool(self, env_id: int) -> KVCachePool:
        try:
            if env_id >= 0:
                return self.init_pools[env_id]
        except (IndexError, TypeError):
            pass
        raise ValueError(
            f"env_id {env_id!r} is outside [0, {self.env_num}): this manager was built with env_num={self.env_num}"
        )


def _init_pool_size(config: Any) -> int:
    size = getattr(config, "init_pool_size", None)
    if size is not None:
        return _check_size("init_pool_size", size)
    size = _check_size("game_segment_length", getattr(config, "game_segment_length", None))
    limit = getattr(config, "max_cache_size", None)
    return size if limit is None else min(size, _check_size("max_cache_size", limit))


def _check_size(name: str, size: Any) -> int:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"{name} {size!r} is not an integer in [1, ...): a pool has at least one slot")
    return size
