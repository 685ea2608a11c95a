"""How many slots a pool has: read from the configuration, and checked."""

from __future__ import annotations

from typing import Any

_DEFAULT_NUM_SIMULATIONS = 50


def init_pool_size(config: Any) -> int:
    """Slots of an init pool: `init_pool_size`, or else `game_segment_length` up to a limit of `max_cache_size`.

    Raises:
        ValueError: the size, or the limit, is not an integer of at least 1.
    """
    size = getattr(config, "init_pool_size", None)
    if size is not None:
        return check_size("init_pool_size", size)
    size = check_size("game_segment_length", getattr(config, "game_segment_length", None))
    limit = getattr(config, "max_cache_size", None)
    return size if limit is None else min(size, check_size("max_cache_size", limit))


def recur_pool_size(config: Any, env_num: int) -> int:
    """Slots of the recur pool: `num_simulations`, 50 if absent, for each environment.

    Raises:
        ValueError: `num_simulations` is not an integer of at least 1.
    """
    simulations = getattr(config, "num_simulations", _DEFAULT_NUM_SIMULATIONS)
    return check_size("num_simulations", simulations) * env_num


def check_size(name: str, size: Any) -> int:
    """`size` itself.

    Raises:
        ValueError: it is not an integer of at least 1; the message names it `name`.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {size!r}")
    return size
