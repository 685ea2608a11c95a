"""The switch between the two systems: one line of the configuration, and its removal is the roll-back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from kvparity_refactored.manager import KVCacheManager

if TYPE_CHECKING:
    from collections.abc import Callable

Original = TypeVar("Original")


def build_cache(config: Any, env_num: int, *, legacy: Callable[[Any, int], Original]) -> KVCacheManager | Original:
    """A `KVCacheManager` where `config.use_new_cache_manager` is True, otherwise what `legacy` builds.

    The default is False. `legacy` comes from the caller, so that the new system never imports the old one and
    stays whole when that is deleted: `build_cache(config, env_num, legacy=EvictingCache)`. To drive either
    through one interface, pass the result to `kvparity.caches.adapter.adapt`.

    Raises:
        ValueError: `use_new_cache_manager` is neither True nor False (the string "False" would be true).
    """
    wanted = getattr(config, "use_new_cache_manager", False)
    if not isinstance(wanted, bool):
        raise ValueError(f"use_new_cache_manager {wanted!r} is neither True nor False")  # noqa: TRY004
    return KVCacheManager(config, env_num) if wanted else legacy(config, env_num)
