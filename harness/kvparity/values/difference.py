"""The first difference between two values, in the words of `torch.testing`.

Attributes are compared before numbers: layers, shape, dtype, device, size, and then the contents of the tensors.
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

_MOST = 2.0**64  # the largest number that a result can hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far numbers may differ, as in `torch.testing.assert_close`; None leaves it to torch, by dtype.

    Raises:
        UsageError: only one of the two is given, or one is outside [0, 2**64].
    """

    rtol: float | None = None
    atol: float | None = None

    def __post_init__(self) -> None:
        if self.rtol is None or self.atol is None:
            if self.rtol is not self.atol:
                raise UsageError(f"give both rtol and atol, or neither: got rtol {self.rtol} and atol {self.atol}")
        elif not (0 <= self.rtol <= _MOST and 0 <= self.atol <= _MOST):
            raise UsageError(f"rtol and atol must be from 0 to 2**64, got rtol {self.rtol} and atol {self.atol}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first difference between two values.

    Attributes:
        kind: `shape` (also for the number of layers), `dtype`, `device`, `size` or `value`.
        where: the tensor, such as `layer 1, V`; empty for the whole value.
        message: what differs, in one or more lines.
    """

    kind: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What is known of a tensor after its memory may have been reused: its attributes and its checksum.

    Attributes:
        checksum: equal if the bytes are equal; None if only the fingerprint of the whole entry is known.
    """

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device
    checksum: bytes | None = None


NOT_KEPT = (
    "the tensors are not equal. Their numbers were not kept: operations on a GPU are examined in batches, and by then"
    " the memory may have been reused"
)


def remembered(value: Any, sizes: Sequence[int]) -> KeysValues:
    """What is known of an earlier entry in the slot that holds `value` now: the same attributes, and `sizes`."""
    tensors = [Remembered(shape=tensor.shape, dtype=tensor.dtype, device=tensor.device) for tensor in read(value)[0]]
    return KeysValues(cast("list[torch.Tensor]", tensors), sizes)


def compare(
    reference: Any, candidate: Any, *, tolerance: Tolerance | None = None, sizes: bool = True
) -> Difference | None:
    """The first difference between two key/value objects, or None if there is none.

    Args:
        reference: any key/value object.
        candidate: any other.
        tolerance: compares by `torch.testing.assert_close`, where NaN equals NaN. None compares bit by bit: a NaN
            equals a NaN with the same bits, -0.0 differs from 0.0. Padding counts in both cases.
        sizes: whether sizes are compared, too.

    Raises:
        NotKeysValuesError: one of the two has another structure.
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
            expected, found = getattr(tensor, attribute), getattr(other, attribute)
            if expected != found:
                return _attribute(attribute, index, expected, found)
    for index, (size, other_size) in enumerate(zip(lengths, other_lengths, strict=True)):
        if sizes and size != other_size:
            return _attribute("size", index, size, other_size)
    for index, (tensor, other) in enumerate(zip(tensors, others, strict=True)):
        if isinstance(tensor, Remembered):
            difference = _by_checksum(index, tensor, other)
        else:
            message = _bitwise(tensor, other) if tolerance is None else _close(tensor, other, tolerance)
            difference = Difference(kind="value", where=tensor_name(index), message=message) if message else None
        if difference is not None:
            return difference
    return None


def _by_checksum(index: int, tensor: Remembered, other: Any) -> Difference | None:
    if tensor.checksum is None:
        return Difference(kind="value", where="", message=NOT_KEPT)
    same = tensor.checksum == getattr(other, "checksum", None)
    return None if same else Difference(kind="value", where=tensor_name(index), message=NOT_KEPT)


def _attribute(name: str, index: int, expected: Any, found: Any) -> Difference:
    plural = {"shape": "shapes", "dtype": "dtypes", "device": "devices", "size": "sizes"}[name]
    if name == "shape":
        expected, found = list(expected), list(found)
    return Difference(kind=name, where=tensor_name(index), message=f"the {plural} do not match: {expected} != {found}")


def tensor_name(index: int) -> str:
    """`layer 1, V` for the fourth of the tensors that `read` returns."""
    return f"layer {index // 2}, {'KV'[index % 2]}"


def _close(tensor: torch.Tensor, other: torch.Tensor, tolerance: Tolerance) -> str:
    if tensor.is_floating_point() and tensor.element_size() == 1:  # older versions of torch cannot subtract these
        tensor, other = tensor.float(), other.float()
    try:
        torch.testing.assert_close(other, tensor, rtol=tolerance.rtol, atol=tolerance.atol, equal_nan=True)
    except AssertionError as error:
        return str(error)
    return ""


def _bitwise(tensor: torch.Tensor, other: torch.Tensor) -> str:
    if tensor.is_complex():  # no integer type is as wide as complex128: the two parts become a last axis
        tensor, other = (torch.view_as_real(each.detach().resolve_conj()) for each in (tensor, other))
    bits, other_bits = _as_integers(tensor), _as_integers(other)
    if torch.equal(bits, other_bits):
        return ""
    numbers = _close(tensor, other, Tolerance(rtol=0.0, atol=0.0))
    if numbers:
        return numbers
    # Equal as numbers: zeros with different signs, or NaNs with different bits.
    differ = bits != other_bits
    index = tuple(differ.nonzero()[0].tolist())
    expected, found = int(bits[index].item()), int(other_bits[index].item())
    width = bits.element_size() * 2
    mask = (1 << bits.element_size() * 8) - 1
    return (
        f"Tensor-likes are equal as numbers, but not bit by bit!\n\n"
        f"Mismatched elements: {int(differ.sum())} / {differ.numel()}\n"
        f"First at index {index}: {tensor[index].item()} ({expected & mask:#0{width + 2}x}) !="
        f" {other[index].item()} ({found & mask:#0{width + 2}x})"
    )


def _as_integers(tensor: torch.Tensor) -> torch.Tensor:
    array = raw_bytes(tensor)
    return torch.from_numpy(array.view(f"i{array.itemsize}")).reshape(tensor.shape)
