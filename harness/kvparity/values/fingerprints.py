"""What tells entries apart: an entry's fingerprint, and the views of its memory that it is taken of."""

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
_MOST_HEADERS = 1024
_CPU = torch.device("cpu")
_INTEGERS = {int}
_FILLS = 113
_STRIDE = 7919  # a prime, so that scribbles wander over all of a tensor

Look: TypeAlias = "tuple[bytes, torch.device | None]"

# By id. A view's own checks tell whether it still is one of the object that has that id now.
_MET: dict[int, weakref.ref[Any]] = {}  # what was looked at once
_VIEWS: dict[int, View] = {}  # of these, what was looked at again


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


class Undecided:
    """Stands for what takes fingerprints until the first entry comes, whose device decides.

    Args:
        decide: chooses for a device, and makes sure that this is not asked again.
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
    """Fingerprints by xxh3-128, taken at once of memory that the CPU reads."""

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
        """See `Fingerprints`. One and the same row, again and again, is looked at fast."""
        if self._row is None or self._row[0] is not row:
            tensors = list(row.unbind(0))
            if not _can_be_seen(row):
                return _hashed(tensors, [row], tuple(sizes)), row.device
            self._row = row, View(tensors, [raw_bytes(row)])
        return self._row[1].digest(tuple(sizes)), _CPU


def fingerprint(value: Any) -> bytes:
    """16 bytes that tell entries apart: xxh3-128 over dtype, shape and size of each tensor and all raw bytes.

    Bytes, not numbers: a NaN equals the same NaN, -0.0 differs from 0.0, padding counts.
    """
    view = _VIEWS.get(id(value))
    return (None if view is None else view.fingerprint(value)) or _taken_anew(value)


def _taken_anew(value: Any) -> bytes:
    tensors, sizes = read(value)
    if {*map(type, sizes)} != _INTEGERS:
        check(value)  # 1.0 and True equal 1, and are no sizes
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


def _can_be_seen(tensor: torch.Tensor) -> bool:
    """Whether numpy can look at its memory as it is."""
    return tensor.device.type == "cpu" and tensor.is_contiguous() and not tensor.is_conj() and not tensor.is_neg()


class Headers(dict[tuple[int, ...], bytes]):
    """What the fingerprints of entries of one kind begin with, by valid lengths."""

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
    """The memory behind an entry, kept while its tensors stay the same ones.

    To make one costs more than to hash a small entry. Only for memory that numpy can look at as it is.

    Args:
        tensors: of the entry.
        arrays: over their memory, in order; one array for all where they are the slices of one row.

    Attributes:
        octets: the memory, byte by byte.
        device: of all tensors.
    """

    __slots__ = ("_headers", "_layers", "device", "octets")

    def __init__(self, tensors: list[torch.Tensor], arrays: list[Any]) -> None:
        # Beside each tensor another one of the same memory: it shows when the first is re-pointed or turned in place.
        known = [(tensor, tensor.detach(), tensor.dtype) for tensor in tensors]
        self._layers = [(*k, *v) for k, v in zip(known[::2], known[1::2], strict=True)]
        self._headers = headers(tuple([t.dtype for t in tensors]), tuple([t.shape for t in tensors]))
        self.octets = [memoryview(array).cast("B") if array.size else memoryview(bytearray()) for array in arrays]
        self.device = _CPU

    @classmethod
    def of(cls, value: Any, tensors: list[torch.Tensor]) -> View | None:
        """The view of `value`, which has these tensors; None where some bytes cannot be seen without a copy."""
        if not tensors or not all([_can_be_seen(tensor) for tensor in tensors]):
            return None
        row = row_of(value)
        if row is not None and all([t.is_set_to(part) for t, part in zip(tensors, row.unbind(0), strict=True)]):
            return cls(tensors, [raw_bytes(row)])
        return cls(tensors, [raw_bytes(tensor) for tensor in tensors])

    def fingerprint(self, value: Any) -> bytes | None:
        """The fingerprint of `value`; None where it has other tensors by now, or these other memory, shape or dtype."""
        layers, known = value._keys_values, self._layers
        if len(layers) != len(known):
            return None
        sizes: tuple[int, ...] = ()
        at = 0
        for layer in layers:  # zip and enumerate would cost as much as a comparison
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
        """The fingerprint of what the memory holds now, with these sizes."""
        digest = xxhash.xxh3_128(self._headers[sizes])
        for octets in self.octets:
            digest.update(octets)
        return digest.digest()


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
    view = _VIEWS.get(id(value))
    if view is None:
        write_token(cache, turn % _FILLS + 1)
        return
    octets = view.octets[turn % len(view.octets)]
    if octets:
        octets[turn * _STRIDE % len(octets)] ^= 0xFF
    cache._size = (cache._size + 1) % (cache._cache.shape[-2] + 1)
