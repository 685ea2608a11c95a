"""Fingerprints: every byte of an entry counts, and nothing else does."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kvparity.values.device_fingerprints import DeviceFingerprints
from kvparity.values.entry import KeysValues, read, row_of
from kvparity.values.fingerprints import HostFingerprints, fingerprint, raw_bytes, scribble
from support.doubles import Elsewhere
from support.entries import SHAPE, SIZES, UpstreamKeysValues, apart, drawn, every_dtype, floats, one, row, upstream

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.values.fingerprints import Fingerprints

PrintOf: TypeAlias = "Callable[[Any], bytes]"


def _later(value: Any) -> bytes:
    """As the CPU takes it of what it has looked at before."""
    first, second, third = (fingerprint(value) for _ in range(3))
    assert first == second == third
    return third


def _on_the_device(value: Any) -> bytes:
    """As a device takes it."""
    fingerprints = DeviceFingerprints(torch.device("cpu"))
    pending: Any = fingerprints.look(value)[0]
    fingerprints.read()
    return pending.fingerprint


@pytest.fixture(params=[fingerprint, _later, _on_the_device], ids=["first look", "later look", "device"])
def print_of(request: pytest.FixtureRequest) -> PrintOf:
    """The fingerprint of an entry, by each way in which it can be taken. All of them must agree on what is equal."""
    return request.param


@every_dtype
def test_equal_bytes_have_equal_fingerprints_however_they_are_held(print_of: PrintOf, dtype: torch.dtype) -> None:
    """One row, separate tensors and LightZero's object of the same content agree, for every dtype."""
    value = row(dtype=dtype)
    assert len({print_of(value), print_of(apart(value)), print_of(upstream(value))}) == 1
    assert len(print_of(value)) == 16


@every_dtype
def test_one_changed_bit_changes_the_fingerprint(print_of: PrintOf, dtype: torch.dtype) -> None:
    """The last element of the last tensor counts, however the entry is held, for every dtype."""
    value, other = row(dtype=dtype), row(dtype=dtype)
    last = other._keys_values[1]._v_cache._cache.view(torch.uint8)
    last[..., -1] = 1 - last[..., -1] if dtype == torch.bool else last[..., -1] ^ 1
    for hold in (lambda v: v, apart, upstream):
        assert print_of(hold(value)) != print_of(hold(other))


@pytest.mark.parametrize("tokens", [0, 1, 8, 64, 65, 200])
def test_small_and_large_entries_agree_by_every_path(print_of: PrintOf, tokens: int) -> None:
    """Below, at and above the size up to which tensors are hashed together (64 tokens of 128 bytes), and empty."""
    value = row(shape=(1, 1, tokens, 32))
    assert len({print_of(value), print_of(apart(value)), print_of(upstream(value))}) == 1


def test_tensors_of_several_kinds_agree_by_every_path(print_of: PrintOf) -> None:
    """K and V of other shapes and dtypes."""
    tensors = [drawn(0), drawn(1, shape=(1, 2, 6, 4), dtype=torch.float64)]
    assert print_of(KeysValues(tensors, (1, 2))) == print_of(UpstreamKeysValues(tensors, (1, 2)))


def test_a_nan_equals_the_same_nan(print_of: PrintOf) -> None:
    """Bytes are compared, not numbers."""
    assert print_of(floats(0x7FC00001)) == print_of(floats(0x7FC00001))


def test_a_nan_of_another_payload_differs(print_of: PrintOf) -> None:
    """Two NaNs are told apart by their bits."""
    assert print_of(floats(0x7FC00001)) != print_of(floats(0x7FC00002))


def test_negative_zero_differs_from_zero(print_of: PrintOf) -> None:
    """They are equal as numbers and differ in their bytes."""
    assert print_of(one(0.0)) != print_of(one(-0.0))


