"""Entries: read by structure, copied without sharing."""

from __future__ import annotations

import copy
import pickle
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
import torch

from kvparity.errors import NotKeysValuesError
from kvparity.values.entry import (
    KeysValues,
    TokenCache,
    check,
    clone,
    copy_into,
    describe,
    device_of,
    expose,
    read,
    row_of,
    size_bytes,
    write_token,
)
from kvparity.values.fingerprints import fingerprint
from support.entries import SHAPE, SIZES, UpstreamKeysValues, apart, drawn, every_dtype, row, upstream

if TYPE_CHECKING:
    from collections.abc import Callable


# ---------------------------------------------------------------------- reading by structure


@pytest.mark.parametrize("as_class", [row, lambda: apart(row()), lambda: upstream(row())], ids=["row", "own", "theirs"])
def test_reads_k_and_v_of_each_layer_in_order(as_class: Callable[[], Any]) -> None:
    """Ours and LightZero's objects give K and V of layer 0, of layer 1, and their sizes."""
    tensors, sizes = read(as_class())
    assert torch.equal(torch.stack(tensors).view(torch.int32), drawn(0, shape=(4, *SHAPE)).view(torch.int32))
    assert sizes == list(SIZES)


def test_reading_copies_nothing() -> None:
    """What is read is the object's own tensors."""
    value = upstream(row())
    assert read(value)[0][1] is value._keys_values[0]._v_cache._cache


@pytest.mark.parametrize("rubbish", [7, "entry", None, object(), [1, 2], {"_keys_values": ()}])
def test_what_has_not_the_structure_is_named(rubbish: Any) -> None:
    """Rubbish raises an error that says its type and the structure that was expected."""
    name = type(rubbish).__name__
    expected = (
        rf"^{name} is not a key/value cache entry: expected \._keys_values\[layer\]\._k_cache\._cache and \._size"
    )
    with pytest.raises(NotKeysValuesError, match=expected):
        read(rubbish)


@pytest.mark.parametrize("lost", ["_k_cache", "_v_cache"])
def test_a_layer_without_k_or_v_is_named(lost: str) -> None:
    """A layer that lacks an attribute raises an error that names it."""
    value = upstream(row())
    delattr(value._keys_values[1], lost)
    with pytest.raises(NotKeysValuesError, match=lost):
        read(value)


@pytest.mark.parametrize("lost", ["_cache", "_size"])
def test_a_cache_without_tensor_or_size_is_named(lost: str) -> None:
    """A K or V that lacks an attribute raises an error that names it."""
    value = upstream(row())
    delattr(value._keys_values[1]._v_cache, lost)
    with pytest.raises(NotKeysValuesError, match=f"no attribute '{lost}'"):
        read(value)


@pytest.mark.parametrize(
    ("tensor", "size", "found"),
    [
        (None, 1, "NoneType and int"),
        ([1.0], 1, "list and int"),
        (drawn(1), None, "Tensor and NoneType"),
        (drawn(1), 1.0, "Tensor and float"),
        (drawn(1), True, "Tensor and bool"),
    ],
)
def test_a_check_refuses_the_wrong_types(tensor: Any, size: Any, found: str) -> None:
    """A `_cache` that is no tensor, or a `_size` that is no int, is refused with what was found."""
    value = UpstreamKeysValues([drawn(0), tensor], [1, size])
    with pytest.raises(NotKeysValuesError, match=rf"expected a tensor and an int as _cache and _size, found {found}"):
        check(value)


def test_a_check_refuses_an_entry_of_no_layers() -> None:
    """Nothing can be cached of nothing."""
    with pytest.raises(
        NotKeysValuesError, match=r"^UpstreamKeysValues is not a key/value cache entry: it has no layers$"
    ):
        check(UpstreamKeysValues([], []))


def test_a_check_accepts_what_is_right() -> None:
    """Neither class nor sizes at the edges matter."""
    for sizes in (SIZES, (0, 0, 0, 0), (8, 8, 8, 8)):
        check(UpstreamKeysValues(read(row())[0], sizes))


@pytest.mark.parametrize(
    "rubbish", [UpstreamKeysValues([], []), UpstreamKeysValues([None, None], [0, 0])], ids=["empty", "none"]
)
def test_copying_rubbish_says_what_is_wrong_with_it(rubbish: Any) -> None:
    """A copy of no layers, or of what are no tensors, raises the same clear error, into a new entry or over one."""
    with pytest.raises(NotKeysValuesError):
        clone(rubbish)
    with pytest.raises(NotKeysValuesError):
        copy_into(rubbish, KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=2, head_dim=2))


# ---------------------------------------------------------------------- LightZero's interface


