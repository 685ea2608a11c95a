"""`Slot`: the storage of one entry, which is allocated once and then overwritten in place.

Axes: `L` layers, `N` samples, `H` heads, `T` tokens, `D` head dim.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.graph import increment_version

from kvparity.values.entry import KeysValues, check, clone, expose, read, row_of, size_bytes


class Slot:
    """One contiguous row `[2 * L, N, H, T, D]`, and the `KeysValues` over it that a pool lends.

    A value of the same kind (layers, shape, dtype, device) is copied into the row, in one operation and without an
    allocation. A value of another kind gets a new row. If the tensors of a value differ in kind from each other, the
    slot keeps separate clones of them.

    Attributes:
        value: the stored entry, None before the first `store`. Its tensors are views of the row. The consumer of a
            working copy may write into them or replace them; the next `store` puts the views back.
    """

    __slots__ = ("_allocated", "_dtype", "_end", "_row", "_shape", "_slices", "_start", "_tokens", "value")

    def __init__(self) -> None:
        self.value: KeysValues | None = None
        self._row: torch.Tensor | None = None
        self._allocated = 0

    def __getstate__(self) -> tuple[KeysValues | None, int]:
        """The entry. Everything else is derived from it again, because a copy has its own memory."""
        return self.value, self._allocated

    def __setstate__(self, state: tuple[KeysValues | None, int]) -> None:
        """Derive everything else from the entry, as `store` does."""
        Slot.__init__(self)
        value, allocated = state
        if value is not None:
            self._adopt(value)
        self._allocated = allocated  # tensors that a consumer put into the value do not count

    def store(self, value: Any) -> int:
        """Copy `value`: every layer, K and V, sizes and padding. It succeeds or changes nothing.

        Returns:
            The growth of the allocated tensors in bytes: 0 if they were overwritten.

        Raises:
            NotKeysValuesError: `value` is not a key/value object.
        """
        tensors, sizes = read(value)
        if self._row is None or not (self._takes_row_of(value) or self._takes(tensors)):
            check(value)
            earlier = self._allocated
            self._adopt(clone(value))
            return self._allocated - earlier
        # A consumer may have replaced tensors of a working copy: put the slices of the row back.
        for token, own, size in zip(self._tokens, self._slices, sizes):  # noqa: B905 - strict costs 0.1 us
            token._cache = own
            token._size = size
        return 0

    def _takes_row_of(self, value: Any) -> bool:
        """Copy a value that is the slices of a row like this one, in one memmove; False if torch has to copy it."""
        source, row = row_of(value), self._row
        if source is None or row is None or self.value is None or torch.is_grad_enabled():
            return False
        own, other = expose(self.value), expose(value)
        if own is None or other is None or source.dtype is not row.dtype or source.shape != row.shape:
            return False
        own[:] = other
        increment_version(row)  # as torch does, so that autograd raises if it saved the row before
        return True

    def _takes(self, tensors: list[torch.Tensor]) -> bool:
        """Copy `tensors` over the row with torch; False if they do not fit."""
        dtype, start, end = self._dtype, self._start, self._end
        try:
            if len(tensors) != len(self._slices) or tensors[0].shape != self._shape:
                return False
            for tensor in tensors:
                # Torch would cast another dtype, and would not notice every source inside the row.
                if tensor.dtype is not dtype or start <= tensor.data_ptr() < end:
                    return False
            if torch.is_grad_enabled():
                tensors = [tensor.detach() if tensor.requires_grad else tensor for tensor in tensors]
            torch.stack(tensors, out=self._row)
        except (AttributeError, RuntimeError):
            # Not tensors, or of several shapes or devices, or the row was made in inference mode: torch raises before
            # it writes.
            return False
        return True

    def _adopt(self, value: KeysValues) -> None:
        """Store `value` itself, which nobody else holds."""
        self.value = value
        self._allocated = size_bytes(value)
        self._tokens = [token for layer in value._keys_values for token in (layer._k_cache, layer._v_cache)]
        row = self._row = row_of(value)
        if row is not None:
            self._slices = tuple(token._cache for token in self._tokens)
            self._shape, self._dtype = row.shape[1:], row.dtype
            self._start = row.data_ptr()
            self._end = self._start + row.nbytes
