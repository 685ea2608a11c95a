"""Fingerprints of entries: equal if the entries are equal, different if they differ.

Taking a fingerprint of a small entry costs less than finding its memory. So the memory of an entry that is looked at
again is kept as a `View`, and a check of every tensor makes sure that it is the same memory still.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import torch
import xxhash

from kvparity.values.entry import check, device_of, read, row_of, write_token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# numpy lacks bfloat16 and the 8-bit floats: their bytes are read as integers of the same width.
_NUMPY_LACKS = {2: torch.int16, 1: torch.uint8, 4: torch.int32, 8: torch.int64}
_NUMPY_HAS = frozenset(
    {
        torch.float16, torch.float32, torch.float64, torch.int8, torch.int16, torch.int32, torch.int64,
        torch.uint8, torch.bool, torch.complex64, torch.complex128,
    }
)  # fmt: skip

# Tensors up to this size are copied into one row and hashed at once: the copy takes less time than a call per tensor.
_STACK_BYTES = 8192
_MOST_HEADERS = 1024
_CPU = torch.device("cpu")
_INTEGERS = {int}
_FILLS = 113
_STRIDE = 7919  # a prime, so that scribbles reach all of a tensor

Look: TypeAlias = "tuple[bytes, torch.device | None]"

# By id. Another object may have the same id later: the checks of a view notice that.
_MET: dict[int, weakref.ref[Any]] = {}  # objects that were looked at
_VIEWS: dict[int, View] = {}  # of those that were looked at again


class Fingerprints(Protocol):
    """Takes fingerprints.

    Both methods return the fingerprint and the device of all tensors, which is None if they are on several.
    """

    def look(self, value: Any) -> Look:
        """The fingerprint of `value`.

        Raises:
            Exception: `value` is no entry, or its memory cannot be read.
        """

    def look_at_row(self, row: torch.Tensor, sizes: Sequence[int]) -> Look:
        """The fingerprint of the entry whose tensors are the slices of `row` `[2 * L, N, H, T, D]`, contiguous."""


class Undecided:
    """Takes the first fingerprint, whose device decides who takes the others.

    Args:
        decide: chooses by the device, and puts its choice in the place of this object.
    """

    def __init__(self, decide: Callable[[torch.device | None], Fingerprints]) -> None:
        self._decide = decide

    def look(self, value: Any) -> Look:
        """See `Fingerprints`."""
        return self._decide(device_of(value)).look(value)

    def look_at_row(self, row: torch.Tensor, sizes: Sequence[int]) -> Look:
        """See `Fingerprints`."""
        return self._decide(row.device).look_at_row(row, sizes)


class HostFingerprints:
    """Takes fingerprints at once, by xxh3-128, of memory that the CPU can read."""

    def __init__(self) -> None:
        self._row: tuple[torch.Tensor, View] | None = None

    def look(self, value: Any) -> Look:
        """See `Fingerprints`."""
        view = _VIEWS.get(id(value))
        digest = None if view is None else view.fingerprint(value)
        if view is None or digest is None:
            return _taken_anew(value), device_of(value)
        return digest, view.device

    def look_at_row(self, row: torch.Tensor, sizes: Sequence[int]) -> Look:
        """See `Fingerprints`. It is fast if each call has the same row."""
        if self._row is None or self._row[0] is not row:
            tensors = list(row.unbind(0))
            if not _is_readable(row):
                return _hashed(tensors, [row], tuple(sizes)), row.device
            self._row = row, View(tensors, [raw_bytes(row)])
        return self._row[1].digest(tuple(sizes)), _CPU


def fingerprint(value: Any) -> bytes:
    """16 bytes: xxh3-128 over dtype, shape and size of each tensor and all raw bytes.

    Bytes, not numbers: a NaN equals a NaN with the same bits, -0.0 differs from 0.0, and padding counts.

    Raises:
        NotKeysValuesError: `value` is no entry.
    """
    view = _VIEWS.get(id(value))
    return (None if view is None else view.fingerprint(value)) or _taken_anew(value)


def _taken_anew(value: Any) -> bytes:
    tensors, sizes = read(value)
    if {*map(type, sizes)} != _INTEGERS:
        check(value)  # 1.0 and True equal 1, but are no sizes
    view = _remember(value, tensors)
    if view is not None:
        return view.digest(tuple(sizes))
    memory = tensors
    if tensors and tensors[0].nbytes <= _STACK_BYTES and len({(tensor.dtype, tensor.shape) for tensor in tensors}) == 1:
        memory = [torch.stack(tensors)]
    return _hashed(tensors, memory, tuple(sizes))


def _hashed(tensors: list[torch.Tensor], memory: list[torch.Tensor], sizes: tuple[int, ...]) -> bytes:
    digest = xxhash.xxh3_128(headers(tuple([t.dtype for t in tensors]), tuple([t.shape for t in tensors]))[sizes])
    for part in memory:
        digest.update(raw_bytes(part))
    return digest.digest()


def _is_readable(tensor: torch.Tensor) -> bool:
    """Whether numpy can read the memory of the tensor without a copy."""
    return tensor.device.type == "cpu" and tensor.is_contiguous() and not tensor.is_conj() and not tensor.is_neg()


class Headers(dict[tuple[int, ...], bytes]):
    """For entries of the same dtypes and shapes: by sizes, the description with which a fingerprint begins."""

    def __init__(self, dtypes: tuple[torch.dtype, ...], shapes: tuple[torch.Size, ...]) -> None:
        self._kinds = [f"{dtype},{tuple(shape)}" for dtype, shape in zip(dtypes, shapes, strict=True)]

    def __missing__(self, sizes: tuple[int, ...]) -> bytes:
        if len(self) >= _MOST_HEADERS:
            self.clear()
        made = self[sizes] = ";".join(
            [f"{kind},{size}" for kind, size in zip(self._kinds, sizes, strict=True)]
        ).encode()
        return made


headers = lru_cache(maxsize=256)(Headers)


class View:
    """The memory of an entry, valid as long as the entry has the same tensors.

    It costs more to make than hashing a small entry. It needs memory that numpy can read without a copy.

    Args:
        tensors: the `2 * L` tensors `[N, H, T, D]` of the entry.
        arrays: numpy arrays over their memory, in order; one array if the tensors are the slices of one row.

    Attributes:
        octets: the memory as bytes, one view for each array.
        device: the device of all tensors.
    """

    __slots__ = ("_headers", "_layers", "device", "octets")

    def __init__(self, tensors: list[torch.Tensor], arrays: list[Any]) -> None:
        # A second tensor on the same memory shows whether the first was re-pointed or transposed in place.
        known = [(tensor, tensor.detach(), tensor.dtype) for tensor in tensors]
        self._layers = [(*k, *v) for k, v in zip(known[::2], known[1::2], strict=True)]
        self._headers = headers(tuple([t.dtype for t in tensors]), tuple([t.shape for t in tensors]))
        self.octets = [memoryview(array).cast("B") if array.size else memoryview(bytearray()) for array in arrays]
        self.device = _CPU

    @classmethod
    def of(cls, value: Any, tensors: list[torch.Tensor]) -> View | None:
        """The view of `value`, whose tensors these are; None if some bytes cannot be read without a copy."""
        if not tensors or not all([_is_readable(tensor) for tensor in tensors]):
            return None
        row = row_of(value)
        if row is not None and all([t.is_set_to(part) for t, part in zip(tensors, row.unbind(0), strict=True)]):
            return cls(tensors, [raw_bytes(row)])
        return cls(tensors, [raw_bytes(tensor) for tensor in tensors])

    def fingerprint(self, value: Any) -> bytes | None:
        """The fingerprint of `value`; None if it has other tensors now, or they have another memory, shape or dtype."""
        layers, known = value._keys_values, self._layers
        if len(layers) != len(known):
            return None
        sizes: tuple[int, ...] = ()
        at = 0
        for layer in layers:  # zip and enumerate would take as long as a comparison
            k, k_was, k_dtype, v, v_was, v_dtype = known[at]
            at += 1  # noqa: SIM113
            k_cache, v_cache = layer._k_cache, layer._v_cache
            if (
                k_cache._cache is not k
                or v_cache._cache is not v
                or not k.is_set_to(k_was)
                or not v.is_set_to(v_was)
                or k.dtype is not k_dtype
                or v.dtype is not v_dtype
            ):
                return None
            sizes += (k_cache._size, v_cache._size)
        digest = xxhash.xxh3_128(self._headers[sizes])
        for octets in self.octets:
            digest.update(octets)
        return digest.digest()

    def digest(self, sizes: tuple[int, ...]) -> bytes:
        """The fingerprint of the present content of the memory, with these sizes."""
        digest = xxhash.xxh3_128(self._headers[sizes])
        for octets in self.octets:
            digest.update(octets)
        return digest.digest()


def _remember(value: Any, tensors: list[torch.Tensor]) -> View | None:
    """A view of `value` for this look and the next. None at the first look: many caches lend a new object each time."""
    key = id(value)
    met = _MET.get(key)
    if met is None or met() is not value:
        _VIEWS.pop(key, None)
        with suppress(TypeError):  # not every class allows weak references
            _MET[key] = weakref.ref(value, partial(_forget, key))
        return None
    view = View.of(value, tensors)
    if view is None:
        _VIEWS.pop(key, None)
    else:
        _VIEWS[key] = view
    return view


def _forget(key: int, _: weakref.ref[Any]) -> None:
    _MET.pop(key, None)
    _VIEWS.pop(key, None)


def raw_bytes(tensor: torch.Tensor) -> Any:
    """The tensor as a C-contiguous numpy array: a view of its memory if possible, otherwise a copy.

    Dtypes that numpy lacks (bfloat16, the 8-bit floats) become integers of the same width.
    """
    if tensor.requires_grad:
        tensor = tensor.detach()
    if not tensor.is_contiguous() or tensor.is_conj() or tensor.is_neg():
        tensor = tensor.resolve_conj().resolve_neg().contiguous()
    if tensor.dtype not in _NUMPY_HAS:
        tensor = tensor.view(_NUMPY_LACKS[tensor.element_size()])
    if tensor.device.type != "cpu":
        tensor = tensor.cpu()
    return tensor.numpy()


def scribble(value: Any, turn: int) -> None:
    """Change one number and one size of `value` in place, after it was looked at; `turn` decides which ones."""
    layers = value._keys_values
    layer = layers[turn // 2 % len(layers)]
    cache = layer._v_cache if turn % 2 else layer._k_cache
    view = _VIEWS.get(id(value))
    if view is None:
        write_token(cache, turn % _FILLS + 1)
        return
    octets = view.octets[turn % len(view.octets)]
    if octets:
        octets[turn * _STRIDE % len(octets)] ^= 0xFF
    cache._size = (cache._size + 1) % (cache._cache.shape[-2] + 1)
