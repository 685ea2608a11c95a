"""What the candidate is given to copy: one object, overwritten by each set as a producer's is."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from kvparity.values.entry import KeysValues, clone, kind_of, read, stack_over, write_token

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPOILT = 113.0


class Handover:
    """Copies each value into one object, so that a candidate that keeps what it was given is found out.

    Attributes:
        kinds: what values looked like, each kind once: layers, shapes, dtypes, devices.
        kind_changes: how often a value was of another kind than the one before it.
    """

    def __init__(self) -> None:
        self._given: Given | None = None
        self.kinds: list[str] = []
        self._last_kind = ""
        self.kind_changes = 0

    def take(self, value: Any) -> Given:
        """The object, which now holds what `value` holds.

        Raises:
            NotKeysValuesError: `value` is no entry.
        """
        earlier = self._given
        tensors, sizes = read(value)
        if earlier is not None and earlier.takes(tensors, sizes):
            return earlier
        self._given = Given.of(value, tensors, sizes)
        self._note_kind(self._given.value)
        if earlier is not None:
            # The new value is of another kind and got an object of its own: who kept this one is found out too.
            with suppress(Exception):  # whatever a candidate made of it
                earlier.spoil()
        return self._given

    def _note_kind(self, value: KeysValues) -> None:
        kind = kind_of(value)
        self.kind_changes += bool(self.kinds) and kind != self._last_kind
        self._last_kind = kind
        if kind not in self.kinds:
            self.kinds.append(kind)


class Given:
    """The object, and the parts that it was made of, which a candidate may have taken from it.

    Attributes:
        value: the object.
        row: what all its tensors are slices of; None where these are several.
        sizes: valid lengths of the value that was copied last.
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
    def of(cls, value: Any, tensors: list[torch.Tensor], sizes: list[int]) -> Given:
        """A new one, which holds what `value` holds, in its memory layout.

        Raises:
            NotKeysValuesError: `value` is no entry.
        """
        in_order = [tensor.is_contiguous() for tensor in tensors if isinstance(tensor, torch.Tensor)]
        if all(in_order) or len(in_order) < len(tensors):
            return cls(clone(value))
        return cls(KeysValues([tensor.detach().clone() for tensor in tensors], sizes))

    def takes(self, tensors: list[torch.Tensor], sizes: list[int]) -> bool:
        """Copy these over the object, and put it together again; or tell that they are of another kind or layout."""
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
