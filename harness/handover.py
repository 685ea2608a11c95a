"""What the candidate is given to copy: one object, overwritten by each set as a producer's is."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from harness.fingerprints import scribble
from harness.values import KeysValues, copy_into, read

if TYPE_CHECKING:
    from harness.values import LayerCache, TokenCache


class Handover:
    """Copies each value into one object, so that a candidate that keeps what it was given is found out."""

    def __init__(self) -> None:
        self._given: _Given | None = None

    def copy_of(self, value: Any, number: int) -> KeysValues:
        """The object, which now holds what `value` holds; `number` is that of the operation.

        Raises:
            NotKeysValuesError: `value` is no entry.
        """
        earlier = self._given
        copy = _copied(value, None if earlier is None else earlier.put_together())
        if earlier is None or copy is not earlier.value:
            self._given = _Given.of(copy)
            if earlier is not None:
                # The new value is of another kind and got an object of its own: who kept this one is found out too.
                with suppress(Exception):  # whatever a candidate made of it
                    scribble(earlier.value, number)
        return copy


class _Given(NamedTuple):
    """The object, and the parts that it was made of."""

    value: KeysValues
    parts: list[tuple[LayerCache, TokenCache, TokenCache]]

    @classmethod
    def of(cls, value: KeysValues) -> _Given:
        return cls(value, [(layer, layer._k_cache, layer._v_cache) for layer in value._keys_values])

    def put_together(self) -> KeysValues:
        """The object in its structure, even if a candidate took it apart."""
        for layer, k, v in self.parts:
            layer._k_cache, layer._v_cache = k, v
        self.value._keys_values = tuple([layer for layer, _, _ in self.parts])
        return self.value


def _copied(value: Any, target: KeysValues | None) -> KeysValues:
    """A copy in the memory layout of `value`, over `target` where that is the plain one."""
    tensors, sizes = read(value)
    plain = [tensor.is_contiguous() for tensor in tensors if isinstance(tensor, torch.Tensor)]
    if all(plain) or len(plain) < len(tensors):
        return copy_into(value, target)
    return KeysValues([tensor.detach().clone() for tensor in tensors], sizes)
