"""What a campaign is cut into: ranges of examples for fuzzing, traces, and the streams of a trace.

A trace is cut by stream, since streams are caches of different models. It is not cut by environment: the environments
of a model share its recur pool, where one's set evicts another's key.
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
    """What all tasks of a campaign have in common.

    Attributes:
        reference: name of the cache that serves.
        candidate: name of the cache on trial.
        tolerance: how far numbers may lie apart; None asks for equal bits.
        known: differences that are accepted.
        patience_s: how long a call of a cache may take; None for no limit.
        folder: where caches named `package.module:attribute` are found.
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
        """Of the two caches."""
        return Comparison(self.reference, self.candidate, tolerance=self.tolerance, known=self.known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Some of the examples of a fuzzing.

    Attributes:
        first: the number of the first, from 1.
        count: how many.
        seed: theirs, which is drawn from the campaign's and from `first`.
    """

    first: int
    count: int
    seed: int

    def __str__(self) -> str:
        return f"examples {self.first:,} to {self.first + self.count - 1:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TracePart:
    """A trace, or one stream of it.

    Attributes:
        name: as the user gave it.
        source: a path or a URL that a worker finds it by.
        identity: changes when the trace does.
        stream: which; None for all of them.
        title: for people.
        steps: of the whole trace, only the operations before this number; None for all.
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
    """A fuzzing of `count` examples, cut into ranges."""
    return [
        Examples(
            first=first + 1,
            count=min(EXAMPLES_AT_ONCE, count - first),
            seed=xxhash.xxh3_64_intdigest(f"{seed} {first}".encode()) % _SEEDS,
        )
        for first in range(0, count, EXAMPLES_AT_ONCE)
    ]


def trace_parts(names: Iterable[str], *, steps: int | None) -> list[TracePart]:
    """Traces cut by stream; one that is elsewhere stays whole, since only who replays it fetches it.

    So does one that cannot be read: whoever replays it says why, and the others go on.

    Raises:
        UsageError: one of them is not there.
    """
    return [part for name in names for part in _parts(name, steps)]


def _parts(name: str, steps: int | None) -> list[TracePart]:
    changes = identity(name)
    if is_url(name):
        return [TracePart(name=name, source=name, identity=changes, stream=None, title=name, steps=steps)]
    path = trace_path(name).resolve()
    streams = _streams(path)
    if len(streams) < 2:  # noqa: PLR2004 - one stream is the whole; one with none says so when it is replayed
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
    """The names of a trace's streams; of one that cannot be read, none."""
    try:
        with Trace(path) as trace:
            return {number: stream.name for number, stream in trace.streams.items()}
    except TraceError:
        return {}


def digest(setting: Setting, task: Task) -> str:
    """What a task's result is kept under: equal where the result would be."""
    fields = {"setting": asdict(setting), "kind": type(task).__name__, "task": asdict(task)}
    return xxhash.xxh3_128_hexdigest(json.dumps(fields, sort_keys=True, default=str).encode())
