"""Entries in our own classes and in LightZero's, of random bytes and of chosen numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from kvparity.values.entry import KeysValues, read

if TYPE_CHECKING:
    from collections.abc import Sequence

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