def test_indexing_gives_layers() -> None:
    """`value[layer]` is `value._keys_values[layer]`, and its length the number of layers."""
    value = row()
    assert len(value) == 2
    assert value[1] is value._keys_values[1]


def test_the_size_is_that_of_the_first_k() -> None:
    """As LightZero reads it."""
    assert row().size == SIZES[0]


def test_a_shape_counts_valid_tokens() -> None:
    """The third number of a shape is the size, not the room there is."""
    value = row()
    assert value[1].shape == (1, 2, 6, 4)
    assert value[0]._v_cache.shape == (1, 2, 5, 4)


def test_getting_a_layer_gives_its_valid_tokens_as_views() -> None:
    """K and V come cut to their sizes and share memory with the entry."""
    value = KeysValues.zeros(num_layers=1, num_heads=2, max_tokens=8, head_dim=4, size=3)
    k, v = value[0].get()
    k.fill_(1)
    v.fill_(2)
    assert k.shape == v.shape == (1, 2, 3, 4)
    assert value[0]._k_cache._cache.sum() == 24
    assert value[0]._v_cache._cache.sum() == 48


def test_an_update_appends_in_place() -> None:
    """New tokens go behind the valid ones and the size grows by them."""
    value = KeysValues.zeros(num_layers=1, num_heads=2, max_tokens=8, head_dim=4, size=3)
    value[0].update(torch.full((1, 2, 2, 4), 7.0), torch.full((1, 2, 2, 4), 9.0))
    assert value.size == 5
    assert value[0]._k_cache._cache[0, 0, :, 0].tolist() == [0, 0, 0, 7, 7, 0, 0, 0]
    assert value[0]._v_cache._cache[0, 1, :, 3].tolist() == [0, 0, 0, 9, 9, 0, 0, 0]


def test_a_clone_shares_nothing() -> None:
    """Writing into a clone changes neither the tensors nor the sizes of what was cloned."""
    value, before = row(), fingerprint(row())
    copied = value.clone()
    assert fingerprint(copied) == before
    for layer in copied._keys_values:
        layer._k_cache._cache.zero_()
        layer._v_cache._size = 0
    assert fingerprint(value) == before


def test_zeros_has_the_asked_for_kind() -> None:
    """Every number that `zeros` takes is found in the entry."""
    value = KeysValues.zeros(
        num_layers=3, num_heads=2, max_tokens=4, head_dim=5, num_samples=6, size=1, dtype=torch.float64
    )
    assert describe(value) == "3 layers, [6, 2, 4, 5] float64, size 1"
    assert not any(tensor.any() for tensor in read(value)[0])


def test_a_number_of_sizes_that_does_not_fit_is_refused() -> None:
    """As many sizes as tensors, and K and V in pairs."""
    with pytest.raises(ValueError, match="zip"):
        KeysValues([drawn(0), drawn(1)], [1])
    with pytest.raises(ValueError, match="zip"):
        KeysValues([drawn(0)], [1])


# ---------------------------------------------------------------------- rows


def test_a_row_is_recognised() -> None:
    """An entry that was made from a row has it as long as its tensors are its slices."""
    tensor = drawn(0, shape=(4, *SHAPE))
    assert row_of(KeysValues.from_row(tensor, SIZES)) is tensor


@pytest.mark.parametrize("value", [apart(row()), upstream(row()), 7], ids=["apart", "upstream", "rubbish"])
def test_what_has_no_row_has_none(value: Any) -> None:
    """Separate tensors and foreign objects have no row."""
    assert row_of(value) is None


# ---------------------------------------------------------------------- copies


@every_dtype
def test_a_clone_is_one_row_and_keeps_every_bit(dtype: torch.dtype) -> None:
    """Tensors of one kind become one row, for every dtype."""
    value = upstream(row(dtype=dtype))
    copied = clone(value)
    assert row_of(copied) is not None
    assert fingerprint(copied) == fingerprint(value)


def test_a_clone_of_several_kinds_keeps_them() -> None:
    """Tensors of other shapes or dtypes are copied one by one and come contiguous."""
    tensors = [drawn(0).transpose(1, 2), drawn(1, dtype=torch.float64)]
    copied = clone(UpstreamKeysValues(tensors, (1, 2)))
    assert fingerprint(copied) == fingerprint(UpstreamKeysValues(tensors, (1, 2)))
    assert all(tensor.is_contiguous() for tensor in read(copied)[0])


