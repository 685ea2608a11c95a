"""Two values side by side: the first thing in which they differ, told in torch.testing's words.

Attributes come before numbers: layers, shape, dtype, device, size, and only then the tensors' contents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch

from kvparity.errors import UsageError
from kvparity.values.entry import KeysValues, read
from kvparity.values.fingerprints import raw_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST = 2.0**64  # which a result can hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far numbers may lie apart, as in `torch.testing.assert_close`; None leaves it to torch, by dtype.

    Raises:
        UsageError: only one of the two is given, or one is below 0 or beyond all sense.
    """

    rtol: float | None = None
    atol: float | None = None

    def __post_init__(self) -> None:
        if self.rtol is None or self.atol is None:
            if self.rtol is not self.atol:
                raise UsageError(f"rtol and atol go together: give both or neither, got {self.rtol} and {self.atol}")
        elif not (0 <= self.rtol <= _MOST and 0 <= self.atol <= _MOST):
            raise UsageError(f"rtol and atol must lie from 0 to 2**64, got {self.rtol} and {self.atol}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first thing in which two values differ.

    Attributes:
        kind: `shape` (layers included), `dtype`, `device`, `size` or `value`.
        where: the tensor: `layer 1, V`; empty where the whole value is meant.
        message: what was found, over one or more lines.
    """

    kind: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What is left of a tensor whose memory may have been used again: what it was like, and what tells its bytes apart.

    Attributes:
        checksum: equal where the bytes are; None where it is only known that the entry's other tensors or these differ.
    """

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device
    checksum: bytes | None = None


NOT_KEPT = (
    "the tensors are not equal. Their numbers are not kept: operations are examined in batches, and by then the memory"
    " may have been used again"
)


def remembered(value: Any, sizes: Sequence[int]) -> KeysValues:
    """What is left of an entry in the place of which `value` is now."""
    tensors = [Remembered(shape=tensor.shape, dtype=tensor.dtype, device=tensor.device) for tensor in read(value)[0]]
    return KeysValues(cast("list[torch.Tensor]", tensors), sizes)


def compare(
    reference: Any, candidate: Any, *, tolerance: Tolerance | None = None, sizes: bool = True
) -> Difference | None:
    """The first difference between two key/value objects, or None; `sizes=False` looks at tensors only.

    Without `tolerance` tensors are compared bit by bit: a NaN equals the same NaN, -0.0 differs from 0.0. With one, by
    `torch.testing.assert_close`, where NaN equals NaN. Padding counts in both.
    """
    tensors, lengths = read(reference)
    others, other_lengths = read(candidate)
    if len(tensors) != len(others):
        return Difference(
            kind="shape",
            where="",
            message=f"the numbers of layers do not match: {len(tensors) // 2} != {len(others) // 2}",
        )
    for attribute in ("shape", "dtype", "device"):
        for index, (tensor, other) in enumerate(zip(tensors, others, strict=True)):
            mine, its = getattr(tensor, attribute), getattr(other, attribute)
            if mine != its:
                return _attribute(attribute, index, mine, its)
    for index, (size, other_size) in enumerate(zip(lengths, other_lengths, strict=True)):
        if sizes and size != other_size:
            return _attribute("size", index, size, other_size)
    for index, (tensor, other) in enumerate(zip(tensors, others, strict=True)):
        if isinstance(tensor, Remembered):
            difference = _left_of(index, tensor, other)
        else:
            message = _bitwise(tensor, other) if tolerance is None else _close(tensor, other, tolerance)
            difference = Difference(kind="value", where=_where(index), message=message) if message else None
        if difference is not None:
            return difference
    return None


def _left_of(index: int, tensor: Remembered, other: Any) -> Difference | None:
    if tensor.checksum is None:
        return Difference(kind="value", where="", message=NOT_KEPT)
    same = tensor.checksum == getattr(other, "checksum", None)
    return None if same else Difference(kind="value", where=_where(index), message=NOT_KEPT)


def _attribute(name: str, index: int, mine: Any, its: Any) -> Difference:
    plural = {"shape": "shapes", "dtype": "dtypes", "device": "devices", "size": "sizes"}[name]
    if name == "shape":
        mine, its = list(mine), list(its)
    return Difference(kind=name, where=_where(index), message=f"the {plural} do not match: {mine} != {its}")


def _where(index: int) -> str:
    return f"layer {index // 2}, {'KV'[index % 2]}"


def _close(tensor: torch.Tensor, other: torch.Tensor, tolerance: Tolerance) -> str:
    if tensor.is_floating_point() and tensor.element_size() == 1:  # older versions of torch cannot take differences
        tensor, other = tensor.float(), other.float()
    try:
        torch.testing.assert_close(other, tensor, rtol=tolerance.rtol, atol=tolerance.atol, equal_nan=True)
    except AssertionError as error:
        return str(error)
    return ""


def _bitwise(tensor: torch.Tensor, other: torch.Tensor) -> str:
    if tensor.is_complex():  # there is no integer as wide as the widest; the parts become a last axis
        tensor, other = (torch.view_as_real(each.detach().resolve_conj()) for each in (tensor, other))
    bits, other_bits = _as_integers(tensor), _as_integers(other)
    if torch.equal(bits, other_bits):
        return ""
    numbers = _close(tensor, other, Tolerance(rtol=0.0, atol=0.0))
    if numbers:
        return numbers
    # Equal as numbers: zeros of either sign, or NaNs with other payloads.
    differ = bits != other_bits
    index = tuple(differ.nonzero()[0].tolist())
    mine, its = int(bits[index].item()), int(other_bits[index].item())
    width = bits.element_size() * 2
    mask = (1 << bits.element_size() * 8) - 1
    return (
        f"Tensor-likes are equal as numbers, but not bit by bit!\n\n"
        f"Mismatched elements: {int(differ.sum())} / {differ.numel()}\n"
        f"First at index {index}: {tensor[index].item()} ({mine & mask:#0{width + 2}x}) !="
        f" {other[index].item()} ({its & mask:#0{width + 2}x})"
    )


def _as_integers(tensor: torch.Tensor) -> torch.Tensor:
    array = raw_bytes(tensor)
    return torch.from_numpy(array.view(f"i{array.itemsize}")).reshape(tensor.shape)
