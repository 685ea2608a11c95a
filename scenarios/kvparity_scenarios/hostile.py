"""Candidates that harm the run that uses them: hostile caches, `fault:NAME` like those of the gallery.

The caches of the gallery give wrong answers, which a comparison finds. These waste time and memory, raise, or try to
end the program, which the guard of a training must find.
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
    """Does some harm first in every call, and then what a correct cache does."""

    def harm(self) -> None:
        """Do the harm."""
        raise NotImplementedError

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Do the harm first."""
        self.harm()
        super().set(pool, key, value, priority=priority)

    def get(self, pool: PoolId, key: int) -> Any:
        """Do the harm first."""
        self.harm()
        return super().get(pool, key)

    def checkout(self, env: int, key: int) -> Any:
        """Do the harm first."""
        self.harm()
        return super().checkout(env, key)

    def clear(self, pool: PoolId) -> None:
        """Do the harm first."""
        self.harm()
        super().clear(pool)

    def stats(self, pool: PoolId) -> PoolStats:
        """Do the harm first."""
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
        """Try to end the program."""
        sys.exit(7)


class Sleeps(_Harms):
    """Sleeps 50 ms in every call."""

    def harm(self) -> None:
        """Sleep."""
        time.sleep(_NAP_S)


class Leaks(CorrectCache):
    """Keeps one more megabyte with every `set`, and does not report it."""

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.kept: list[Any] = []

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Set, and keep a megabyte."""
        super().set(pool, key, value, priority=priority)
        self.kept.append(np.ones(_LEAK_BYTES, dtype=np.uint8))


class ReturnsGarbage(CorrectCache):
    """Returns something that is not an entry from every lookup, each time another thing."""

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.lookups = 0

    def get(self, pool: PoolId, key: int) -> Any:
        """Return garbage."""
        super().get(pool, key)
        return self.garbage()

    def checkout(self, env: int, key: int) -> Any:
        """Return garbage."""
        super().checkout(env, key)
        return self.garbage()

    def garbage(self) -> Any:
        """A string, a number, an empty list, a class, or an object that raises at every access."""
        self.lookups += 1
        return ("garbage", -1, [], CorrectCache, _Thorn())[self.lookups % 5]


class _Thorn:
    """Raises at every access to an attribute."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"do not touch {name}")


HOSTILE: dict[str, type[CorrectCache]] = {
    "raises-always": RaisesAlways,
    "exits-always": ExitsAlways,
    "sleeps": Sleeps,
    "leaks": Leaks,
    "returns-garbage": ReturnsGarbage,
}
