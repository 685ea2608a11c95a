"""The refactored cache: pools that copy into their own storage, evict by a strategy and count what they do."""

from typing import Any

from kvparity_refactored.eviction import EvictionStrategy
from kvparity_refactored.locking import LockedManager
from kvparity_refactored.manager import KVCacheManager
from kvparity_refactored.pool import KVCachePool
from kvparity_refactored.stats import CacheStats
from kvparity_refactored.switch import build_cache

__all__ = [
    "CacheStats",
    "EvictionStrategy",
    "KVCacheManager",
    "KVCachePool",
    "LockedManager",
    "build_cache",
    "fifo",
    "lru",
    "priority",
    "thread_safe",
]


def fifo(config: Any, env_num: int) -> KVCacheManager:
    """A manager whose pools evict first in, first out."""
    return KVCacheManager(config, env_num, eviction_strategy=EvictionStrategy.FIFO)


def lru(config: Any, env_num: int) -> KVCacheManager:
    """A manager whose pools evict the least recently used."""
    return KVCacheManager(config, env_num, eviction_strategy=EvictionStrategy.LRU)


def priority(config: Any, env_num: int) -> KVCacheManager:
    """A manager whose pools evict the lowest priority."""
    return KVCacheManager(config, env_num, eviction_strategy=EvictionStrategy.PRIORITY)


def thread_safe(config: Any, env_num: int) -> LockedManager:
    """A manager that several threads may call at once; its pools evict first in, first out."""
    return LockedManager(config, env_num)
