"""`KVCacheManager`: the pools of one world model, and the lookup across them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvparity_refactored.eviction import EvictionStrategy
from kvparity_refactored.pool import KVCachePool
from kvparity_refactored.sizes import check_size, init_pool_size, recur_pool_size

if TYPE_CHECKING:
    from kvparity.values.entry import KeysValues


class KVCacheManager:
    """One init pool for each environment, one recur pool, one pool of working copies ("wm").

    It counts nothing itself: `stats` is each pool's own. One thread at a time may call it; several threads need a
    `LockedManager`. A deep copy or a pickle of it shares nothing with it.

    Args:
        config: the recur pool has `num_simulations` (50 if absent) times `env_num` slots. An init pool has
            `init_pool_size` slots, or without that `game_segment_length`, but no more than `max_cache_size`.
        env_num: the number of environments, and the slots of the wm pool.
        enable_stats: whether the pools count.
        eviction_strategy: which entry leaves a full pool.

    Attributes:
        init_pools: one `KVCachePool` for each environment, by `env_id`.
        recur_pool: the pool that a search writes its nodes to.
        wm_pool: copies that the caller may write into. What the other pools lend is read only: copy it here first, and
            write into the copy.

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
    ) -> None:
        self.env_num = check_size("env_num", env_num)
        self.enable_stats = enable_stats
        self.eviction_strategy = eviction_strategy
        recur_size, init_size = recur_pool_size(config, env_num), init_pool_size(config)
        self.init_pools = [self._new_pool(init_size, f"init[{env_id}]") for env_id in range(env_num)]
        self.recur_pool = self._new_pool(recur_size, "recur")
        self.wm_pool = self._new_pool(env_num, "wm")

    def _new_pool(self, size: int, name: str) -> KVCachePool:
        return KVCachePool(size, self.eviction_strategy, self.enable_stats, name)

    def get_init_cache(self, env_id: int, cache_key: int) -> KeysValues | None:
        """Lend what the init pool of `env_id` holds under `cache_key`; None on a miss.

        Raises:
            ValueError: the environment does not exist.
        """
        if type(env_id) is int and 0 <= env_id < self.env_num:  # `_init_pool` would take a fifth of the lookup
            return self.init_pools[env_id].get(cache_key)
        return self._init_pool(env_id).get(cache_key)

    def set_init_cache(self, env_id: int, cache_key: int, kv_cache: Any, priority: float | None = None) -> int:
        """Store a copy in the init pool of `env_id`; returns the slot. See `KVCachePool.set`.

        Raises:
            ValueError: the environment does not exist.
        """
        return self._init_pool(env_id).set(cache_key, kv_cache, priority)

    def get_recur_cache(self, cache_key: int) -> KeysValues | None:
        """Lend what the recur pool holds under `cache_key`; None on a miss."""
        return self.recur_pool.get(cache_key)

    def set_recur_cache(self, cache_key: int, kv_cache: Any, priority: float | None = None) -> int:
        """Store a copy in the recur pool; returns the slot. See `KVCachePool.set`."""
        return self.recur_pool.set(cache_key, kv_cache, priority)

    def get_wm_cache(self, cache_key: int) -> KeysValues | None:
        """Lend the working copy under `cache_key`, to write into; None on a miss."""
        return self.wm_pool.get(cache_key)

    def set_wm_cache(self, cache_key: int, kv_cache: Any, priority: float | None = None) -> int:
        """Make a working copy; returns its slot. See `KVCachePool.set`."""
        return self.wm_pool.set(cache_key, kv_cache, priority)

    def hierarchical_get(self, env_id: int, cache_key: int) -> KeysValues | None:
        """The lookup of a search: in the init pool of `env_id`, then in the recur pool. The entry is read only.

        Raises:
            ValueError: the environment does not exist.
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
        """What each pool has counted, as text; the init pools are `env_0`, `env_1`, ..."""
        return {
            "stats_enabled": self.enable_stats,
            "init_pools": {f"env_{env_id}": str(pool.stats) for env_id, pool in enumerate(self.init_pools)},
            "recur_pool": str(self.recur_pool.stats),
            "wm_pool": str(self.wm_pool.stats),
        }

    def reset_stats(self) -> None:
        """Set every counter of every pool to zero."""
        for pool in (*self.init_pools, self.recur_pool, self.wm_pool):
            pool.stats.reset()

    @property
    def keys_values_wm_list(self) -> list[KeysValues]:
        """The entries of the wm pool in the order of slots, for code that reads this attribute of the original.

        The list is a new one each time: changing it changes no pool.
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
