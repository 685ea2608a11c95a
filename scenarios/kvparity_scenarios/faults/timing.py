"""Faults of time: a cache that is right at first, nearly always, or if nobody hurries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import torch

from kvparity.operations import WM
from kvparity.results.divergence import BEHAVIOUR
from kvparity.values.entry import KeysValues, clone, copy_into, read
from kvparity_scenarios.faults.fault import Fault

if TYPE_CHECKING:
    from kvparity.operations import PoolId
    from kvparity_scenarios.correct_cache import Pool


class CopiesOnAnotherThread(Fault):
    """Hands the copy to a background thread, which makes it while the producer overwrites its object.

    Likely with `non_blocking=True` or a side stream on a GPU, where the copy is only queued when the call returns.
    """

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.copier = ThreadPoolExecutor(max_workers=1)
        self.queued: tuple[Any, KeysValues] | None = None

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """The queue is one copy behind."""
        if self.queued is not None:
            self.copier.submit(copy_into, *self.queued)
            self.queued = None
        super().set(pool, key, value, priority=priority)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """At once where the slot is new, queued where it is reused."""
        if target is None:
            return clone(value)
        self.queued = (value, target)
        return target


class AgesWrap(Fault):
    """Keeps ages in 16 bits: after 2^16 operations the newest keys are taken for the oldest.

    Likely where a counter is stored compactly. No short test sees it.
    """

    severity = BEHAVIOUR
    methods = ("pool-pressure",)
    steps = 80_000

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.clock = 0

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """One tick."""
        self.clock += 1
        return super().look_up(pool, key)

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """One tick; a new key's age takes the place of a priority."""
        self.clock += 1
        held = key in pool.held
        slot = super().take_slot(pool, key, priority)
        if not held:
            pool.priorities[key] = self.clock % 2**16
        return slot

    def victim(self, pool: Pool) -> int:
        """The oldest, as far as 16 bits tell; working copies are spared."""
        if pool is self.pools[WM]:
            return super().victim(pool)
        return min(pool.held, key=lambda key: pool.priorities[key])


class ZerosInTheLongRun(Fault):
    """Lends zeros from the 5,000th hit on.

    Likely where a buffer is freed or a resource runs out and the failure is swallowed.
    """

    steps = 20_000
    right_hits = 5000

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.hits = 0

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Right for a while."""
        found = super().look_up(pool, key)
        self.hits += found is not None
        if found is None or self.hits < self.right_hits:
            return found
        tensors, sizes = read(found)
        return KeysValues([torch.zeros_like(tensor) for tensor in tensors], sizes)


class RaisesNowAndThen(Fault):
    """Raises once in 1,000 lookups.

    Likely from a dict that changes while another thread goes through it.
    """

    methods = ("numeric-edge", "mcts")
    steps = 2500

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.lookups = 0

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Right 999 times."""
        self.lookups += 1
        if self.lookups % 1000 == 0:
            raise RuntimeError("dictionary changed size during iteration")
        return super().look_up(pool, key)


class LosesSetsNowAndThen(Fault):
    """Ignores one `set` in 100.

    A new key then misses, a held one gives its old value. Likely where a set that cannot get a lock is skipped.
    """

    methods = ("revisit",)

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.sets = 0

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Stored 99 times."""
        self.sets += 1
        if self.sets % 100:
            super().set(pool, key, value, priority=priority)
