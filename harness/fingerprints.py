"""What tells entries apart: an entry's fingerprint, and the views of its memory that it is taken of."""

from __future__ import annotations

import weakref
from contextlib import suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import torch
import xxhash

from harness.values import device_of, read, row_of, write_token

if TYPE_CHECKING:
    from collections.abc import Sequence

# numpy has no such types: their bytes are read through an integer of the same width.
_NUMPY_LACKS = {2: torch.int16, 1: torch.uint8, 4: torch.int32, 8: torch.int64}
_NUMPY_HAS = frozenset(
    {
        torch.float16, torch.float32, torch.float64, torch.int8, torch.int16, torch.int32, torch.int64,
        torch.uint8, torch.bool, torch.complex64, torch.complex128,
    }
)  # fmt: skip

# Tensors up to this size are copied into one row and hashed at once: the copy costs less than a call per tensor.
_STACK_BYTES = 8192
_FILLS = 113
_STRIDE = 7919  # a prime, so that scribbles wander over all of a tensor

Look: TypeAlias = "tuple[bytes, torch.device | None]"


class Fingerprints(Protocol):
    """Takes fingerprints, which are equal where entries are, and differ where these differ.

    Both methods return the fingerprint, and the device that all tensors are on: None where they are on several.
    """

    def look(self, value: Any) -> Look:
        """Look at `value`.

        Raises:
            Exception: it is no entry, or its memory cannot be read.
        """

    def look_at_row(self, row: torch.Tensor, sizes: Sequence[int]) -> Look:
        """Look at the entry whose tensors are the slices of `row` `[2 * L, N, H, T, D]`, which is contiguous."""


class HostFingerprints:
    """Fingerprints by xxh3-128, taken at once of memory that the CPU reads."""

    def __init__(self) -> None:
        self._row: tuple[torch.Tensor, View] | None = None

    def look(self, value: Any) -> Look:
        """See `Fingerprints`."""
        view = known_view(value)
        digest = None if view is None else view.fingerprint(value)
        if view is None or digest is None:
            return _taken_anew(value), device_of(value)
        return digest, view.device

    def look_at_row(self, row: torch.Tensor, sizes: Sequence[int]) -> Look:
        """See `Fingerprints`. One and the same row, again and again, is looked at fast."""
        if self._row is None or self._row[0] is not row:
            self._row = row, View(list(row.unbind(0)), [raw_bytes(row)])
        return self._row[1].digest(tuple(sizes)), row.device


def fingerprint(value: Any) -> bytes:
    """16 bytes that tell entries apart: xxh3-128 over dtype, shape and size of each tensor and all raw bytes.

    Bytes, not numbers: a NaN equals the same NaN, -0.0 differs from 0.0, padding counts.
    """
    view = known_view(value)
    return (None if view is None else view.fingerprint(value)) or _taken_anew(value)


def _taken_anew(value: Any) -> bytes:
    tensors, sizes = read(value)
    view = _remember(value, tensors)
    if view is not None:
        return view.digest(tuple(sizes))
    dtypes, shapes = tuple([t.dtype for t in tensors]), tuple([t.shape for t in tensors])
    digest = xxhash.xxh3_128(header(dtypes, shapes, tuple(sizes)))
    if tensors and tensors[0].nbytes <= _STACK_BYTES and len(set(dtypes)) == len(set(shapes)) == 1:
        tensors = [torch.stack(tensors)]
    for tensor in tensors:
        digest.update(raw_bytes(tensor))
    return digest.digest()


@lru_cache(maxsize=1024)
def header(dtypes: tuple[torch.dtype, ...], shapes: tuple[torch.Size, ...], sizes: tuple[int, ...]) -> bytes:
    """What a fingerprint begins with."""
    parts = zip(dtypes, shapes, sizes, strict=True)
    return ";".join(f"{dtype},{tuple(shape)},{size}" for dtype, shape, size in parts).encode()


