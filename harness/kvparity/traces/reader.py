"""Reading `.kvtrace` files: operations on a cache, with the answers that its owner got (docs/trace-format.md).

A trace is one SQLite database, told from others by its application id, and holds data only: nothing in it is ever
executed or unpickled. Tensors are stored once per distinct content, cut into tokens, because a search's contexts
share all tokens but their last ones (`kvparity.traces.chunks`). `kvparity.traces.writer` writes what this module reads.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kvparity.caches.protocol import CacheSpec
from kvparity.errors import TraceError
from kvparity.operations import RECUR, WM, Checkout, Clear, Get, Operation, PoolId, Set, Write
from kvparity.traces.chunks import INDEX_BITS, Layout, digest_of, stand_in
from kvparity.traces.sqlite_file import DAMAGE, damaged, open_trace_file
from kvparity.values.fingerprints import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kvparity.values.entry import KeysValues

MOST_LOST = 512  # operations, where a recording ended early
_FINGERPRINT_BYTES = 16
_STAND_IN_BYTES = 64
_CHUNKS, _SMALL_CHUNKS = 64, 8192  # kept of those read last; of schema 1, in which each was one token or tensor
_MOST_SLOTS, _MOST_ENVIRONMENTS = 1_000_000, 16_384  # of all streams


class Answer(NamedTuple):
    """What a lookup returned. A tuple, as `Recorded`: there is one for each operation, and those are made fastest.

    Attributes:
        fingerprint: of the value, see `kvparity.values.fingerprints.fingerprint`; None for a miss.
        source: for a checkout that hit, the pool that had it: `init` or `recur`. None where nobody said.
        error: the name of the exception's type, where it raised.
    """

    fingerprint: bytes | None = None
    source: str | None = None
    error: str | None = None


class Recorded(NamedTuple):
    """One line of a trace.

    Attributes:
        number: its place, from 0.
        stream: whose cache it was: an index of `Trace.streams`.
        operation: what was done.
        answer: what the recorded owner got; None for operations that have no answer.
    """

    number: int
    stream: int
    operation: Operation
    answer: Answer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One cache of the recorded program, for example that of one world model."""

    name: str
    spec: CacheSpec

    @property
    def slots(self) -> int:
        """Of all its pools."""
        return sum(self.spec.slots(pool) for pool in (WM, RECUR)) + self.spec.env_num * self.spec.init_pool_size


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceHeader:
    """How a trace came about.

    Attributes:
        tensors: `full`, or `fingerprint` where values were not kept (see `stand_in`).
        served_by: the cache whose answers are recorded.
        candidate: the cache on trial, where the operations were kept because they tell the two apart.
        seed: of the recorded run, where there is one.
        model: identity of the model: a digest of its weights, where there is one.
        note: free text.
        versions: of the libraries that recorded it.
        device: where the values lived.
        complete: False where the recording process ended before it closed the file.
    """

    tensors: str
    served_by: str
    candidate: str | None = None
    seed: int | None = None
    model: str | None = None
    note: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    complete: bool = False


