"""Faults of numbers: everything is copied, and not everything comes out as it went in."""

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
    """Keeps entries in half precision and gives them back in the type that they came in.

    Likely as a way to halve memory.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """24 bits of mantissa become 11."""
        del target
        return _changed(value, lambda tensor: tensor.half().to(tensor.dtype))


class NarrowsFloat64(Fault):
    """Keeps float64 as float32.

    Likely from a buffer allocated with torch's default dtype.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Doubles lose half of their bits."""
        del target
        return _changed(value, lambda tensor: tensor.float() if tensor.dtype == torch.float64 else tensor)


class WidensBfloat16(Fault):
    """Keeps bfloat16 as float32: every number is equal, and the model then computes in another type.

    Likely from a buffer allocated with torch's default dtype, under mixed precision.
    """

    methods = ("multitask", "numeric-edge")

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """No number changes."""
        del target
        return _changed(value, lambda tensor: tensor.float() if tensor.dtype == torch.bfloat16 else tensor)


class ReplacesNan(Fault):
    """Replaces NaN by zero.

    Likely from a `nan_to_num` put in while debugging: it hides a diverged model.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """NaN becomes 0."""
        del target
        return _changed(value, lambda tensor: torch.where(tensor.isnan(), 0, tensor))


class ForgetsNanPayload(Fault):
    """Gives back every NaN as the same one.

    Likely where numbers go through text, JSON or another library.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """One NaN for all."""
        del target
        return _changed(value, lambda tensor: torch.where(tensor.isnan(), float("nan"), tensor))


class ClampsInfinity(Fault):
    """Clamps infinities to the greatest finite number.

    Likely from a conversion between types that saturates.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """No infinities; NaN stays."""
        del target
        return _changed(value, lambda tensor: tensor.clamp(*_finite(tensor)))


class NormalisesNegativeZero(Fault):
    """Gives back -0.0 as 0.0, which `==` and `torch.equal` call equal.

    Likely from adding zero: a bias, or a masked sum.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """No minus signs on zeros."""
        del target
        return _changed(value, lambda tensor: torch.where(tensor == 0, 0, tensor))


class FlushesDenormals(Fault):
    """Flushes denormal numbers to zero.

    Likely where `torch.set_flush_denormal` is on and numbers are computed with on the way.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Nothing between zero and the least normal number."""
        del target
        return _changed(value, lambda tensor: torch.where(tensor.abs() < _least_normal(tensor), 0 * tensor, tensor))


class NegativeSizes(Fault):
    """Says of an empty entry that -1 of its tokens are valid.

    Likely where sizes are kept as the index of the last token.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Size 0 becomes -1."""
        del target
        return _resized(value, lambda size: size or -1)


class HugeSizes(Fault):
    """Says of an empty entry that 2^32 - 1 of its tokens are valid.

    Likely where sizes go through unsigned integers and a subtraction.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Size 0 becomes huge."""
        del target
        return _resized(value, lambda size: size or 2**32 - 1)


class FlipsABit(Fault):
    """Flips one bit once in 10,000 sets.

    Likely from memory that is used after it was freed, or from failing hardware.
    """

    methods = ("numeric-edge",)
    steps = 50_000

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.sets = 0

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Right 9,999 times."""
        del target
        entry = clone(value)
        self.sets += 1
        if self.sets % 10_000 == 0:
            v = entry._keys_values[-1]._v_cache._cache
            v.view(-1).view(torch.uint8)[-1] ^= 1
        return entry