class View:
    """The memory behind an entry, kept while its tensors stay the same ones.

    To make one costs more than to hash a small entry. Only for memory that numpy can look at as it is.

    Args:
        tensors: of the entry.
        arrays: over their memory, in order; one array for all where they are the slices of one row.
    """

    __slots__ = ("_arrays", "_header", "_kinds", "_layers", "_sizes", "device")

    def __init__(self, tensors: list[torch.Tensor], arrays: list[Any]) -> None:
        # Beside each tensor another one of the same memory: it shows when the first is re-pointed or turned in place.
        known = [(tensor, tensor.detach(), tensor.dtype) for tensor in tensors]
        self._layers = [(*k, *v) for k, v in zip(known[::2], known[1::2], strict=True)]
        self._kinds = tuple([t.dtype for t in tensors]), tuple([t.shape for t in tensors])
        self._arrays = arrays
        self._sizes: tuple[int, ...] | None = None
        self._header = b""
        self.device = tensors[0].device

    @classmethod
    def of(cls, value: Any, tensors: list[torch.Tensor]) -> View | None:
        """The view of `value`, which has these tensors; None where some bytes cannot be seen without a copy."""
        if not tensors or not all(
            [t.device.type == "cpu" and t.is_contiguous() and not t.is_conj() and not t.is_neg() for t in tensors]
        ):
            return None
        row = row_of(value)
        if row is not None and all([t.is_set_to(part) for t, part in zip(tensors, row.unbind(0), strict=True)]):
            return cls(tensors, [raw_bytes(row)])
        return cls(tensors, [raw_bytes(tensor) for tensor in tensors])

    def fingerprint(self, value: Any) -> bytes | None:
        """The fingerprint of `value`; None where it has other tensors by now, or these other memory, shape or dtype."""
        sizes: list[int] = []
        layers = value._keys_values
        if len(layers) != len(self._layers):
            return None
        for layer, (k, k_was, k_dtype, v, v_was, v_dtype) in zip(layers, self._layers, strict=True):
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
        return self.digest(tuple(sizes))

    def digest(self, sizes: tuple[int, ...]) -> bytes:
        """The fingerprint of what the memory holds now, with these sizes."""
        if sizes != self._sizes:
            self._sizes, self._header = sizes, header(*self._kinds, sizes)
        digest = xxhash.xxh3_128(self._header)
        for array in self._arrays:
            digest.update(array)
        return digest.digest()

    def scribble(self, turn: int) -> None:
        """Invert the bits of one byte."""
        array = self._arrays[turn % len(self._arrays)]
        if array.size:
            octets = memoryview(array).cast("B")
            at = turn * _STRIDE % array.nbytes
            octets[at] ^= 0xFF


_MET: dict[int, weakref.ref[Any]] = {}  # by id: what was looked at once
_VIEWS: dict[int, View] = {}  # by id, of these: what was looked at again


def known_view(value: Any) -> View | None:
    """The view from an earlier look at `value`. Its own checks tell whether it still is one of `value`."""
    return _VIEWS.get(id(value))


def _remember(value: Any, tensors: list[torch.Tensor]) -> View | None:
    """A view for this look and the next ones. Not at the first: many caches lend a new object each time."""
    key = id(value)
    met = _MET.get(key)
    if met is None or met() is not value:
        _VIEWS.pop(key, None)
        with suppress(TypeError):  # not every class lets itself be referred to weakly
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
    """A C-contiguous numpy array over the tensor's bytes: a view where it can be, a copy where it must.

    Types that numpy lacks (bfloat16, the 8-bit floats) come as integers of the same width.
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
    """Change one number and one size of `value`, which was just looked at, in place; which ones goes with `turn`."""
    layers = value._keys_values
    layer = layers[turn // 2 % len(layers)]
    cache = layer._v_cache if turn % 2 else layer._k_cache
    view = known_view(value)
    if view is None:
        write_token(cache, turn % _FILLS + 1)
        return
    view.scribble(turn)
    cache._size = (cache._size + 1) % (cache._cache.shape[-2] + 1)
