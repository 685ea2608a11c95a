"""Faults that only several threads show: with one thread these caches are correct, so no scenario finds them.

`kvparity.judging.linearity` finds them if another thread runs at the right moment.
"""

from __future__ import annotations

import time
from threading import RLock
from typing import TYPE_CHECKING, Any

from kvparity_scenarios.faults.fault import Fault

if TYPE_CHECKING:
    from kvparity.operations import PoolId


class IndexesBeforeWriting(Fault):
    """Makes a key visible before its slot is written, so another thread finds the slot's old content.

    Likely if only the copy is outside of the lock, because it takes long.

    Attributes:
        between: called between the two steps. Another thread may run there.
    """

    methods = ("threads",)

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.between = _yield

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Enter the key, then write the slot."""
        held = self.pool(pool)
        slot = self.take_slot(held, self.key(key), priority)
        self.between()
        held.slots[slot] = self.copy(value, held.slots[slot])


class LendsAcrossThreads(Fault):
    """Holds a lock in every method but lends the slot itself, which other threads overwrite.

    Likely if a cache that lends is made thread-safe with a lock alone.

    Attributes:
        between: called after a `get` has released the lock. Another thread may run there.
    """

    methods = ("threads",)

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.between = _yield
        self.lock = RLock()

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Set under the lock."""
        with self.lock:
            super().set(pool, key, value, priority=priority)

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Look up under the lock, and return the slot without it."""
        with self.lock:
            found = super().get(pool, key)
        self.between()
        return found


def _yield() -> None:
    """Give other threads a chance to run."""
    time.sleep(0)