class Trace:
    """A `.kvtrace` file, opened to read. Also a context manager.

    Raises:
        TraceError: on opening or reading, where the file is not one, is damaged, or is newer than this program.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._database = open_trace_file(self.path)
        try:
            self._packed = self._rows("PRAGMA user_version")[0][0] > 1
            self.header = self._read_header()
            self.streams = self._read_streams()
            self._length = self._count_operations()
            self._layouts = {row[0]: Layout.parse(row[1]) for row in self._rows("SELECT id, description FROM layout")}
        except TraceError:
            self._database.close()
            raise
        except DAMAGE as error:
            self._database.close()
            raise self._damaged(error) from None
        self._chunk = lru_cache(maxsize=_CHUNKS if self._packed else _SMALL_CHUNKS)(self._read_chunk)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Recorded]:
        return self.operations()

    def __getitem__(self, number: int) -> Recorded:
        for recorded in self.operations(number, number + 1):
            return recorded
        raise IndexError(f"operation {number} is outside [0, {len(self)}) of {self.path}")

    def operations(self, start: int = 0, stop: int | None = None, *, stream: int | None = None) -> Iterator[Recorded]:
        """The operations from `start` up to `stop`, those of one stream or all, read as they are asked for."""
        query = (
            "SELECT number, stream, kind, family, env, key, value, amount, outcome, fingerprint, layout, sizes, chunks"
            " FROM operation LEFT JOIN value ON value.id = operation.value"
            " WHERE number >= ? AND number < ? AND (? IS NULL OR stream = ?) ORDER BY number"
        )
        try:
            for row in self._database.execute(query, (start, len(self) if stop is None else stop, stream, stream)):
                yield self._recorded(row)
        except DAMAGE as error:
            raise self._damaged(error) from None

    def most_bytes(self, steps: int | None = None) -> int:
        """The most that one cache for each stream can come to hold in the trace, or in its first `steps` operations."""
        largest = max((layout.size_bytes for layout in self._layouts.values()), default=_STAND_IN_BYTES)
        operations = len(self) if steps is None else min(steps, len(self))
        return sum(min(stream.slots, operations) for stream in self.streams.values()) * largest

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ inside

    def _recorded(self, row: tuple[Any, ...]) -> Recorded:
        number, stream, kind, family, env, key, value, amount, outcome, digest, *parts = row
        if stream not in self.streams:
            raise ValueError(f"operation {number} names stream {stream}, which is not in the file")
        env_num = self.streams[stream].spec.env_num
        several = kind == "X" and env is None
        if family in (None, "i") and not several and not (isinstance(env, int) and 0 <= env < env_num):
            raise ValueError(f"operation {number} names env {env}, which is outside [0, {env_num})")
        pool = PoolId(_FAMILIES[family], env if family == "i" else None) if family else PoolId("")
        operation: Operation
        match kind, family:
            case "S", "i" | "r" | "w":
                priority = None if amount is None else float(amount)
                operation = Set(
                    pool=pool, key=_unsigned(key), value=self._value(value, digest, *parts), priority=priority
                )
            case "G", "i" | "r" | "w":
                operation = Get(pool=pool, key=_unsigned(key))
            case "C", None:
                operation = Checkout(env=env, key=_unsigned(key))
            case "W", None:
                operation = Write(env=env, fill=float(amount))
            case "X", "i" | "r" | "w" | "a":
                operation = Clear(pool=pool)
            case _:
                raise ValueError(f"operation {number} is of unknown kind {kind!r} in pool {family!r}")
        answer = None if outcome is None else self._answer(outcome, value, digest)
        return Recorded(number, stream, operation, answer)

    def _answer(self, outcome: str, value: int | None, digest: Any) -> Answer:
        if outcome == "miss":
            return Answer()
        if outcome.startswith("error "):
            return Answer(error=outcome.removeprefix("error "))
        if outcome not in ("hit", "hit init", "hit recur"):
            raise ValueError(f"outcome {outcome!r} is not one")
        source = outcome.removeprefix("hit").strip() or None
        digest = _fingerprint(value, digest)
        if self.header.tensors == "fingerprint":
            digest = fingerprint(stand_in(digest))
        return Answer(fingerprint=digest, source=source)

    def _value(self, value_id: int | None, digest: Any, layout_id: Any, sizes: Any, chunks: Any) -> KeysValues:
        digest = _fingerprint(value_id, digest)
        if layout_id is None:
            if self.header.tensors == "fingerprint":
                return stand_in(digest)
            raise ValueError(f"value {value_id} has no tensors")
        if layout_id not in self._layouts:
            raise ValueError(f"value {value_id} has layout {layout_id}, which is not in the file")
        addresses = np.frombuffer(chunks, dtype="<i8").tolist()
        return self._layouts[layout_id].join(addresses, _lengths(sizes), self._part)

    def _part(self, address: int, length: int) -> memoryview:
        """One token or tensor of that many bytes, or fewer where the file is damaged."""
        if not self._packed:
            return self._chunk(address)
        begin = length * (address & _INDICES)
        return self._chunk(address >> INDEX_BITS)[begin : begin + length]

    def _read_chunk(self, chunk_id: int) -> memoryview:
        row = self._database.execute("SELECT digest, data FROM chunk WHERE id = ?", (chunk_id,)).fetchone()
        if row is None:
            raise ValueError(f"row {chunk_id} is missing")
        digest, data = row
        if digest_of(data, chunk_id if self._packed else 0) != digest:
            raise ValueError(f"chunk {chunk_id} is not what was written")
        return memoryview(data)

    def _read_header(self) -> TraceHeader:
        fields = {name: json.loads(value) for name, value in self._rows("SELECT name, value FROM header")}
        header = TraceHeader(**fields)
        wrong = [name for name, kind in _HEADER_TYPES.items() if not isinstance(getattr(header, name), kind)]
        if wrong or header.tensors not in ("full", "fingerprint"):
            name = (*wrong, "tensors")[0]
            raise ValueError(f"the header says {name}={fields[name]!r}")
        return header

    def _read_streams(self) -> dict[int, Stream]:
        streams = {
            row[0]: Stream(name=row[1], spec=CacheSpec(**json.loads(row[2])))
            for row in self._rows("SELECT id, name, spec FROM stream ORDER BY id")
        }
        slots = sum(stream.slots for stream in streams.values())
        environments = sum(stream.spec.env_num for stream in streams.values())
        if slots > _MOST_SLOTS or environments > _MOST_ENVIRONMENTS:
            raise ValueError(
                f"its streams claim pools for {environments:,} environments with {slots:,} slots, and this program"
                f" makes {_MOST_ENVIRONMENTS:,} and {_MOST_SLOTS:,}"
            )
        return streams

    def _count_operations(self) -> int:
        count, first, last = self._rows("SELECT count(*), min(number), max(number) FROM operation")[0]
        if count and (first, last) != (0, count - 1):
            raise ValueError(f"{count} operations are numbered from {first} to {last}: some are missing")
        return int(count)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._database.execute(query).fetchall()

    def _damaged(self, error: Exception) -> TraceError:
        return damaged(self.path, error)


def _unsigned(key: Any) -> int:
    if not isinstance(key, int):
        raise TypeError(f"key {key!r} is not an integer")
    return key % (1 << 64)


def _fingerprint(value_id: int | None, digest: Any) -> bytes:
    if digest is None:  # which no value's is
        raise ValueError(f"row {value_id} is missing")
    if not isinstance(digest, bytes) or len(digest) != _FINGERPRINT_BYTES:
        raise ValueError(f"fingerprint {digest!r} is not one")
    return digest


@lru_cache(maxsize=1024)
def _lengths(sizes: str) -> tuple[int, ...]:
    lengths = json.loads(sizes)
    if not isinstance(lengths, list) or not all(type(size) is int for size in lengths):
        raise ValueError(f"sizes {sizes} are not integers")
    return tuple(lengths)


_INDICES = (1 << INDEX_BITS) - 1
_FAMILIES = {"i": "init", "r": "recur", "w": "wm", "a": "all"}
_HEADER_TYPES = {
    "tensors": str,
    "served_by": str,
    "candidate": str | None,
    "seed": int | None,
    "model": str | None,
    "note": str,
    "versions": dict,
    "device": str,
    "complete": bool,
}
