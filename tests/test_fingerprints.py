"""Fingerprints: every byte of an entry counts, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from entries import SHAPE, SIZES, UpstreamKeysValues, apart, drawn, every_dtype, floats, one, row, upstream

from harness.fingerprints import fingerprint, raw_bytes, scribble
from harness.values import KeysValues, read, row_of

if TYPE_CHECKING:
    from collections.abc import Callable


@every_dtype
def test_equal_bytes_have_equal_fingerprints_however_they_are_held(dtype: torch.dtype) -> None:
    """One row, separate tensors and LightZero's object of the same content agree, for every dtype."""
    value = row(dtype=dtype)
    assert len({fingerprint(value), fingerprint(apart(value)), fingerprint(upstream(value))}) == 1
    assert len(fingerprint(value)) == 16


@every_dtype
def test_one_changed_bit_changes_the_fingerprint(dtype: torch.dtype) -> None:
    """The last element of the last tensor counts, however the entry is held, for every dtype."""
    value, other = row(dtype=dtype), row(dtype=dtype)
    last = other._keys_values[1]._v_cache._cache.view(torch.uint8)
    last[..., -1] = 1 - last[..., -1] if dtype == torch.bool else last[..., -1] ^ 1
    for hold in (lambda v: v, apart, upstream):
        assert fingerprint(hold(value)) != fingerprint(hold(other))


@pytest.mark.parametrize("tokens", [0, 1, 8, 64, 65, 200])
def test_small_and_large_entries_agree_by_every_path(tokens: int) -> None:
    """Below, at and above the size up to which tensors are hashed together (64 tokens of 128 bytes), and empty."""
    value = row(shape=(1, 1, tokens, 32))
    assert len({fingerprint(value), fingerprint(apart(value)), fingerprint(upstream(value))}) == 1


def test_tensors_of_several_kinds_agree_by_every_path() -> None:
    """K and V of other shapes and dtypes."""
    tensors = [drawn(0), drawn(1, shape=(1, 2, 6, 4), dtype=torch.float64)]
    assert fingerprint(KeysValues(tensors, (1, 2))) == fingerprint(UpstreamKeysValues(tensors, (1, 2)))


def test_a_nan_equals_the_same_nan() -> None:
    """Bytes are compared, not numbers."""
    assert fingerprint(floats(0x7FC00001)) == fingerprint(floats(0x7FC00001))


def test_a_nan_of_another_payload_differs() -> None:
    """Two NaNs are told apart by their bits."""
    assert fingerprint(floats(0x7FC00001)) != fingerprint(floats(0x7FC00002))


def test_negative_zero_differs_from_zero() -> None:
    """They are equal as numbers and differ in their bytes."""
    assert fingerprint(one(0.0)) != fingerprint(one(-0.0))


