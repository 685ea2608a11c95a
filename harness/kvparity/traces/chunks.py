"""How a trace cuts values into parts, packs the parts into chunks, and joins the values again.

A part is one token of all tensors of a value, or one whole tensor. Parts of the same length that are written one after
the other make up one chunk, and the address of a part is `chunk << INDEX_BITS | index`. Schema 1 has a row for each
part, with an index of their digests: a tenth to a third more room, and most of the time of writing.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
import xxhash

from kvparity.values.entry import KeysValues

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Load: TypeAlias = Callable[[int, int], memoryview]

INDEX_BITS = 20
_LARGEST_VALUE_BYTES = 1 << 31
_MOST_TENSORS, _MOST_AXES = 1 << 16, 64
_SHOWN = 200  # characters of a description in a message
_DTYPE = re.compile(r"bool|(bfloat|float|complex|u?int)(8|16|32|64|128)(_\w+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the parts of a value make up its tensors.

    Attributes:
        dtypes: of each tensor, in the order of `kvparity.values.entry.read`.
        shapes: of each tensor.
        by_token: True if part `t` is token `t` of all tensors (which then have the same dtype and shape); False if each
            part is a whole tensor.
    """

    dtypes: tuple[torch.dtype, ...]
    shapes: tuple[tuple[int, ...], ...]
    by_token: bool

    @classmethod
    def parse(cls, description: str) -> Layout:
        """Parse the JSON in a trace.

        Raises:
            ValueError: it is no layout, or the value is too large to read.
            KeyError: a field is missing.
        """
        fields = json.loads(description)
        names, shapes, by_token = fields["dtypes"], tuple(map(tuple, fields["shapes"])), fields["by_token"]
        if len(names) > _MOST_TENSORS or max(map(len, shapes), default=0) > _MOST_AXES:
            raise ValueError(f"layout {_begin(description)} has too many tensors or axes")
        found = [getattr(torch, name, None) for name in names if _DTYPE.fullmatch(name)]
        dtypes = tuple(dtype for dtype in found if isinstance(dtype, torch.dtype))
        if not len(dtypes) == len(names) == len(shapes):
            raise ValueError(f"layout {_begin(description)} does not have a known dtype and a shape for each tensor")
        if not all(type(n) is int and 0 <= n <= _LARGEST_VALUE_BYTES for shape in shapes for n in shape):
            raise ValueError(f"layout {_begin(description)} has a shape that is impossible")
        # Even an empty tensor has strides, and these overflow if its other axes are huge.
        pairs = zip(dtypes, shapes, strict=True)
        sizes = [math.prod(max(n, 1) for n in shape) * dtype.itemsize for dtype, shape in pairs]
        if sum(sizes) > _LARGEST_VALUE_BYTES:
            raise ValueError(f"layout {_begin(description)} is larger than 2 GiB, the most that a value may have")
        if by_token and (len(set(dtypes)) != 1 or len(set(shapes)) != 1 or len(shapes[0]) != 4):  # noqa: PLR2004
            raise ValueError(f"layout {_begin(description)} cannot be cut into tokens")
        return cls(dtypes=dtypes, shapes=shapes, by_token=bool(by_token))

    @property
    def size_bytes(self) -> int:
        """Bytes of all tensors of one value."""
        return sum(_size_bytes(shape, dtype) for shape, dtype in zip(self.shapes, self.dtypes, strict=True))

    def join(self, addresses: Sequence[int], sizes: Sequence[int], load: Load) -> KeysValues:
        """Make the value from the parts that `load` gives for each address and length; the tensors own their memory.

        Never loads more than the value has room for.

        Raises:
            ValueError: the number of addresses is wrong, or a part has another length.
        """
        if self.by_token:
            samples, heads, tokens, head_dim = self.shapes[0]
            if len(addresses) != tokens:
                raise ValueError(f"{len(addresses)} chunks where {tokens} tokens were expected")
            token, dtype = (len(self.shapes), samples, heads, head_dim), self.dtypes[0]
            length = _size_bytes(token, dtype)
            loaded = [load(address, length) for address in addresses]
            for part in loaded:
                if len(part) != length:
                    raise _wrong_length(part, dtype, token)
            flat = _tensor(bytearray().join(loaded), dtype, (tokens, *token))
            return KeysValues.from_row(flat.permute(1, 2, 3, 0, 4).contiguous(), sizes)
        if len(addresses) != len(self.shapes):
            raise ValueError(f"{len(addresses)} chunks where {len(self.shapes)} tensors were expected")
        tensors = []
        for address, dtype, shape in zip(addresses, self.dtypes, self.shapes, strict=True):
            part = load(address, length := _size_bytes(shape, dtype))
            if len(part) != length:
                raise _wrong_length(part, dtype, shape)
            tensors.append(_tensor(bytearray(part), dtype, shape))
        return KeysValues(tensors, sizes)


def _begin(description: str) -> str:
    return description if len(description) <= _SHOWN else f"{description[:_SHOWN]}..."


def _size_bytes(shape: tuple[int, ...], dtype: torch.dtype) -> int:
    return math.prod(shape) * dtype.itemsize


def _wrong_length(data: memoryview, dtype: torch.dtype, shape: tuple[int, ...]) -> ValueError:
    return ValueError(f"{len(data)} bytes where a tensor {list(shape)} of {dtype} was expected")


def _tensor(data: bytearray, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.frombuffer(data, dtype=dtype).reshape(shape) if data else torch.empty(shape, dtype=dtype)


def digest_of(data: bytes | bytearray, chunk: int) -> bytes:
    """The digest of a chunk. Its number is the seed, so that equal chunks have different digests: they are unique."""
    return xxhash.xxh3_128_digest(data, seed=chunk)


def stand_in(digest: bytes) -> KeysValues:
    """A small value made from a fingerprint: different fingerprints give different values.

    Its elements are the bytes of the fingerprint as float32, so that a cache may cast them to the default dtype.
    """
    numbers = torch.frombuffer(bytearray(digest), dtype=torch.uint8).to(torch.float32)
    return KeysValues.from_row(numbers.reshape(2, 1, 1, 4, 2), (4, 4))
