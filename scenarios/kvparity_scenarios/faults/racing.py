"""Faults of caches that several threads call: right with one thread, so that no scenario finds them.

`kvparity.judging.linearity` does, given the moment at which another thread comes in.
"""

from __future__ import annotations

import time
from threading import RLock
from typing import TYPE_CHECKING, Any

from kvparity_scenarios.faults.fault import Fault

if TYPE_CHECKING:
    from kvparity.operations import PoolId


class IndexesBeforeWriting(Fault):
    """Enters a key in the index before its slot is written, so that another thread finds the slot's earlier content.

    Likely where only the copy was left out of the lock because it takes long.

    Attributes:
        between: called after the one and before the other: where another thread may come in.
    """

    methods = ("threads",)

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.between = _yield

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Indexed, then written."""
        held = self.pool(pool)
        slot = self.take_slot(held, self.key(key), priority)
        self.between()
        held.slots[slot] = self.copy(value, held.slots[slot])


class LendsAcrossThreads(Fault):
    """Takes a lock for every method, and lends the slot itself: it is overwritten while another thread reads it.

    Likely wherever a cache that lends is made thread-safe by a lock alone.

    Attributes:
        between: called when a `get` has found its slot and let go of the lock: where another thread may come in.
    """

    methods = ("threads",)

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.between = _yield
        self.lock = RLock()

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Under the lock."""
        with self.lock:
            super().set(pool, key, value, priority=priority)

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Found under the lock, read without it."""
        with self.lock:
            found = super().get(pool, key)
        self.between()
        return found


def _yield() -> None:
    """Let other threads run."""
    time.sleep(0)