def test_padding_counts(print_of: PrintOf) -> None:
    """A change past the size is a change."""
    assert print_of(one(1.0, 2.0)) != print_of(one(1.0, 3.0))


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("hold", [lambda v: v, apart, upstream], ids=["row", "apart", "upstream"])
def test_the_size_of_each_k_and_v_counts(print_of: PrintOf, index: int, hold: Callable[[KeysValues], Any]) -> None:
    """One size that differs is enough, wherever it is."""
    value = hold(row())
    before = print_of(value)
    layer = value._keys_values[index // 2]
    (layer._v_cache if index % 2 else layer._k_cache)._size -= 1
    assert print_of(value) != before


def test_sizes_do_not_run_into_each_other(print_of: PrintOf) -> None:
    """1 and 11 differ from 11 and 1."""
    tensors = [torch.zeros(1, 1, 16, 1), torch.zeros(1, 1, 16, 1)]
    assert print_of(KeysValues(tensors, (1, 11))) != print_of(KeysValues(tensors, (11, 1)))


def test_the_dtype_counts(print_of: PrintOf) -> None:
    """The same bytes as other numbers are another entry."""
    tensors, sizes = read(row())
    prints = {
        print_of(KeysValues([tensor.view(dtype) for tensor in tensors], sizes))
        for dtype in (torch.float32, torch.int32)
    }
    assert len(prints) == 2


def test_the_shape_counts(print_of: PrintOf) -> None:
    """The same bytes in another shape are another entry."""
    tensors, sizes = read(row())
    other = KeysValues([tensor.reshape(1, 4, 4, 4) for tensor in tensors], sizes)
    assert print_of(other) != print_of(row())


def test_the_number_of_layers_counts(print_of: PrintOf) -> None:
    """An entry is not its first layer."""
    tensors, sizes = read(row())
    assert print_of(KeysValues(tensors[:2], sizes[:2])) != print_of(row())


def test_the_order_of_layers_counts(print_of: PrintOf) -> None:
    """Layers that changed places are another entry."""
    (a, b, c, d), _ = read(row())
    sizes = (5, 5, 5, 5)
    assert print_of(KeysValues((a, b, c, d), sizes)) != print_of(KeysValues((c, d, a, b), sizes))


def test_k_and_v_are_told_apart(print_of: PrintOf) -> None:
    """A K and V that changed places are another entry."""
    (a, b, *_), _ = read(row())
    assert print_of(KeysValues((a, b), (5, 5))) != print_of(KeysValues((b, a), (5, 5)))


@every_dtype
def test_a_view_that_is_not_contiguous_equals_its_copy(print_of: PrintOf, dtype: torch.dtype) -> None:
    """Transposed, strided and expanded tensors count by their elements, not by their memory."""
    tensors = [
        drawn(0, shape=(1, 4, 8, 2), dtype=dtype).transpose(1, 3),
        drawn(1, shape=(1, 2, 16, 4), dtype=dtype)[:, :, ::2],
        drawn(2, shape=(1, 2, 1, 4), dtype=dtype).expand(SHAPE),
        drawn(3, shape=(3, *SHAPE[1:]), dtype=dtype)[1:2],
    ]
    value = KeysValues(tensors, SIZES)
    copies = KeysValues([tensor.clone(memory_format=torch.contiguous_format) for tensor in tensors], SIZES)
    assert print_of(value) == print_of(copies) == print_of(upstream(value))


def test_lazy_conjugates_equal_their_copies(print_of: PrintOf) -> None:
    """Torch's lazy conjugation and negation are resolved, not overlooked."""
    base = torch.complex(torch.arange(8.0), torch.arange(8.0) + 1).reshape(1, 1, 8, 1)
    lazy = KeysValues([base.conj(), base.conj().imag], (1, 1))
    copies = KeysValues([base.conj().resolve_conj(), base.conj().imag.resolve_neg()], (1, 1))
    assert print_of(lazy) == print_of(copies) == print_of(upstream(lazy))
    assert print_of(lazy) != print_of(KeysValues([base, base.imag], (1, 1)))


@pytest.mark.parametrize("hold", [lambda v: v, upstream], ids=["own", "upstream"])
def test_tensors_that_require_grad_can_be_fingerprinted(print_of: PrintOf, hold: Callable[[KeysValues], Any]) -> None:
    """A leaf of a graph has the fingerprint of its numbers."""
    value = apart(row())
    before = print_of(apart(row()))
    for tensor in read(value)[0]:
        tensor.requires_grad_()
    assert print_of(hold(value)) == before


@pytest.mark.parametrize("hold", [lambda v: v, apart, upstream], ids=["row", "apart", "upstream"])
def test_a_write_after_a_fingerprint_is_noticed(print_of: PrintOf, hold: Callable[[KeysValues], Any]) -> None:
    """Nothing of an entry's content is remembered from one fingerprint to the next."""
    value = hold(row())
    before = print_of(value)
    value._keys_values[1]._k_cache._cache[0, 0, 0, 0] = 5.0
    assert print_of(value) != before


def test_a_re_pointed_tensor_is_noticed(print_of: PrintOf) -> None:
    """An entry that was one row, and fingerprinted so, is read anew when one tensor is replaced."""
    value, other = row(), drawn(9)
    print_of(value)
    value._keys_values[1]._v_cache._cache = other
    tensors, sizes = read(row())
    assert row_of(value) is None
    assert print_of(value) == print_of(KeysValues([*tensors[:3], other], sizes))


def test_new_memory_behind_the_same_tensor_is_noticed(print_of: PrintOf) -> None:
    """`tensor.data = ...` re-points without replacing the tensor object."""
    value, other = apart(row()), drawn(9)
    print_of(value)
    value._keys_values[0]._k_cache._cache.data = other
    tensors, sizes = read(row())
    assert print_of(value) == print_of(KeysValues([other, *tensors[1:]], sizes))


def test_replaced_layers_are_noticed(print_of: PrintOf) -> None:
    """A producer may swap all layers of its object for others, even for fewer."""
    value = row()
    print_of(value)
    value._keys_values = row(1)._keys_values[:1]
    tensors, sizes = read(row(1))
    assert print_of(value) == print_of(KeysValues(tensors[:2], sizes[:2]))


def test_new_memory_behind_the_slices_of_a_row_is_noticed(print_of: PrintOf) -> None:
    """They are the same tensors, and yet no slices of the row any more."""
    value, other = row(), drawn(9)
    print_of(value)
    value._keys_values[0]._k_cache._cache.data = other
    tensors, sizes = read(row())
    assert print_of(value) == print_of(KeysValues([other, *tensors[1:]], sizes))


@pytest.mark.parametrize("hold", [lambda v: v, apart, upstream], ids=["row", "apart", "upstream"])
def test_a_tensor_that_is_turned_in_place_is_noticed(print_of: PrintOf, hold: Callable[[KeysValues], Any]) -> None:
    """Neither its memory nor its shape changes, where there are as many heads as tokens."""
    value = hold(row(shape=(1, 4, 4, 2)))
    before = print_of(value)
    cache = value._keys_values[1]._v_cache._cache
    cache.transpose_(1, 2)
    assert print_of(value) != before
    cache.transpose_(1, 2)
    assert print_of(value) == before


@pytest.mark.parametrize("hold", [lambda v: v, apart, upstream], ids=["row", "apart", "upstream"])
@pytest.mark.parametrize("change", ["shape", "dtype"])
def test_the_same_memory_of_another_kind_is_noticed(
    print_of: PrintOf, hold: Callable[[KeysValues], Any], change: str
) -> None:
    """`tensor.data = ...` may give a tensor another shape or type of the same bytes."""
    value = hold(row())
    before = print_of(value)
    cache = value._keys_values[0]._v_cache._cache
    cache.data = cache.data.view(1, 8, 2, 4) if change == "shape" else cache.data.view(torch.int32)
    assert print_of(value) != before


def test_an_object_that_took_the_place_of_another_is_looked_at_anew(print_of: PrintOf) -> None:
    """Where an entry is no more, the next one may have its address."""
    for seed in range(50):
        assert print_of(upstream(row(seed))) == print_of(row(seed))


def test_what_cannot_be_referred_to_weakly_is_read_each_time(print_of: PrintOf) -> None:
    """A class may have slots, and none for that."""

    class Slotted:
        __slots__ = ("_keys_values",)

    value: Any = Slotted()
    value._keys_values = row()._keys_values
    assert print_of(value) == print_of(row())
    value._keys_values[0]._k_cache._cache.fill_(7)
    assert print_of(value) != print_of(row())


def test_looking_keeps_nothing_alive() -> None:
    """Neither an entry nor its tensors, once its owner lets go of it."""
    value = upstream(row())
    for _ in range(3):
        fingerprint(value)
    entry, tensor = weakref.ref(value), weakref.ref(value._keys_values[0]._k_cache._cache)
    del value
    gc.collect()
    assert (entry(), tensor()) == (None, None)


@pytest.mark.parametrize("sizes", [SIZES, (0, 0, 0, 0)])
@pytest.mark.parametrize("fingerprints", [HostFingerprints, lambda: DeviceFingerprints(torch.device("cpu"))])
def test_a_row_has_the_fingerprint_of_its_entry(
    fingerprints: Callable[[], Fingerprints], sizes: tuple[int, ...]
) -> None:
    """Row after row, and one row whose numbers change."""
    taker = fingerprints()
    memory = drawn(0, shape=(4, *SHAPE))
    for seed in range(4):
        row_now = drawn(seed, shape=(4, *SHAPE)) if seed < 2 else memory.copy_(drawn(seed, shape=(4, *SHAPE)))
        seen = [taker.look_at_row(row_now, sizes), taker.look(KeysValues.from_row(row_now.clone(), sizes))]
        if isinstance(taker, DeviceFingerprints):
            taker.read()
            seen = [(pending.fingerprint, device) for pending, device in seen]  # type: ignore[attr-defined]
        assert seen[0] == seen[1]
        assert seen[0][1] == torch.device("cpu")


def test_a_row_that_numpy_cannot_look_at_is_read_each_time() -> None:
    """Its bytes come as a copy, which must not be taken for the row the next time."""

    class Far(Elsewhere):
        def cpu(self, *_: Any, **__: Any) -> torch.Tensor:
            return self.as_subclass(torch.Tensor).clone()

    memory = drawn(0, shape=(4, *SHAPE))
    fingerprints, far = HostFingerprints(), memory.as_subclass(Far)
    before = fingerprints.look_at_row(far, SIZES)
    memory.zero_()
    assert fingerprints.look_at_row(far, SIZES)[0] != before[0]


# Pairs of entries that may be equal: few kinds, few numbers, and what is done to one of the two.
ENTRIES = st.builds(
    lambda layers, shape, dtype, fill, sizes: KeysValues.from_row(
        torch.tensor(fill * (2 * layers * 64))[: 2 * layers * shape[0] * shape[1] * shape[2]]
        .to(dtype)
        .reshape(2 * layers, 1, *shape),
        (sizes * layers)[: 2 * layers],
    ),
    layers=st.integers(1, 2),
    shape=st.tuples(st.integers(1, 2), st.integers(0, 3), st.integers(1, 3)),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.int8, torch.bool, torch.complex64]),
    fill=st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=1, max_size=3),
    sizes=st.lists(st.integers(0, 2), min_size=2, max_size=4),
)


