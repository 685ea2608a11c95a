"""Entries: read by structure, told apart by every byte, copied without sharing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from harness.errors import NotKeysValuesError
from harness.values import (
    KeysValues,
    TokenCache,
    check,
    clone,
    copy_into,
    describe,
    device_of,
    fingerprint,
    raw_bytes,
    read,
    row_of,
    scribble,
    size_bytes,
    write_token,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FLOAT8 = [getattr(torch, name) for name in dir(torch) if name.startswith("float8_")]
DTYPES = [
    torch.float16, torch.float32, torch.float64, torch.bfloat16, torch.complex64, torch.complex128,
    torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool, *FLOAT8,
]  # fmt: skip
SHAPE = (1, 2, 8, 4)
SIZES = (5, 5, 6, 6)

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


class UpstreamCache:
    """LightZero's `Cache`, as far as it is read."""

    def __init__(self, cache: Any, size: Any) -> None:
        self._cache = cache
        self._size = size


class UpstreamKVCache:
    """LightZero's `KVCache`."""

    def __init__(self, k: UpstreamCache, v: UpstreamCache) -> None:
        self._k_cache = k
        self._v_cache = v


class UpstreamKeysValues:
    """LightZero's `KeysValues`."""

    def __init__(self, tensors: Sequence[Any], sizes: Sequence[Any]) -> None:
        caches = [UpstreamCache(*pair) for pair in zip(tensors, sizes, strict=True)]
        pairs = zip(caches[::2], caches[1::2], strict=True)
        self._keys_values = tuple(UpstreamKVCache(k, v) for k, v in pairs)


def drawn(seed: int, *, shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A tensor of random bytes, so that NaNs of any payload occur."""
    generator = torch.Generator().manual_seed(seed)
    if dtype == torch.bool:
        return torch.randint(0, 2, shape, generator=generator).bool()
    octets = torch.randint(0, 256, (*shape[:-1], shape[-1] * dtype.itemsize), dtype=torch.uint8, generator=generator)
    return octets.view(dtype)


def row(seed: int = 0, *, dtype: torch.dtype = torch.float32, shape: tuple[int, ...] = SHAPE) -> KeysValues:
    """Two layers in one row."""
    return KeysValues.from_row(drawn(seed, shape=(4, *shape), dtype=dtype), SIZES)


def apart(value: Any) -> KeysValues:
    """The same entry in tensors of their own."""
    tensors, sizes = read(value)
    return KeysValues([torch.empty_like(tensor).copy_(tensor) for tensor in tensors], sizes)


def upstream(value: Any) -> UpstreamKeysValues:
    """The same tensors and sizes in LightZero's classes."""
    return UpstreamKeysValues(*read(value))


def one(*numbers: float, dtype: torch.dtype = torch.float32) -> KeysValues:
    """One layer, whose K holds `numbers` and whose V zeros."""
    k = torch.tensor(numbers, dtype=dtype).reshape(1, 1, -1, 1)
    return KeysValues([k, torch.zeros_like(k)], (1, 1))


def floats(*bits: int) -> KeysValues:
    """One layer, whose K holds the float32 numbers of these bits."""
    k = torch.tensor(bits, dtype=torch.int32).view(torch.float32).reshape(1, 1, -1, 1)
    return KeysValues([k, torch.zeros_like(k)], (1, 1))


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
    with pytest.raises(
        NotKeysValuesError, match=rf"expected a tensor and an int as its _cache and _size, found {found}"
    ):
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
    copy = value.clone()
    assert fingerprint(copy) == before
    for layer in copy._keys_values:
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


# ---------------------------------------------------------------------- fingerprints


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


# ---------------------------------------------------------------------- rows


def test_a_row_is_recognised() -> None:
    """An entry that was made from a row has it as long as its tensors are its slices."""
    tensor = drawn(0, shape=(4, *SHAPE))
    assert row_of(KeysValues.from_row(tensor, SIZES)) is tensor


@pytest.mark.parametrize("value", [apart(row()), upstream(row()), 7], ids=["apart", "upstream", "rubbish"])
def test_what_has_no_row_has_none(value: Any) -> None:
    """Separate tensors and foreign objects have no row."""
    assert row_of(value) is None


@every_dtype
def test_raw_bytes_are_the_tensors_bytes(dtype: torch.dtype) -> None:
    """Every dtype gives its elements' bytes in order, a transposed view too."""
    tensor = drawn(3, dtype=dtype)
    assert raw_bytes(tensor).tobytes() == bytes(tensor.contiguous().view(torch.uint8).flatten().tolist())
    turned = tensor.transpose(1, 2)
    assert raw_bytes(turned).tobytes() == bytes(turned.contiguous().view(torch.uint8).flatten().tolist())


# ---------------------------------------------------------------------- copies


@every_dtype
def test_a_clone_is_one_row_and_keeps_every_bit(dtype: torch.dtype) -> None:
    """Tensors of one kind become one row, for every dtype."""
    value = upstream(row(dtype=dtype))
    copy = clone(value)
    assert row_of(copy) is not None
    assert fingerprint(copy) == fingerprint(value)


def test_a_clone_of_several_kinds_keeps_them() -> None:
    """Tensors of other shapes or dtypes are copied one by one and come contiguous."""
    tensors = [drawn(0).transpose(1, 2), drawn(1, dtype=torch.float64)]
    copy = clone(UpstreamKeysValues(tensors, (1, 2)))
    assert fingerprint(copy) == fingerprint(UpstreamKeysValues(tensors, (1, 2)))
    assert all(tensor.is_contiguous() for tensor in read(copy)[0])


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


def test_a_token_is_written_into_a_leaf_of_a_graph() -> None:
    """A tensor that requires grad is written into all the same."""
    cache = TokenCache(torch.zeros(1, 1, 2, 1, requires_grad=True), 0)
    write_token(cache, 6.0)
    assert cache._cache.flatten().tolist() == [6, 0]


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
