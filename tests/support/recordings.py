"""Recordings of a few operations, for tests of what writes traces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from kvparity.caches.protocol import CacheSpec
from kvparity.operations import Operation, Set
from kvparity.traces.reader import Answer, Recorded, Trace
from kvparity.traces.writer import TraceWriter
from kvparity.values.entry import KeysValues
from kvparity.values.fingerprints import fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SPEC = CacheSpec(env_num=4, init_pool_size=3, num_simulations=4)
SHAPE = (1, 2, 4, 3)
DTYPES = [
    torch.float16, torch.float32, torch.float64, torch.bfloat16, torch.complex64, torch.complex128,
    torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool,
    *(getattr(torch, name) for name in dir(torch) if name.startswith("float8_")),
]  # fmt: skip


def numbers(seed: int, *, shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A tensor of random bytes."""
    generator = torch.Generator().manual_seed(seed)
    if dtype == torch.bool:
        return torch.randint(0, 2, shape, generator=generator).bool()
    octets = torch.randint(0, 256, (*shape[:-1], shape[-1] * dtype.itemsize), dtype=torch.uint8, generator=generator)
    return octets.view(dtype)


def entry(seed: int, *, dtype: torch.dtype = torch.float32) -> KeysValues:
    """Two layers in one row, each K and V of another size."""
    return KeysValues.from_row(numbers(seed, shape=(4, *SHAPE), dtype=dtype), (0, 1, 2, 4))


def hit(seed: int, source: str | None = None) -> Answer:
    """An answer that is the entry of that seed."""
    return Answer(fingerprint=fingerprint(entry(seed)), source=source)


def recorded(
    path: Path, operations: Sequence[Operation | tuple[Operation, Answer | None]], **options: Any
) -> list[Recorded]:
    """What is read back after recording these operations, some with answers, as one stream."""
    with TraceWriter(path, **{"served_by": "test", **options}) as writer:
        stream = writer.stream("only", SPEC)
        for each in operations:
            writer.record(stream, *(each if isinstance(each, tuple) else (each,)))
    with Trace(path) as trace:
        assert trace.header.complete
        return list(trace)


def values(found: Sequence[Recorded]) -> list[Any]:
    """Those of the sets."""
    return [each.operation.value for each in found if isinstance(each.operation, Set)]