def change(value: KeysValues, how: str, at: int) -> KeysValues:
    """`value`, or another that differs from it in one way, where there is anything to differ in."""
    tensors, sizes = read(value.clone())
    tensor = tensors[at % len(tensors)]
    octets = tensor.view(torch.uint8).reshape(-1) if tensor.numel() else torch.zeros(1, dtype=torch.uint8)
    if how == "bit":
        octets[at % len(octets)] ^= 1
    elif how == "two signs" and tensor.dtype is torch.float32 and tensor.numel():
        octets[[3, -1]] ^= 0x80
    elif how == "tokens" and tensor.shape[2] > 1:
        tensor.copy_(tensor.roll(1, dims=2))
    elif how == "size":
        sizes[at % len(sizes)] += 1
    elif how == "k and v":
        tensors[:2] = tensors[1], tensors[0]
    elif how == "layers":
        tensors = tensors[2:] + tensors[:2]
    elif how == "shape":
        tensors = [each.reshape(*each.shape[:2], each.shape[3], each.shape[2]) for each in tensors]
    return KeysValues(tensors, sizes)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(
    value=ENTRIES,
    how=st.sampled_from(["nothing", "bit", "two signs", "tokens", "size", "k and v", "layers", "shape"]),
    at=st.integers(0, 999),
)
def test_the_cpu_and_a_device_agree_on_what_is_equal(value: KeysValues, how: str, at: int) -> None:
    """Of any two entries; and on both sides of it: some of the pairs are equal, some are not."""
    other = change(value, how, at)
    equal = describe_bytes(value) == describe_bytes(other)
    for print_of in (fingerprint, _later, _on_the_device):
        assert (print_of(value) == print_of(other)) == equal


def describe_bytes(value: KeysValues) -> list[tuple[Any, ...]]:
    """All that makes an entry what it is, spelt out."""
    tensors, sizes = read(value)
    return [
        (size, tensor.dtype, tensor.shape, raw_bytes(tensor).tobytes())
        for tensor, size in zip(tensors, sizes, strict=True)
    ]


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
