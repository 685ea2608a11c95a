"""The switch between the two systems: one line of the configuration. To roll back, remove that line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from kvparity_refactored.manager import KVCacheManager

if TYPE_CHECKING:
    from collections.abc import Callable

Original = TypeVar("Original")


def build_cache(config: Any, env_num: int, *, legacy: Callable[[Any, int], Original]) -> KVCacheManager | Original:
    """A `KVCacheManager` if `config.use_new_cache_manager` is True, otherwise what `legacy` builds.

    The default is False. The caller passes `legacy`, as in `build_cache(config, env_num, legacy=EvictingCache)`: so the
    new system does not import the old one, which can be deleted later. `kvparity.caches.adapter.adapt` gives both
    results one interface.

    Raises:
        ValueError: `use_new_cache_manager` is neither True nor False (the string "False" would be true).
    """
    wanted = getattr(config, "use_new_cache_manager", False)
    if not isinstance(wanted, bool):
        raise ValueError(f"use_new_cache_manager must be True or False, got {wanted!r}")  # noqa: TRY004
    return KVCacheManager(config, env_num) if wanted else legacy(config, env_num)
