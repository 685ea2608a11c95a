"""Two values side by side: attributes first, then bits or numbers; and the words for what differs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kvparity.errors import NotKeysValuesError, UsageError
from kvparity.values.difference import Difference, Tolerance, compare
from kvparity.values.entry import KeysValues

SHAPE = (1, 2, 4, 2)


def entry(*, layers: int = 2, shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.float32) -> KeysValues:
    """An entry of ones, all its tokens valid."""
    return KeysValues([torch.ones(shape, dtype=dtype) for _ in range(2 * layers)], [shape[2]] * (2 * layers))


def one(*numbers: Any, dtype: torch.dtype = torch.float32) -> KeysValues:
    """One layer, whose K holds zeros and whose V `numbers`, as tokens."""
    v = torch.tensor(numbers, dtype=dtype).reshape(1, 1, -1, 1)
    return KeysValues([torch.zeros_like(v), v], (1, 1))


def bits(*patterns: int) -> KeysValues:
    """The same, of the float32 numbers that have these bits."""
    v = torch.tensor(patterns, dtype=torch.int32).view(torch.float32).reshape(1, 1, -1, 1)
    return KeysValues([torch.zeros_like(v), v], (1, 1))


def test_an_entry_equals_its_copy() -> None:
    """Equal entries have no difference, bit by bit or within a tolerance."""
    assert compare(entry(), entry()) is None
    assert compare(entry(), entry(), tolerance=Tolerance()) is None


# ---------------------------------------------------------------------- attributes before numbers


def test_the_number_of_layers_comes_first() -> None:
    """Where layers are missing nothing else is compared."""
    found = compare(entry(), entry(layers=3, shape=(1, 1, 1, 1), dtype=torch.float64))
    assert found == Difference(kind="shape", where="", message="the numbers of layers do not match: 2 != 3")
    assert str(found) == "the numbers of layers do not match: 2 != 3"


def test_shapes_come_before_dtypes() -> None:
    """An entry of another shape and dtype differs in shape."""
    found = compare(entry(), entry(shape=(1, 2, 5, 2), dtype=torch.float64))
    assert str(found) == "layer 0, K: the shapes do not match: [1, 2, 4, 2] != [1, 2, 5, 2]"
    assert found is not None
    assert found.kind == "shape"


def test_a_shape_of_a_late_tensor_comes_before_a_dtype_of_an_early_one() -> None:
    """Each attribute is compared over all tensors before the next one is."""
    other = entry()
    other[0]._k_cache._cache = torch.ones(SHAPE, dtype=torch.float64)
    other[1]._v_cache._cache = torch.ones(1, 2, 5, 2)
    assert str(compare(entry(), other)) == "layer 1, V: the shapes do not match: [1, 2, 4, 2] != [1, 2, 5, 2]"


def test_dtypes_come_before_devices() -> None:
    """An entry of another dtype and device differs in dtype."""
    other = entry(layers=1)
    other[0]._v_cache._cache = torch.ones(SHAPE, dtype=torch.float16, device="meta")
    found = compare(entry(layers=1), other)
    assert found == Difference(
        kind="dtype", where="layer 0, V", message="the dtypes do not match: torch.float32 != torch.float16"
    )


def test_devices_come_before_sizes() -> None:
    """An entry of another device and size differs in device, and no number of it is read."""
    other = entry(layers=1)
    other[0]._v_cache._cache = torch.ones(SHAPE, device="meta")
    other[0]._k_cache._size = 0
    found = compare(entry(layers=1), other)
    assert found == Difference(kind="device", where="layer 0, V", message="the devices do not match: cpu != meta")


def test_sizes_come_before_numbers() -> None:
    """An entry of another size and other numbers differs in size."""
    other = entry()
    other[0]._k_cache._cache.fill_(2)
    other[1]._k_cache._size = 3
    found = compare(entry(), other)
    assert found == Difference(kind="size", where="layer 1, K", message="the sizes do not match: 4 != 3")


def test_sizes_can_be_left_out() -> None:
    """Without sizes only the tensors count."""
    other = entry()
    other[1]._k_cache._size = 3
    assert compare(entry(), other, sizes=False) is None
    other[1]._v_cache._cache.fill_(2)
    found = compare(entry(), other, sizes=False)
    assert found is not None
    assert (found.kind, found.where) == ("value", "layer 1, V")


@pytest.mark.parametrize("pair", [(entry(), "entry"), (7, entry())], ids=["candidate", "reference"])
def test_rubbish_on_either_side_is_refused(pair: tuple[Any, Any]) -> None:
    """What is no entry cannot be compared."""
    with pytest.raises(NotKeysValuesError):
        compare(*pair)


# ---------------------------------------------------------------------- bit by bit


def test_numbers_that_differ_are_told_in_torch_testings_words() -> None:
    """Count, share, and the greatest differences with their indices; the reference is what was expected."""
    found = compare(one(1.0, 2.0, 3.0, 4.0), one(1.0, 2.5, 3.0, 5.0))
    assert found is not None
    assert (found.kind, found.where) == ("value", "layer 0, V")
    assert found.message == (
        "Tensor-likes are not equal!\n\n"
        "Mismatched elements: 2 / 4 (50.0%)\n"
        "Greatest absolute difference: 1.0 at index (0, 0, 3, 0)\n"
        "Greatest relative difference: 0.25 at index (0, 0, 1, 0)"
    )


def test_the_smallest_difference_counts() -> None:
    """One unit in the last place of one number is a difference."""
    found = compare(bits(0x3F800000), bits(0x3F800001))
    assert found is not None
    assert "Mismatched elements: 1 / 1 (100.0%)" in found.message


def test_padding_counts() -> None:
    """A number past the size is compared like the rest."""
    found = compare(one(1.0, 2.0), one(1.0, 3.0))
    assert found is not None
    assert "(0, 0, 1, 0)" in found.message


def test_the_same_nan_is_equal() -> None:
    """Bits are compared, so that a NaN equals itself."""
    assert compare(bits(0x7FC00001), bits(0x7FC00001)) is None


def test_a_nan_for_a_number_is_told_as_numbers() -> None:
    """A NaN where a number belongs is a mismatched element."""
    found = compare(one(1.0, 2.0), one(1.0, float("nan")))
    assert found is not None
    assert "Mismatched elements: 1 / 2 (50.0%)" in found.message


def test_another_nan_is_told_by_its_bits() -> None:
    """Numbers cannot tell NaNs apart, so the message shows how many differ, where, and their bits."""
    found = compare(bits(0, 0x7FC00001, 0x7FC00003), bits(0, 0x7FC00002, 0x7FC00003))
    assert found is not None
    assert found.message == (
        "Tensor-likes are equal as numbers, but not bit by bit!\n\n"
        "Mismatched elements: 1 / 3\n"
        "First at index (0, 0, 1, 0): nan (0x7fc00001) != nan (0x7fc00002)"
    )


@pytest.mark.parametrize(
    ("dtype", "shown"),
    [
        (torch.float16, "-0.0 (0x8000) != 0.0 (0x0000)"),
        (torch.bfloat16, "-0.0 (0x8000) != 0.0 (0x0000)"),
        (torch.float32, "-0.0 (0x80000000) != 0.0 (0x00000000)"),
        (torch.float64, "-0.0 (0x8000000000000000) != 0.0 (0x0000000000000000)"),
    ],
    ids=str,
)
def test_negative_zero_is_told_by_its_bits(dtype: torch.dtype, shown: str) -> None:
    """In every width, -0.0 differs from 0.0 and the message shows why."""
    found = compare(one(1.0, -0.0, dtype=dtype), one(1.0, 0.0, dtype=dtype))
    assert found is not None
    assert found.message.endswith(f"First at index (0, 0, 1, 0): {shown}")
    other_way = compare(one(0.0, dtype=dtype), one(-0.0, dtype=dtype))
    assert other_way is not None
    assert other_way.message.endswith(f"{' != '.join(reversed(shown.split(' != ')))}")


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_numbers_are_compared_by_their_parts(dtype: torch.dtype) -> None:
    """Real and imaginary parts are numbers of their own, and so are their zeros."""
    assert compare(one(1j, dtype=dtype), one(1j, dtype=dtype)) is None
    found = compare(one(1 + 1j, 1j, dtype=dtype), one(1 + 1j, 2j, dtype=dtype))
    assert found is not None
    assert "Greatest absolute difference: 1.0 at index (0, 0, 1, 0, 1)" in found.message
    zeros = compare(one(complex(0.0, -0.0), dtype=dtype), one(complex(0.0, 0.0), dtype=dtype))
    assert zeros is not None
    assert "First at index (0, 0, 0, 0, 1): -0.0" in zeros.message


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8,
        torch.bool, *(getattr(torch, name) for name in dir(torch) if name.startswith("float8_")),
    ],
    ids=str,
)  # fmt: skip
def test_every_dtype_can_be_compared(dtype: torch.dtype) -> None:
    """Equal tensors are equal, and one changed number is found, with and without a tolerance."""
    v = torch.tensor([1.0, 2.0, 0.0]).to(dtype).reshape(1, 1, 3, 1)
    changed = torch.tensor([1.0, 2.0, 1.0]).to(dtype).reshape(1, 1, 3, 1)
    reference, candidate = KeysValues([v, v], (1, 1)), KeysValues([v, changed], (1, 1))
    for tolerance in (None, Tolerance()):
        assert compare(reference, reference.clone(), tolerance=tolerance) is None
        found = compare(reference, candidate, tolerance=tolerance)
        assert found is not None
        assert found.where == "layer 0, V"
        assert "Mismatched elements: 1 / 3" in found.message


@pytest.mark.parametrize("tolerance", [None, Tolerance()])
def test_views_and_leaves_are_compared_by_their_numbers(tolerance: Tolerance | None) -> None:
    """Neither memory layout nor gradients are a difference."""
    numbers = torch.arange(16.0).reshape(1, 2, 4, 2)
    turned = numbers.transpose(2, 3).contiguous().transpose(2, 3)
    leaf = numbers.clone().requires_grad_()
    assert not turned.is_contiguous()
    other = KeysValues([turned, leaf], (1, 1))
    assert compare(KeysValues([numbers, numbers], (1, 1)), other, tolerance=tolerance) is None


def test_entries_without_tokens_are_compared() -> None:
    """Empty tensors have nothing in which they could differ."""
    assert compare(entry(shape=(1, 2, 0, 2)), entry(shape=(1, 2, 0, 2))) is None


# ---------------------------------------------------------------------- within a tolerance


def test_a_tolerance_accepts_what_is_near() -> None:
    """Numbers within `rtol` and `atol` of the reference's are equal, those beyond are not."""
    near = Tolerance(rtol=0.0, atol=0.1)
    assert compare(one(1.0), one(1.05), tolerance=near) is None
    found = compare(one(1.0), one(1.25), tolerance=near)
    assert found is not None
    assert found.message == (
        "Tensor-likes are not close!\n\n"
        "Mismatched elements: 1 / 1 (100.0%)\n"
        "Greatest absolute difference: 0.25 at index (0, 0, 0, 0) (up to 0.1 allowed)\n"
        "Greatest relative difference: 0.25 at index (0, 0, 0, 0) (up to 0.0 allowed)"
    )