def test_padding_counts() -> None:
    """A change past the size is a change."""
    assert fingerprint(one(1.0, 2.0)) != fingerprint(one(1.0, 3.0))


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("hold", [lambda v: v, apart, upstream], ids=["row", "apart", "upstream"])
def test_the_size_of_each_k_and_v_counts(index: int, hold: Callable[[KeysValues], Any]) -> None:
    """One size that differs is enough, wherever it is."""
    value = hold(row())
    before = fingerprint(value)
    layer = value._keys_values[index // 2]
    (layer._v_cache if index % 2 else layer._k_cache)._size -= 1
    assert fingerprint(value) != before


def test_sizes_do_not_run_into_each_other() -> None:
    """1 and 11 differ from 11 and 1."""
    tensors = [torch.zeros(1, 1, 16, 1), torch.zeros(1, 1, 16, 1)]
    assert fingerprint(KeysValues(tensors, (1, 11))) != fingerprint(KeysValues(tensors, (11, 1)))


def test_the_dtype_counts() -> None:
    """The same bytes as other numbers are another entry."""
    tensors, sizes = read(row())
    prints = {
        fingerprint(KeysValues([tensor.view(dtype) for tensor in tensors], sizes))
        for dtype in (torch.float32, torch.int32)
    }
    assert len(prints) == 2


def test_the_shape_counts() -> None:
    """The same bytes in another shape are another entry."""
    tensors, sizes = read(row())
    other = KeysValues([tensor.reshape(1, 4, 4, 4) for tensor in tensors], sizes)
    assert fingerprint(other) != fingerprint(row())


def test_the_number_of_layers_counts() -> None:
    """An entry is not its first layer."""
    tensors, sizes = read(row())
    assert fingerprint(KeysValues(tensors[:2], sizes[:2])) != fingerprint(row())


def test_the_order_of_layers_counts() -> None:
    """Layers that changed places are another entry."""
    (a, b, c, d), _ = read(row())
    sizes = (5, 5, 5, 5)
    assert fingerprint(KeysValues((a, b, c, d), sizes)) != fingerprint(KeysValues((c, d, a, b), sizes))


def test_k_and_v_are_told_apart() -> None:
    """A K and V that changed places are another entry."""
    (a, b, *_), _ = read(row())
    assert fingerprint(KeysValues((a, b), (5, 5))) != fingerprint(KeysValues((b, a), (5, 5)))


@every_dtype
def test_a_view_that_is_not_contiguous_equals_its_copy(dtype: torch.dtype) -> None:
    """Transposed, strided and expanded tensors count by their elements, not by their memory."""
    tensors = [
        drawn(0, shape=(1, 4, 8, 2), dtype=dtype).transpose(1, 3),
        drawn(1, shape=(1, 2, 16, 4), dtype=dtype)[:, :, ::2],
        drawn(2, shape=(1, 2, 1, 4), dtype=dtype).expand(SHAPE),
        drawn(3, shape=(3, *SHAPE[1:]), dtype=dtype)[1:2],
    ]
    value = KeysValues(tensors, SIZES)
    copies = KeysValues([tensor.clone(memory_format=torch.contiguous_format) for tensor in tensors], SIZES)
    assert fingerprint(value) == fingerprint(copies) == fingerprint(upstream(value))


def test_lazy_conjugates_equal_their_copies() -> None:
    """Torch's lazy conjugation and negation are resolved, not overlooked."""
    base = torch.complex(torch.arange(8.0), torch.arange(8.0) + 1).reshape(1, 1, 8, 1)
    lazy = KeysValues([base.conj(), base.conj().imag], (1, 1))
    copies = KeysValues([base.conj().resolve_conj(), base.conj().imag.resolve_neg()], (1, 1))
    assert fingerprint(lazy) == fingerprint(copies) == fingerprint(upstream(lazy))
    assert fingerprint(lazy) != fingerprint(KeysValues([base, base.imag], (1, 1)))


@pytest.mark.parametrize("hold", [lambda v: v, upstream], ids=["own", "upstream"])
def test_tensors_that_require_grad_can_be_fingerprinted(hold: Callable[[KeysValues], Any]) -> None:
    """A leaf of a graph has the fingerprint of its numbers."""
    value = apart(row())
    before = fingerprint(apart(row()))
    for tensor in read(value)[0]:
        tensor.requires_grad_()
    assert fingerprint(hold(value)) == before


@pytest.mark.parametrize("hold", [lambda v: v, apart, upstream], ids=["row", "apart", "upstream"])
def test_a_write_after_a_fingerprint_is_noticed(hold: Callable[[KeysValues], Any]) -> None:
    """Nothing of an entry's content is remembered from one fingerprint to the next."""
    value = hold(row())
    before = fingerprint(value)
    value._keys_values[1]._k_cache._cache[0, 0, 0, 0] = 5.0
    assert fingerprint(value) != before


def test_a_re_pointed_tensor_is_noticed() -> None:
    """An entry that was one row, and fingerprinted so, is read anew when one tensor is replaced."""
    value, other = row(), drawn(9)
    fingerprint(value)
    value._keys_values[1]._v_cache._cache = other
    tensors, sizes = read(row())
    assert row_of(value) is None
    assert fingerprint(value) == fingerprint(KeysValues([*tensors[:3], other], sizes))


def test_new_memory_behind_the_same_tensor_is_noticed() -> None:
    """`tensor.data = ...` re-points without replacing the tensor object."""
    value, other = apart(row()), drawn(9)
    fingerprint(value)
    value._keys_values[0]._k_cache._cache.data = other
    tensors, sizes = read(row())
    assert fingerprint(value) == fingerprint(KeysValues([other, *tensors[1:]], sizes))


def test_replaced_layers_are_noticed() -> None:
    """A producer may swap all layers of its object for others, even for fewer."""
    value = row()
    fingerprint(value)
    value._keys_values = row(1)._keys_values[:1]
    tensors, sizes = read(row(1))
    assert fingerprint(value) == fingerprint(KeysValues(tensors[:2], sizes[:2]))


def test_fingerprints_do_not_change_between_versions() -> None:
    """A recorded fingerprint stays comparable: this one is written down."""
    value = KeysValues.from_row(torch.arange(32, dtype=torch.float32).reshape(2, 1, 2, 4, 2), (3, 4))
    assert fingerprint(value).hex() == "913170538ffe245ef5eceac0ca999ca7"


# ---------------------------------------------------------------------- the bytes themselves


@every_dtype
def test_raw_bytes_are_the_tensors_bytes(dtype: torch.dtype) -> None:
    """Every dtype gives its elements' bytes in order, a transposed view too."""
    tensor = drawn(3, dtype=dtype)
    assert raw_bytes(tensor).tobytes() == bytes(tensor.contiguous().view(torch.uint8).flatten().tolist())
    turned = tensor.transpose(1, 2)
    assert raw_bytes(turned).tobytes() == bytes(turned.contiguous().view(torch.uint8).flatten().tolist())


@pytest.mark.parametrize("hold", [lambda v: v, apart, upstream], ids=["row", "apart", "upstream"])
@pytest.mark.parametrize("looked_at", [False, True])
def test_a_scribble_changes_the_entry(*, hold: Callable[[KeysValues], Any], looked_at: bool) -> None:
    """Every turn changes bytes, in each layer by turns, and keeps the sizes within the tokens there are."""
    value = hold(KeysValues.zeros(num_layers=2, num_heads=2, max_tokens=8, head_dim=4, size=8))
    touched = set()
    for turn in range(40):
        before = [raw_bytes(tensor).tobytes() for tensor in read(value)[0]]
        if looked_at:
            fingerprint(value)
        scribble(value, turn)
        after = [raw_bytes(tensor).tobytes() for tensor in read(value)[0]]
        assert before != after
        touched.update(index for index in range(4) if before[index] != after[index])
        assert all(0 <= size <= 8 for size in read(value)[1])
    assert touched == {0, 1, 2, 3}
