"""What tells entries apart: the fingerprint of an entry, and the bytes of its memory that it is taken of."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import xxhash

from harness.values import KeysValues, read, row_of, write_token

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


def fingerprint(value: Any) -> bytes:
    """16 bytes that tell entries apart: xxh3-128 over dtype, shape and size of each tensor and all raw bytes.

    Bytes, not numbers: a NaN equals the same NaN, -0.0 differs from 0.0, padding counts.
    """
    if type(value) is KeysValues:
        known = value._bytes
        if known is None or not known.still_of(value):
            known = value._bytes = _Bytes.of(value)
        if known is not None:
            return known.fingerprint(value)
    tensors, sizes = read(value)
    dtypes, shapes = tuple([t.dtype for t in tensors]), tuple([t.shape for t in tensors])
    digest = xxhash.xxh3_128(_header(dtypes, shapes, tuple(sizes)))
    if tensors and tensors[0].nbytes <= _STACK_BYTES and len(set(dtypes)) == len(set(shapes)) == 1:
        tensors = [torch.stack(tensors)]
    for tensor in tensors:
        digest.update(raw_bytes(tensor))
    return digest.digest()


class _Bytes:
    """Views of the memory behind a `KeysValues`, kept while its tensors stay the same ones.

    To make them costs more than to hash a small entry. Only for memory that numpy can look at as it is.
    """

    __slots__ = ("_arrays", "_header", "_kinds", "_sizes", "_tensors")

    def __init__(self, tensors: list[torch.Tensor], arrays: list[Any]) -> None:
        self._tensors = [(tensor, tensor.data_ptr(), tensor.shape) for tensor in tensors]
        self._kinds = tuple(t.dtype for t in tensors), tuple(t.shape for t in tensors)
        self._arrays = arrays
        self._sizes: tuple[int, ...] = ()
        self._header = b""

    @classmethod
    def of(cls, value: KeysValues) -> _Bytes | None:
        """The views of `value`; None where some tensor's bytes cannot be seen without a copy."""
        tensors, _ = read(value)
        if not all(
            [t.device.type == "cpu" and t.is_contiguous() and not t.is_conj() and not t.is_neg() for t in tensors]
        ):
            return None
        row = row_of(value)
        return cls(tensors, [raw_bytes(row)] if row is not None else [raw_bytes(tensor) for tensor in tensors])

    def still_of(self, value: KeysValues) -> bool:
        """Whether `value` still has the tensors that were looked at, and these the same memory and shape."""
        known = iter(self._tensors)
        if 2 * len(value._keys_values) != len(self._tensors):
            return False
        for layer in value._keys_values:
            for cache in (layer._k_cache, layer._v_cache):
                tensor, pointer, shape = next(known)
                if cache._cache is not tensor or tensor.data_ptr() != pointer or tensor.shape != shape:
                    return False
        return True

    def scribble(self, turn: int) -> None:
        """Invert the bits of one byte."""
        array = self._arrays[turn % len(self._arrays)]
        if array.size:
            octets = memoryview(array).cast("B")
            at = turn * _STRIDE % array.nbytes
            octets[at] ^= 0xFF

    def fingerprint(self, value: KeysValues) -> bytes:
        """See the function of that name."""
        sizes: list[int] = []
        for layer in value._keys_values:
            sizes += (layer._k_cache._size, layer._v_cache._size)
        if (lengths := tuple(sizes)) != self._sizes or not self._header:
            self._sizes, self._header = lengths, _header(*self._kinds, lengths)
        digest = xxhash.xxh3_128(self._header)
        for array in self._arrays:
            digest.update(array)
        return digest.digest()


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
    """Change one number and one size of `value` in place; which ones goes with `turn`."""
    layers = value._keys_values
    layer = layers[turn // 2 % len(layers)]
    cache = layer._v_cache if turn % 2 else layer._k_cache
    known = value._bytes if type(value) is KeysValues else None
    if known is None:
        write_token(cache, turn % _FILLS + 1)
        return
    known.scribble(turn)
    cache._size = (cache._size + 1) % (cache._cache.shape[-2] + 1)


@lru_cache(maxsize=1024)
def _header(dtypes: tuple[torch.dtype, ...], shapes: tuple[torch.Size, ...], sizes: tuple[int, ...]) -> bytes:
    parts = zip(dtypes, shapes, sizes, strict=True)
    return ";".join(f"{dtype},{tuple(shape)},{size}" for dtype, shape, size in parts).encode()
