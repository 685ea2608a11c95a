"""What the candidate is given to copy: one entry object that every set overwrites, as LightZero's own producer does."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from kvparity.values.entry import KeysValues, clone, kind_of, read, stack_over, write_token

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPOILT = 113.0


class Producer:
    """Copies each value into one reused object. A candidate that keeps a reference to it instead of a copy is caught.

    Attributes:
        kinds: the layers, shapes, dtypes and devices of all values, each combination once.
        kind_changes: how often a value was of another kind than the one before it.
    """

    def __init__(self) -> None:
        self._entry: ReusedEntry | None = None
        self.kinds: list[str] = []
        self._last_kind = ""
        self.kind_changes = 0

    def take(self, value: Any) -> ReusedEntry:
        """Return the reused object, which now holds a copy of `value`.

        Raises:
            NotKeysValuesError: `value` is not a valid entry.
        """
        earlier = self._entry
        tensors, sizes = read(value)
        if earlier is not None and earlier.overwrite(tensors, sizes):
            return earlier
        self._entry = ReusedEntry.of(value, tensors, sizes)
        self._note_kind(self._entry.value)
        if earlier is not None:
            # The new value is of another kind and has its own object. A candidate that kept this one is caught, too.
            with suppress(Exception):  # whatever a candidate made of it
                earlier.spoil()
        return self._entry

    def _note_kind(self, value: KeysValues) -> None:
        kind = kind_of(value)
        self.kind_changes += bool(self.kinds) and kind != self._last_kind
        self._last_kind = kind
        if kind not in self.kinds:
            self.kinds.append(kind)


class ReusedEntry:
    """The reused object, with its parts: a candidate may have taken them out of it.

    Attributes:
        value: the object.
        row: `[2 * L, N, H, T, D]`, of which all its tensors are slices; None where there is no such row.
        sizes: the valid lengths, in tokens, of the value that was copied last.
    """

    def __init__(self, value: KeysValues) -> None:
        self.value = value
        self.row = value._row
        self._slices = value._slices
        self.sizes: Sequence[int] = read(value)[1]
        self._layers = value._keys_values
        self._parts = [
            (layer, layer._k_cache, layer._k_cache._cache, layer._v_cache, layer._v_cache._cache)
            for layer in value._keys_values
        ]

    @classmethod
    def of(cls, value: Any, tensors: list[torch.Tensor], sizes: list[int]) -> ReusedEntry:
        """A new object with a copy of `value`, in the same memory layout.

        Raises:
            NotKeysValuesError: `value` is not a valid entry.
        """
        in_order = [tensor.is_contiguous() for tensor in tensors if isinstance(tensor, torch.Tensor)]
        if all(in_order) or len(in_order) < len(tensors):
            return cls(clone(value))
        return cls(KeysValues([tensor.detach().clone() for tensor in tensors], sizes))

    def overwrite(self, tensors: list[torch.Tensor], sizes: list[int]) -> bool:
        """Copy `tensors` over the object and restore its parts; False, and nothing done, for another kind or layout."""
        row = self.row
        if row is None:
            return False
        dtype = row.dtype
        for tensor in tensors:
            if getattr(tensor, "dtype", None) is not dtype or not tensor.is_contiguous():
                return False
        if not stack_over(row, self._slices, tensors):
            return False
        self.sizes = sizes
        self.value._keys_values = self._layers
        lengths = iter(sizes)
        for layer, k, k_tensor, v, v_tensor in self._parts:
            layer._k_cache, k._cache, k._size = k, k_tensor, next(lengths)
            layer._v_cache, v._cache, v._size = v, v_tensor, next(lengths)
        return True

    def spoil(self) -> None:
        """Change every size and every tensor in place."""
        for _, k, k_tensor, v, v_tensor in self._parts:
            for cache, tensor in ((k, k_tensor), (v, v_tensor)):
                cache._cache = tensor
                write_token(cache, _SPOILT)
        if self.row is not None:
            self.row.view(torch.uint8).bitwise_not_()
