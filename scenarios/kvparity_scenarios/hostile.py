"""Candidates that do harm to the run that they are guests of, rather than wrong: `fault:NAME`, beside the gallery.

What a comparison finds of the gallery's caches is that they answer wrongly. Of these a guard must find what they cost.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from kvparity_scenarios.correct_cache import CorrectCache

if TYPE_CHECKING:
    from kvparity.caches.protocol import PoolStats
    from kvparity.operations import PoolId

_NAP_S = 0.05
_LEAK_BYTES = 1 << 20


class _Harms(CorrectCache):
    """Right, were it not for what it does first in every call."""

    def harm(self) -> None:
        """Do it."""
        raise NotImplementedError

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """First the harm."""
        self.harm()
        super().set(pool, key, value, priority=priority)

    def get(self, pool: PoolId, key: int) -> Any:
        """First the harm."""
        self.harm()
        return super().get(pool, key)

    def checkout(self, env: int, key: int) -> Any:
        """First the harm."""
        self.harm()
        return super().checkout(env, key)

    def clear(self, pool: PoolId) -> None:
        """First the harm."""
        self.harm()
        super().clear(pool)

    def stats(self, pool: PoolId) -> PoolStats:
        """First the harm."""
        self.harm()
        return super().stats(pool)


class RaisesAlways(_Harms):
    """Raises in every call."""

    def harm(self) -> None:
        """Raise."""
        raise RuntimeError("no")


class ExitsAlways(_Harms):
    """Calls `sys.exit` in every call."""

    def harm(self) -> None:
        """End the program, or try to."""
        sys.exit(7)


class Sleeps(_Harms):
    """Sleeps 50 ms in every call."""

    def harm(self) -> None:
        """Be late."""
        time.sleep(_NAP_S)


class Leaks(CorrectCache):
    """Keeps one megabyte more with every `set`, and says nothing of it."""

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.kept: list[Any] = []

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Right, and ever larger."""
        super().set(pool, key, value, priority=priority)
        self.kept.append(np.ones(_LEAK_BYTES, dtype=np.uint8))


class ReturnsGarbage(CorrectCache):
    """Answers every lookup with something that is no entry, each time another thing."""

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.lookups = 0

    def get(self, pool: PoolId, key: int) -> Any:
        """Garbage."""
        super().get(pool, key)
        return self.garbage()

    def checkout(self, env: int, key: int) -> Any:
        """Garbage."""
        super().checkout(env, key)
        return self.garbage()

    def garbage(self) -> Any:
        """A string, a number, an empty list, a class, an object that raises when it is looked at."""
        self.lookups += 1
        return ("garbage", -1, [], CorrectCache, _Thorn())[self.lookups % 5]


class _Thorn:
    """Whatever is asked of it, it raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"do not touch {name}")


HOSTILE: dict[str, type[CorrectCache]] = {
    "raises-always": RaisesAlways,
    "exits-always": ExitsAlways,
    "sleeps": Sleeps,
    "leaks": Leaks,
    "returns-garbage": ReturnsGarbage,
}