@pytest.mark.parametrize("order", [*permutations(range(4))], ids=str)
@pytest.mark.parametrize("shape", [SHAPE, (2, 3, 4, 5)], ids=str)
def test_a_clone_is_contiguous_whatever_lies_in_memory_first(shape: tuple[int, ...], order: tuple[int, ...]) -> None:
    """Tensors in each of the 24 orders of their axes become one contiguous row, also over an earlier one."""
    tensors = [
        drawn(seed, shape=tuple(shape[axis] for axis in order)).permute([order.index(axis) for axis in range(4)])
        for seed in range(4)
    ]
    value = UpstreamKeysValues(tensors, SIZES)
    fresh = clone(value)
    for result in (fresh, copy_into(value, row(1, shape=shape)), copy_into(fresh, row(1, shape=shape))):
        behind = row_of(result)
        assert behind is not None
        assert behind.is_contiguous()
        assert expose(result) is not None
        assert fingerprint(result) == fingerprint(value)


# ---------------------------------------------------------------------- deep copies and pickles


def through_pickle(value: Any) -> Any:
    """What a pickle of it gives."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301


duplicates = pytest.mark.parametrize("duplicate", [copy.deepcopy, through_pickle], ids=["deepcopy", "pickle"])


@duplicates
@pytest.mark.parametrize("exposed", [False, True])
def test_a_duplicate_has_a_row_of_its_own_behind_its_tensors(duplicate: Callable[[Any], Any], exposed: bool) -> None:  # noqa: FBT001
    """What is written into the tensors of a deep copy or a pickle is in its row, and not in the original."""
    original = row()
    if exposed:
        expose(original)
    copied = duplicate(original)
    assert fingerprint(copied) == fingerprint(original)
    for tensor in read(copied)[0]:
        tensor.zero_()
    behind = row_of(copied)
    assert behind is not None
    assert not behind.any()
    assert not any(expose(copied) or [1])
    assert fingerprint(original) == fingerprint(row())


@duplicates
def test_a_duplicate_of_what_was_re_pointed_has_the_tensors_that_are_seen(duplicate: Callable[[Any], Any]) -> None:
    """A tensor that a consumer put into an entry is in its deep copy and in its pickle, without the row."""
    original = row()
    original._keys_values[1]._v_cache._cache = drawn(9)
    copied = duplicate(original)
    assert fingerprint(copied) == fingerprint(original)
    assert row_of(copied) is None
    assert fingerprint(copy_into(row(2), copied)) == fingerprint(row(2))


@duplicates
def test_a_duplicate_of_separate_tensors_has_separate_tensors(duplicate: Callable[[Any], Any]) -> None:
    """An entry without a row has none after a deep copy or a pickle."""
    copied = duplicate(apart(row()))
    assert row_of(copied) is None
    assert fingerprint(copied) == fingerprint(row())


def test_a_pickle_has_a_row_once() -> None:
    """And not again for each of its slices."""
    value = KeysValues.zeros(num_layers=10, num_heads=2, max_tokens=20, head_dim=16)
    assert len(pickle.dumps(value)) < size_bytes(value) + 2000


def test_memory_that_a_pickle_moves_is_exposed_where_it_went() -> None:
    """`torch.multiprocessing` puts a tensor into shared memory while it pickles it."""
    value = row()
    assert expose(value) is not None
    pickle.dumps(value)
    assert value._row is not None
    value._row.share_memory_()
    for tensor in read(value)[0]:
        tensor.zero_()
    assert not any(expose(value) or [1])


# ---------------------------------------------------------------------- copies in place


def test_a_copy_goes_into_the_targets_own_memory() -> None:
    """Over a target of the same kind no tensor is allocated."""
    target = row(1)
    before, pointers = target, [tensor.data_ptr() for tensor in read(target)[0]]
    result = copy_into(upstream(row(2)), target)
    assert result is before
    assert [tensor.data_ptr() for tensor in read(result)[0]] == pointers
    assert fingerprint(result) == fingerprint(row(2))


def test_a_copy_does_not_follow_its_source() -> None:
    """Neither a new nor a reused target shares memory with what was copied."""
    for target in (None, row(1)):
        source = row(2)
        result = copy_into(source, target)
        for tensor in read(source)[0]:
            tensor.zero_()
        assert fingerprint(result) == fingerprint(row(2))


@pytest.mark.parametrize(
    "other",
    [
        row(2, shape=(1, 2, 6, 4)),
        row(2, shape=(1, 2, 1, 4)),
        row(2, dtype=torch.float64),
        row(2, dtype=torch.bfloat16),
        KeysValues(read(row(2))[0][:2], (1, 1)),
        KeysValues([*read(row(2))[0][:3], drawn(0, shape=(1, 2, 6, 4))], SIZES),
        KeysValues([*read(row(2))[0][:3], drawn(0, dtype=torch.float64)], SIZES),
    ],
    ids=["shape", "broadcastable", "wider", "narrower", "fewer-layers", "one-shape", "one-dtype"],
)
def test_a_copy_of_another_kind_is_a_new_entry(other: KeysValues) -> None:
    """Where anything about the kind differs the target stays as it was and a new entry is returned, exact."""
    target = row(1)
    result = copy_into(other, target)
    assert result is not target
    assert fingerprint(result) == fingerprint(other)
    assert fingerprint(target) == fingerprint(row(1))


def test_a_copy_over_separate_tensors_is_a_new_entry() -> None:
    """A target without a row cannot be overwritten in one go."""
    target = apart(row(1))
    result = copy_into(row(2), target)
    assert result is not target
    assert fingerprint(result) == fingerprint(row(2))


def test_a_copy_binds_the_target_to_its_row_again() -> None:
    """A target whose tensors were re-pointed gets its own slices back and leaves the strangers alone."""
    target, stranger = row(1), drawn(9)
    target._keys_values[0]._k_cache._cache = stranger
    result = copy_into(row(2), target)
    assert result is target
    assert row_of(result) is not None
    assert fingerprint(result) == fingerprint(row(2))
    assert torch.equal(stranger.view(torch.int32), drawn(9).view(torch.int32))


def test_a_source_that_requires_grad_is_copied_by_value() -> None:
    """A copy belongs to no graph, new or in place."""
    source = apart(KeysValues.zeros(num_layers=2, num_heads=2, max_tokens=8, head_dim=4))
    for tensor in read(source)[0]:
        tensor.requires_grad_()
    for target in (None, KeysValues.from_row(torch.ones(4, *SHAPE), SIZES)):
        result = copy_into(source, target)
        assert not any(tensor.requires_grad for tensor in read(result)[0])
        assert not any(tensor.any() for tensor in read(result)[0])


def test_a_target_born_in_inference_mode_is_replaced() -> None:
    """Memory that torch forbids to overwrite is not overwritten."""
    with torch.inference_mode():
        target = KeysValues.zeros(num_layers=2, num_heads=2, max_tokens=8, head_dim=4)
    result = copy_into(row(2), target)
    assert result is not target
    assert fingerprint(result) == fingerprint(row(2))


# ---------------------------------------------------------------------- what a consumer does


def test_a_written_token_goes_behind_the_valid_ones() -> None:
    """A token of the fill is appended in place and the size is one more."""
    cache = TokenCache(torch.zeros(1, 2, 4, 3), 2)
    write_token(cache, 6.0)
    assert cache._cache[0, 1, :, 2].tolist() == [0, 0, 6, 0]
    assert cache._size == 3


def test_a_written_token_starts_over_where_there_is_no_room() -> None:
    """In a full tensor the first token is overwritten, and the size is that of one token."""
    cache = TokenCache(torch.zeros(1, 2, 4, 3), 4)
    write_token(cache, 6.0)
    assert cache._cache[0, 1, :, 2].tolist() == [6, 0, 0, 0]
    assert cache._size == 1


def test_no_token_is_written_where_there_is_none() -> None:
    """A tensor of no tokens, and its size, stay as they are."""
    cache = TokenCache(torch.zeros(1, 2, 0, 3), 0)
    write_token(cache, 6.0)
    assert cache._cache.shape == (1, 2, 0, 3)
    assert cache._size == 0


def test_a_token_is_written_into_a_leaf_of_a_graph() -> None:
    """A tensor that requires grad is written into all the same."""
    cache = TokenCache(torch.zeros(1, 1, 2, 1, requires_grad=True), 0)
    write_token(cache, 6.0)
    assert cache._cache.flatten().tolist() == [6, 0]


# ---------------------------------------------------------------------- words and numbers


def test_describes_an_entry_in_one_line() -> None:
    """Layers, shape, dtype and size, each that occurs once."""
    assert repr(row()) == "KeysValues(2 layers, [1, 2, 8, 4] float32, size 5 / 6)"
    mixed = UpstreamKeysValues([drawn(0), drawn(0, shape=(1, 1, 1, 1), dtype=torch.int64)], [1, 1])
    assert describe(mixed) == "1 layer, [1, 2, 8, 4] float32 / [1, 1, 1, 1] int64, size 1"


def test_counts_bytes_with_padding() -> None:
    """Four tensors of 64 elements of 2 bytes."""
    assert size_bytes(upstream(row(dtype=torch.bfloat16))) == 512


def test_the_device_is_that_of_all_tensors() -> None:
    """Torch's storage-less device shows that each is looked at; on several there is no one device."""
    here, there = torch.empty(1, 1, 1, 1), torch.empty(1, 1, 1, 1, device="meta")
    assert device_of(KeysValues([there] * 4, [0] * 4)) == torch.device("meta")
    for at in range(4):
        tensors = [there if at == other else here for other in range(4)]
        assert device_of(KeysValues(tensors, [0] * 4)) is None
