"""Faults of time: a cache that is correct at first, nearly always, or if there is enough time."""

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
    """Copies on a background thread, while the producer already overwrites its object.

    Likely with `non_blocking=True` or a side stream on a GPU: the copy is only queued when the call returns.
    """

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.copier = ThreadPoolExecutor(max_workers=1)
        self.queued: tuple[Any, KeysValues] | None = None

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Start the copy of the set before."""
        if self.queued is not None:
            self.copier.submit(copy_into, *self.queued)
            self.queued = None
        super().set(pool, key, value, priority=priority)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Copy at once into a new slot, and queue the copy into a used one."""
        if target is None:
            return clone(value)
        self.queued = (value, target)
        return target


class AgesWrap(Fault):
    """Stores ages in 16 bits: after 65,536 operations the newest keys count as the oldest.

    Likely if a counter is stored compactly. No short test shows it.
    """

    severity = BEHAVIOUR
    methods = ("pool-pressure",)
    steps = 80_000

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.clock = 0

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Count an operation."""
        self.clock += 1
        return super().look_up(pool, key)

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """Count an operation, and store the age of a new key as its priority."""
        self.clock += 1
        held = key in pool.held
        slot = super().take_slot(pool, key, priority)
        if not held:
            pool.priorities[key] = self.clock % 2**16
        return slot

    def victim(self, pool: Pool) -> int:
        """The key with the lowest 16-bit age. Working copies are not affected."""
        if pool is self.pools[WM]:
            return super().victim(pool)
        return min(pool.held, key=lambda key: pool.priorities[key])


class ZerosInTheLongRun(Fault):
    """Lends zeros from the 5,000th hit on.

    Likely if a buffer is freed or a resource runs out, and the error is ignored.
    """

    steps = 20_000
    right_hits = 5000

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.hits = 0

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """The entry, and later zeros."""
        found = super().look_up(pool, key)
        self.hits += found is not None
        if found is None or self.hits < self.right_hits:
            return found
        tensors, sizes = read(found)
        return KeysValues([torch.zeros_like(tensor) for tensor in tensors], sizes)


class RaisesNowAndThen(Fault):
    """Raises once in 1,000 lookups.

    Likely from a dict that changes while another thread iterates over it.
    """

    methods = ("numeric-edge", "mcts")
    steps = 2500

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.lookups = 0

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Raise at each 1,000th lookup."""
        self.lookups += 1
        if self.lookups % 1000 == 0:
            raise RuntimeError("dictionary changed size during iteration")
        return super().look_up(pool, key)


class LosesSetsNowAndThen(Fault):
    """Ignores one `set` in 100.

    A new key then misses, and a held key returns its old value. Likely if a set is skipped when it cannot get a lock.
    """

    methods = ("revisit",)

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.sets = 0

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Skip each 100th set."""
        self.sets += 1
        if self.sets % 100:
            super().set(pool, key, value, priority=priority)
