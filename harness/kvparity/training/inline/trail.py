"""`Trail`: what a model's own caches have done, until the candidate does it after them, many operations at a time.

The model and the shadow take the processor's caches from each other: what either comes back to is no longer at hand.
So the candidate comes for many operations in one go. What cannot wait is done at once: what was stored is copied, and
what was found is looked at. Whether gradients are kept, and inference mode, are for each operation as they were.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from kvparity.shadow.producer import ReusedEntry
from kvparity.values.entry import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.operations import PoolId
    from kvparity.shadow.mirror import Mirror

OPERATIONS = 16
_COPIES_BYTES = 1 << 20  # of large entries fewer wait: copies of many would not be at hand any more either

_Modes: TypeAlias = "tuple[bool, bool]"


class Trail:
    """Operations that wait for the candidate's turn.

    Args:
        mirror: has the candidate do them.
        longest: so many come together at most; 1 where each is to be done at once.

    Attributes:
        mirror: has the candidate do them.
        longest: may be changed.
    """

    def __init__(self, mirror: Mirror, *, longest: int = OPERATIONS) -> None:
        self.mirror = mirror
        self.longest = longest
        self._waiting: deque[tuple[_Modes, Callable[[], None]]] = deque()
        self._spare_copies: list[ReusedEntry] = []  # copies of values that were set, to be overwritten
        self._copied_bytes = 0

    def set(self, pool: PoolId, key: int, value: Any, priority: float | None, error: BaseException | None) -> None:
        """The model's own cache stored `value`, or raised `error`.

        Raises:
            NotKeysValuesError: `value` is no entry.
        """
        if self.longest > 1 or self._waiting:
            self._wait(partial(self._set, pool, key, self._copy(value), priority, error))
        else:
            self._wait(partial(self.mirror.mirror_set, pool, key, value, priority, error))

    def get(self, pool: PoolId, key: int, value: Any, error: BaseException | None) -> None:
        """A get found `value`, nothing, or raised `error`."""
        self._wait(partial(self.mirror.mirror_get, pool, key, self.mirror.witness(value, error)))

    def checkout(self, env: int, key: int, value: Any, error: BaseException | None) -> None:
        """A checkout found `value`, nothing, or raised `error`."""
        self._wait(partial(self.mirror.mirror_checkout, env, key, self.mirror.witness(value, error)))

    def clear(self, pool: PoolId, error: BaseException | None) -> None:
        """A pool was cleared, or the model's own cache raised `error`."""
        self._wait(partial(self.mirror.mirror_clear, pool, error))

    @property
    def due(self) -> bool:
        """Whether it is the candidate's turn."""
        return len(self._waiting) >= self.longest or self._copied_bytes >= _COPIES_BYTES

    def __len__(self) -> int:
        return len(self._waiting)

    def catch_up(self, until: Callable[[], bool]) -> None:
        """Have the candidate do what waits: one operation at least, and the rest unless `until` holds by then."""
        waiting, now = self._waiting, _modes()
        while waiting:
            modes, operation = waiting.popleft()
            if modes == now:
                operation()
            else:
                grad, inference = modes
                with torch.inference_mode(inference), torch.set_grad_enabled(grad):
                    operation()
            if until():
                break

    def _wait(self, operation: Callable[[], None]) -> None:
        self._waiting.append((_modes(), operation))

    def _set(
        self, pool: PoolId, key: int, copy: ReusedEntry, priority: float | None, error: BaseException | None
    ) -> None:
        self.mirror.mirror_set(pool, key, copy.value, priority, error)
        if copy.row is not None:
            self._copied_bytes -= copy.row.nbytes
            self._spare_copies.append(copy)

    def _copy(self, value: Any) -> ReusedEntry:
        """A copy that stays as it is until the candidate's turn has come."""
        tensors, sizes = read(value)
        copy = self._spare_copies.pop() if self._spare_copies else None
        if copy is None or not copy.overwrite(tensors, sizes):
            copy = ReusedEntry.of(value, tensors, sizes)
        row = copy.row
        if row is not None:
            self._copied_bytes += row.nbytes
        if row is None or row.device.type != "cpu":
            self.longest = 1  # a copy more costs a GPU as much as what is saved
        return copy


def _modes() -> _Modes:
    """Whether gradients are kept, and inference mode: a thread's own, and a candidate's tensors are made in them."""
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled()
