"""Faults of numbers: everything is copied, but some numbers change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from kvparity.values.entry import KeysValues, clone
from kvparity_scenarios.faults.fault import Fault, copies

if TYPE_CHECKING:
    from collections.abc import Callable


def _changed(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> KeysValues:
    """A copy of `value` with each floating-point tensor changed."""
    tensors, sizes = copies(value)
    return KeysValues([change(tensor) if tensor.is_floating_point() else tensor for tensor in tensors], sizes)


def _resized(value: Any, change: Callable[[int], int]) -> KeysValues:
    """A copy of `value` with each size changed."""
    tensors, sizes = copies(value)
    return KeysValues(tensors, [change(size) for size in sizes])


def _finite(tensor: torch.Tensor) -> tuple[float, float]:
    """The least and the greatest finite number of the tensor's type."""
    limits = torch.finfo(tensor.dtype)
    return limits.min, limits.max


def _least_normal(tensor: torch.Tensor) -> float:
    """The least positive number of the tensor's type that is not denormal."""
    return torch.finfo(tensor.dtype).smallest_normal


class RoundsThroughHalf(Fault):
    """Stores entries in half precision and returns them in their own type.

    Likely to save half of the memory.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Round 24 bits of mantissa to 11."""
        del target
        return _changed(value, lambda tensor: tensor.half().to(tensor.dtype))


class NarrowsFloat64(Fault):
    """Stores float64 as float32.

    Likely from a buffer of torch's default dtype.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Convert doubles to floats."""
        del target
        return _changed(value, lambda tensor: tensor.float() if tensor.dtype == torch.float64 else tensor)


class WidensBfloat16(Fault):
    """Stores bfloat16 as float32: the numbers are equal, but the model computes in another type.

    Likely from a buffer of torch's default dtype, under mixed precision.
    """

    methods = ("multitask", "numeric-edge")

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Convert; no number changes."""
        del target
        return _changed(value, lambda tensor: tensor.float() if tensor.dtype == torch.bfloat16 else tensor)


class ReplacesNan(Fault):
    """Replaces NaN by zero.

    Likely from a `nan_to_num` that was added for debugging. It hides that a model has diverged.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Replace NaN."""
        del target
        return _changed(value, lambda tensor: torch.where(tensor.isnan(), 0, tensor))


class ForgetsNanPayload(Fault):
    """Returns every NaN with the same bits, so payloads are lost.

    Likely if numbers go through text, JSON or another library.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Replace every NaN by the default one."""
        del target
        return _changed(value, lambda tensor: torch.where(tensor.isnan(), float("nan"), tensor))


class ClampsInfinity(Fault):
    """Replaces infinity by the greatest finite number.

    Likely from a saturating conversion between types.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Clamp; NaN stays."""
        del target
        return _changed(value, lambda tensor: tensor.clamp(*_finite(tensor)))


class NormalisesNegativeZero(Fault):
    """Returns 0.0 for -0.0, which are equal for `==` and `torch.equal`.

    Likely from the addition of zero: a bias, or a masked sum.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Replace every zero by 0.0."""
        del target
        return _changed(value, lambda tensor: torch.where(tensor == 0, 0, tensor))


class FlushesDenormals(Fault):
    """Replaces denormal numbers by zero.

    Likely if `torch.set_flush_denormal` is on and the cache computes with the numbers.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Replace what is smaller than the least normal number."""
        del target
        return _changed(value, lambda tensor: torch.where(tensor.abs() < _least_normal(tensor), 0 * tensor, tensor))


class NegativeSizes(Fault):
    """Returns size -1 for an entry without valid tokens.

    Likely if sizes are stored as the index of the last token.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Replace size 0 by -1."""
        del target
        return _resized(value, lambda size: size or -1)


class HugeSizes(Fault):
    """Returns size 2^32 - 1 for an entry without valid tokens.

    Likely if sizes go through unsigned integers and a subtraction.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Replace size 0 by 2^32 - 1."""
        del target
        return _resized(value, lambda size: size or 2**32 - 1)


class FlipsABit(Fault):
    """Flips one bit in each 10,000th set.

    Likely from memory that is used after it was freed, or from defective hardware.
    """

    methods = ("numeric-edge",)
    steps = 50_000

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.sets = 0

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """A correct copy 9,999 times."""
        del target
        entry = clone(value)
        self.sets += 1
        if self.sets % 10_000 == 0:
            v = entry._keys_values[-1]._v_cache._cache
            v.view(-1).view(torch.uint8)[-1] ^= 1
        return entry
