"""The memory that a cache allocates, measured inside torch and Python, not at the process.

Tensor memory: every storage that an operation of torch allocates within a call of the cache, until it is freed. The
process's resident size would include the driver's values, and whole pages. Not measured is what torch allocates and
frees within one operation, and what a cache allocates without torch.

Python memory: how much more Python's allocator holds, numpy's arrays included, than before the cache was built.
"""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kvparity.caches.protocol import Cache
    from kvparity.operations import PoolId


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a cache allocated in two passes over a workload. All pools are cleared between the passes.

    Attributes:
        peak_bytes: the most tensor bytes alive at once.
        steady_bytes: tensor bytes alive at the end.
        growth_bytes: how many of these the second pass added; 0 for a cache that reuses its slots.
        python_bytes: Python memory held after one pass.
        allocations: tensors allocated in the second pass, when every slot has been filled once.
    """

    peak_bytes: int
    steady_bytes: int
    growth_bytes: int
    python_bytes: int
    allocations: int


class Ledger:
    """Counts the tensor memory that is allocated within `booked`."""

    def __init__(self) -> None:
        self.allocations = 0
        self.live_bytes = 0
        self.peak_bytes = 0
        self._watch = _Watch(self)
        self._live: set[int] = set()

    @contextmanager
    def booked(self) -> Iterator[None]:
        """Within, every allocation is counted as the cache's."""
        with self._watch:
            yield

    def born(self, storage: torch.UntypedStorage) -> None:
        """Count a storage, unless it is counted already."""
        address, size = storage._cdata, storage.nbytes()
        if address in self._live or not size:
            return
        self._live.add(address)
        self.allocations += 1
        self.live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        weakref.finalize(storage, self._freed, address, size).atexit = False

    def _freed(self, address: int, size: int) -> None:
        self._live.discard(address)
        self.live_bytes -= size


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation of torch. A storage that it returns and that was not an argument is new."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._ledger = ledger

    def __torch_dispatch__(self, operation: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        given = {tensor.untyped_storage()._cdata for tensor in _tensors((args, kwargs))}
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            if storage._cdata not in given:
                self._ledger.born(storage)
        return result


def _tensors(tree: Any) -> Iterator[torch.Tensor]:
    return (leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, torch.Tensor))


class Booking:
    """A cache that passes all calls on to another one, and counts what they allocate.

    Args:
        build: builds the other one; what that allocates is counted too.
        ledger: counts.
    """

    def __init__(self, build: Callable[[], Cache], ledger: Ledger) -> None:
        self._booked = ledger.booked
        with self._booked():
            self._cache = build()

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Call the other cache, and count."""
        with self._booked():
            self._cache.set(pool, key, value, priority=priority)

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Call the other cache, and count."""
        with self._booked():
            return self._cache.get(pool, key)

    def checkout(self, env: int, key: int) -> Any | None:
        """Call the other cache, and count."""
        with self._booked():
            return self._cache.checkout(env, key)

    def clear(self, pool: PoolId) -> None:
        """Call the other cache, and count."""
        with self._booked():
            self._cache.clear(pool)


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Watch Python's allocator.

    Yields:
        A function that returns how many bytes it holds more than at first.
    """
    watched = tracemalloc.is_tracing()
    if not watched:
        tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]

        def held() -> int:
            gc.collect()
            return max(0, tracemalloc.get_traced_memory()[0] - before)

        yield held
    finally:
        if not watched:
            tracemalloc.stop()