def test_a_relative_tolerance_is_of_the_reference() -> None:
    """A tenth of 100 reaches to 110; a tenth of 110 would reach from 110 down to 99."""
    tenth = Tolerance(rtol=0.1, atol=0.0)
    assert compare(one(100.0), one(110.0), tolerance=tenth) is None
    assert compare(one(100.0), one(110.5), tolerance=tenth) is not None
    assert compare(one(110.5), one(100.0), tolerance=tenth) is None


def test_a_tolerance_left_to_torch_depends_on_the_dtype() -> None:
    """A thousandth is near in float16 and far in float64."""
    assert compare(one(1.0, dtype=torch.float16), one(1.001, dtype=torch.float16), tolerance=Tolerance()) is None
    assert compare(one(1.0, dtype=torch.float64), one(1.001, dtype=torch.float64), tolerance=Tolerance()) is not None


def test_within_a_tolerance_nan_equals_nan_and_zero_negative_zero() -> None:
    """Numbers count, bits do not."""
    assert compare(bits(0x7FC00001), bits(0x7FC00002), tolerance=Tolerance()) is None
    assert compare(one(-0.0), one(0.0), tolerance=Tolerance()) is None


def test_a_tolerance_excuses_no_attribute() -> None:
    """However far numbers may lie apart, dtypes may not."""
    wide = Tolerance(rtol=1e9, atol=1e9)
    found = compare(entry(), entry(dtype=torch.float64), tolerance=wide)
    assert found is not None
    assert found.kind == "dtype"


@pytest.mark.parametrize(("rtol", "atol"), [(0.1, None), (None, 0.1)])
def test_half_a_tolerance_is_refused(rtol: float | None, atol: float | None) -> None:
    """Torch takes both or neither, which is said before anything is compared."""
    with pytest.raises(UsageError, match=rf"^give both rtol and atol, or neither: got rtol {rtol} and atol {atol}$"):
        Tolerance(rtol=rtol, atol=atol)


@pytest.mark.parametrize(("rtol", "atol"), [(-0.1, 0.0), (0.0, -1.0), (float("nan"), 0.0), (0.0, float("inf"))])
def test_a_tolerance_without_sense_is_refused(rtol: float, atol: float) -> None:
    """Nothing lies nearer than equal, and beyond all numbers nothing differs."""
    with pytest.raises(
        UsageError, match=rf"^rtol and atol must be from 0 to 2\*\*64, got rtol {rtol} and atol {atol}$"
    ):
        Tolerance(rtol=rtol, atol=atol)
