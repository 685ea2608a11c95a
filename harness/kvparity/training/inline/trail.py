"""`Trail`: operations that a model's own caches have done, and that wait until the candidate does them, too.

The model and the candidate push each other's data out of the processor's caches. So the candidate does many operations
in one go. Two things cannot wait, because the model may use its memory again: what was stored is copied at once, and
what was found is fingerprinted at once. Each operation is done in the grad mode and the inference mode that it came in.
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
_COPIES_BYTES = 1 << 20  # fewer large entries wait, because many copies would not stay in the processor's caches

_Modes: TypeAlias = "tuple[bool, bool]"


class Trail:
    """Operations that wait for the candidate.

    Args:
        mirror: lets the candidate do them.
        longest: how many may wait; 1 if the candidate must do each at once.

    Attributes:
        mirror: lets the candidate do them.
        longest: how many may wait; it may be changed at any time.
    """

    def __init__(self, mirror: Mirror, *, longest: int = OPERATIONS) -> None:
        self.mirror = mirror
        self.longest = longest
        self._waiting: deque[tuple[_Modes, Callable[[], None]]] = deque()
        self._spare_copies: list[ReusedEntry] = []  # copies that the candidate has seen, to be overwritten
        self._copied_bytes = 0

    def set(self, pool: PoolId, key: int, value: Any, priority: float | None, error: BaseException | None) -> None:
        """The model's own cache stored `value`, or raised `error`.

        Raises:
            NotKeysValuesError: `value` is not an entry.
        """
        if self.longest > 1 or self._waiting:
            self._wait(partial(self._set, pool, key, self._copy(value), priority, error))
        else:
            self._wait(partial(self.mirror.mirror_set, pool, key, value, priority, error))

    def get(self, pool: PoolId, key: int, value: Any, error: BaseException | None) -> None:
        """A get of the model found `value` (None for a miss), or raised `error`."""
        self._wait(partial(self.mirror.mirror_get, pool, key, self.mirror.witness(value, error)))

    def checkout(self, env: int, key: int, value: Any, error: BaseException | None) -> None:
        """A checkout of the model found `value` (None for a miss), or raised `error`."""
        self._wait(partial(self.mirror.mirror_checkout, env, key, self.mirror.witness(value, error)))

    def clear(self, pool: PoolId, error: BaseException | None) -> None:
        """The model's own cache cleared `pool`, or raised `error`."""
        self._wait(partial(self.mirror.mirror_clear, pool, error))

    @property
    def due(self) -> bool:
        """Whether the candidate must do them now."""
        return len(self._waiting) >= self.longest or self._copied_bytes >= _COPIES_BYTES

    def __len__(self) -> int:
        return len(self._waiting)

    def catch_up(self, until: Callable[[], bool]) -> None:
        """Let the candidate do what waits: at least one operation, and the others as long as `until` returns False."""
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
        """A copy of `value`, which nobody changes until the candidate has stored it."""
        tensors, sizes = read(value)
        copy = self._spare_copies.pop() if self._spare_copies else None
        if copy is None or not copy.overwrite(tensors, sizes):
            copy = ReusedEntry.of(value, tensors, sizes)
        row = copy.row
        if row is not None:
            self._copied_bytes += row.nbytes
        if row is None or row.device.type != "cpu":
            self.longest = 1  # on a GPU, the copy costs as much as waiting saves
        return copy


def _modes() -> _Modes:
    """This thread's grad mode and inference mode, in which a candidate makes its tensors."""
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled()
