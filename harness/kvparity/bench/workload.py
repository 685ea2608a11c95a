"""`Workload`: the operations of a scenario or a trace, in memory. All caches are driven with the same ones."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import torch

from kvparity.errors import UsageError
from kvparity.operations import Set
from kvparity.registry import SCENARIOS, TRACES, installed, load_scenario, trace_path
from kvparity.traces.reader import Trace
from kvparity.values.entry import KeysValues, describe, size_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kvparity.caches.protocol import CacheSpec
    from kvparity.operations import Operation

MOST_BYTES = 512 * 1024 * 1024
_STAND_INS = 64  # used in turn, so that a value is neither always nor never in the processor's cache

Streamed: TypeAlias = tuple[int, "Operation"]


class Shape(NamedTuple):
    """The shape of an entry: `[L, H, T, D]`."""

    layers: int
    heads: int
    tokens: int
    head_dim: int

    def __str__(self) -> str:
        return "x".join(map(str, self))


CARTPOLE = Shape(layers=2, heads=2, tokens=8, head_dim=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Operations for one or several caches.

    Attributes:
        name: of the scenario or trace.
        specs: by stream, the sizes of its cache; a scenario has one stream, 0.
        operations: each with the number of its stream.
        offered: number of operations that the scenario or trace has; None if they never end.
        values: the values in words.
    """

    name: str
    specs: dict[int, CacheSpec]
    operations: tuple[Streamed, ...]
    offered: int | None
    values: str


def load(name: str, *, steps: int, seed: int, entry: Shape | None = None) -> Workload:
    """The first `steps` operations of a scenario or a trace; fewer if their values would take more than `MOST_BYTES`.

    Args:
        name: of a scenario or a bundled trace, or a path.
        steps: the most operations.
        seed: of a scenario.
        entry: the shape of all values; None keeps the workload's own. A trace of fingerprints has no values. Without
            `entry`, they get CartPole UniZero's shape.

    Raises:
        UsageError: neither a scenario nor a trace has that name, or it has no operations.
        TraceError: the trace is damaged.
    """
    path = trace_of(name)
    if path is None:
        scenario = load_scenario(name)
        endless = ((0, operation) for operation in scenario.operations(seed))
        return _taken(name, {0: scenario.spec}, endless, steps=steps, offered=None, entry=entry)
    with Trace(path) as trace:
        if trace.header.tensors == "fingerprint":
            entry = entry or CARTPOLE
        specs = {number: stream.spec for number, stream in trace.streams.items()}
        recorded = ((each.stream, each.operation) for each in trace.operations(0, steps))
        return _taken(name, specs, recorded, steps=steps, offered=len(trace), entry=entry)


def trace_of(name: str) -> Path | None:
    """The file of the trace of that name; None if the name is a scenario's.

    Raises:
        UsageError: neither a scenario nor a trace has that name.
    """
    if name in installed(SCENARIOS):
        return None
    if name in installed(TRACES) or Path(name).exists():
        return trace_path(name)
    if ":" in name:
        return None
    nearest = difflib.get_close_matches(name, [*installed(SCENARIOS), *installed(TRACES)], n=1, cutoff=0.0)
    hint = f": did you mean {nearest[0]}?" if nearest else ""
    raise UsageError(f"there is no scenario and no trace {name!r}{hint}")


def _taken(
    name: str,
    specs: dict[int, CacheSpec],
    operations: Iterable[Streamed],
    *,
    steps: int,
    offered: int | None,
    entry: Shape | None,
) -> Workload:
    stand_ins = None if entry is None else cycle(_stand_ins(entry))
    taken: list[Streamed] = []
    value_bytes, kinds = 0, dict[str, None]()
    for stream, operation in operations:
        if isinstance(operation, Set):
            if stand_ins is not None:
                operation = replace(operation, value=next(stand_ins))  # noqa: PLW2901
            else:
                value_bytes += size_bytes(operation.value)
            kinds.setdefault(describe(operation.value).partition(", size")[0])
        if value_bytes > MOST_BYTES:
            break
        taken.append((stream, operation))
        if len(taken) == steps:
            break
    if not taken:
        raise UsageError(f"{name} has no operations: there is nothing to measure")
    values = f"{len(kinds)} kinds of values" if len(kinds) > 1 else next(iter(kinds), "no values")
    return Workload(
        name=name,
        specs=specs,
        operations=tuple(taken),
        offered=offered,
        values=values if entry is None else f"{values}, standing in for its own",
    )


def _stand_ins(shape: Shape) -> Iterator[KeysValues]:
    """Random values of that shape; half of their tokens are valid."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(_STAND_INS):
        row = torch.randn((2 * shape.layers, 1, shape.heads, shape.tokens, shape.head_dim), generator=generator)
        yield KeysValues.from_row(row, [shape.tokens // 2] * (2 * shape.layers))
