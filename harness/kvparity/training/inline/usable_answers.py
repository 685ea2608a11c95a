"""`UsableAnswers`: which answers of a candidate a model can work with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from kvparity.training.lightzero.tap import Served
from kvparity.values.entry import read

if TYPE_CHECKING:
    from kvparity.judging.outcome import Outcome

_Kind: TypeAlias = "list[tuple[torch.Size, torch.dtype, torch.device]]"


class UsableAnswers:
    """Knows what the model's entries look like, and serves a candidate's answer only if it looks the same."""

    def __init__(self) -> None:
        self._kind: _Kind | None = None

    def expect(self, value: Any) -> None:
        """The model stored `value`: from now on, a usable answer looks like it.

        Raises:
            NotKeysValuesError: `value` is not an entry.
        """
        self._kind = _kind_of(value)

    def serve(self, outcome: Outcome) -> Served | None:
        """The candidate's answer to a lookup; None if the model cannot use it.

        A miss is always usable. An entry is usable if its tensors have the expected shapes, types and devices, if they
        are plain tensors without gradients, and if its sizes are integers within the shapes.
        """
        if outcome.error is not None:
            return None
        value = outcome.value
        if value is None:
            return Served(None)
        if self._kind is not None and _is_plain(value) and _kind_of(value) == self._kind:
            return Served(value)
        return None


def _is_plain(value: Any) -> bool:
    """Whether an entry consists of plain tensors without gradients, and of integers."""
    tensors, sizes = read(value)
    return all([type(size) is int for size in sizes]) and not any(
        [type(tensor) is not torch.Tensor or tensor.requires_grad for tensor in tensors]
    )


def _kind_of(value: Any) -> _Kind | None:
    """Shape, type and device of each tensor of an entry; None if a size is outside its tensor."""
    tensors, sizes = read(value)
    if not all([0 <= size <= tensor.shape[2] for tensor, size in zip(tensors, sizes, strict=True)]):
        return None
    return [(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors]
