"""The tasks of a campaign: ranges of examples for fuzzing, traces, and streams of a trace.

A trace is split by stream, because streams belong to caches of different models. It is not split by environment: the
environments of a model share its recur pool, in which a set of one evicts a key of another.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeAlias

import xxhash

from kvparity.driving.comparison import Comparison
from kvparity.errors import TraceError
from kvparity.registry import trace_path
from kvparity.traces.reader import Trace
from kvparity.traces.remote import identity, is_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from kvparity.results.divergence import KnownDifference
    from kvparity.values.difference import Tolerance

EXAMPLES_AT_ONCE = 100
_SEEDS = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all tasks of a campaign share.

    Attributes:
        reference: name of the trusted cache.
        candidate: name of the cache under test.
        tolerance: how far numbers may differ; None asks for equal bits.
        known: differences that are accepted.
        patience_s: how long a call of a cache may take, in seconds; None for no limit.
        folder: where modules of caches that are named `package.module:attribute` are searched.
        inputs: what else a result depends on: versions, and digests of the caches' sources.
    """

    reference: str
    candidate: str
    tolerance: Tolerance | None
    known: tuple[KnownDifference, ...]
    patience_s: float | None
    folder: str
    inputs: Mapping[str, str]

    def comparison(self) -> Comparison:
        """The comparison of the two caches."""
        return Comparison(self.reference, self.candidate, tolerance=self.tolerance, known=self.known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """A range of the examples of a fuzzing.

    Attributes:
        first: the number of the first example; numbers begin at 1.
        count: how many examples.
        seed: of this range, made of the campaign's seed and `first`.
    """

    first: int
    count: int
    seed: int

    def __str__(self) -> str:
        return f"examples {self.first:,} to {self.first + self.count - 1:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TracePart:
    """A trace, or one stream of a trace.

    Attributes:
        name: of the trace, as the user gave it.
        source: the path or URL by which a worker finds it.
        identity: changes when the trace does.
        stream: the number of the stream; None for all streams.
        title: for people.
        steps: how many operations of the whole trace to replay; None for all.
    """

    name: str
    source: str
    identity: str
    stream: int | None
    title: str
    steps: int | None

    def __str__(self) -> str:
        return self.title


Task: TypeAlias = Examples | TracePart


def examples(count: int, *, seed: int) -> list[Examples]:
    """A fuzzing of `count` examples, split into ranges."""
    return [
        Examples(
            first=first + 1,
            count=min(EXAMPLES_AT_ONCE, count - first),
            seed=xxhash.xxh3_64_intdigest(f"{seed} {first}".encode()) % _SEEDS,
        )
        for first in range(0, count, EXAMPLES_AT_ONCE)
    ]


def trace_parts(names: Iterable[str], *, steps: int | None) -> list[TracePart]:
    """Traces split by stream.

    A trace behind a URL is one task, because only the worker that replays it fetches it. A file that is not a readable
    trace is one task, too: its worker says why, and the other tasks go on.

    Raises:
        UsageError: a trace does not exist.
    """
    return [part for name in names for part in _parts(name, steps)]


def _parts(name: str, steps: int | None) -> list[TracePart]:
    changes = identity(name)
    if is_url(name):
        return [TracePart(name=name, source=name, identity=changes, stream=None, title=name, steps=steps)]
    path = trace_path(name).resolve()
    streams = _streams(path)
    if len(streams) < 2:  # noqa: PLR2004 - one stream is the whole trace; without any, its replay raises
        return [TracePart(name=name, source=str(path), identity=changes, stream=None, title=name, steps=steps)]
    return [
        TracePart(
            name=name,
            source=str(path),
            identity=changes,
            stream=number,
            title=f"{name}, stream {number} ({stream})",
            steps=steps,
        )
        for number, stream in streams.items()
    ]


def _streams(path: Path) -> dict[int, str]:
    """The names of a trace's streams, by number; none if it cannot be read."""
    try:
        with Trace(path) as trace:
            return {number: stream.name for number, stream in trace.streams.items()}
    except TraceError:
        return {}


def digest(setting: Setting, task: Task) -> str:
    """The name under which a task's result is kept. Equal digests mean equal results."""
    fields = {"setting": asdict(setting), "kind": type(task).__name__, "task": asdict(task)}
    return xxhash.xxh3_128_hexdigest(json.dumps(fields, sort_keys=True, default=str).encode())
