"""Reading `.kvtrace` files: operations on a cache, with the answers that its owner got (docs/trace-format.md).

A trace is one SQLite database with an application id of its own. It holds data only: nothing in it is ever executed or
unpickled. Values are cut into tokens and each distinct token is stored once, because the contexts of a search share all
tokens but the last ones (`kvparity.traces.chunks`). `kvparity.traces.writer` writes the files that this module reads.
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

MOST_LOST = 512  # operations, if a recording ended early
_FINGERPRINT_BYTES = 16
_STAND_IN_BYTES = 64
_CHUNKS, _SMALL_CHUNKS = 64, 8192  # kept of those read last; the second for schema 1, where a chunk is one part
_MOST_SLOTS, _MOST_ENVIRONMENTS = 1_000_000, 16_384  # in all streams


class Answer(NamedTuple):
    """What a lookup returned. A tuple like `Recorded`, because tuples are the fastest to make.

    Attributes:
        fingerprint: of the value, see `kvparity.values.fingerprints.fingerprint`; None for a miss.
        source: for a checkout that hit, the family of the pool that had the key, `init` or `recur`; None if unknown.
        error: the name of the exception's type; None if it did not raise.
    """

    fingerprint: bytes | None = None
    source: str | None = None
    error: str | None = None


class Recorded(NamedTuple):
    """One operation of a trace.

    Attributes:
        number: its index in the trace.
        stream: the cache that it was done to, a key of `Trace.streams`.
        operation: the operation.
        answer: what the recorded program got; None for operations without an answer.
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
        """Slots of all its pools."""
        return sum(self.spec.slots(pool) for pool in (WM, RECUR)) + self.spec.env_num * self.spec.init_pool_size


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceHeader:
    """How a trace was recorded.

    Attributes:
        tensors: `full`, or `fingerprint` if values were not kept (see `stand_in`).
        served_by: the cache whose answers are recorded.
        candidate: the cache under test, if the operations were kept because the two caches differ on them; else None.
        seed: of the recorded run, or None.
        model: a digest of the weights of the model, or None.
        note: free text.
        versions: of the libraries that recorded it.
        device: of the values.
        complete: False if the recording process ended before it closed the file.
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
    """A `.kvtrace` file, opened for reading. Also a context manager.

    Raises:
        TraceError: on opening or reading, if the file is no trace, is damaged, or needs a newer kvparity.
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
        """Yield the operations from `start` up to `stop`, of one stream or of all; they are read one by one."""
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
        """The most bytes that one cache for each stream can hold, after the trace or its first `steps` operations."""
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
            raise ValueError(f"outcome {outcome!r} is unknown")
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
        """One token or tensor of `length` bytes, or fewer if the file is damaged."""
        if not self._packed:
            return self._chunk(address)
        begin = length * (address & _INDICES)
        return self._chunk(address >> INDEX_BITS)[begin : begin + length]

    def _read_chunk(self, chunk_id: int) -> memoryview:
        row = self._database.execute("SELECT digest, data FROM chunk WHERE id = ?", (chunk_id,)).fetchone()
        if row is None:
            raise ValueError(f"chunk {chunk_id} is missing")
        digest, data = row
        if digest_of(data, chunk_id if self._packed else 0) != digest:
            raise ValueError(f"chunk {chunk_id} does not match its digest")
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
                f"its streams ask for pools with {slots:,} slots for {environments:,} environments; this program makes"
                f" at most {_MOST_SLOTS:,} slots for {_MOST_ENVIRONMENTS:,} environments"
            )
        return streams

    def _count_operations(self) -> int:
        count, first, last = self._rows("SELECT count(*), min(number), max(number) FROM operation")[0]
        if count and (first, last) != (0, count - 1):
            raise ValueError(f"{count} operations have numbers from {first} to {last}: some are missing")
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
    if digest is None:  # the column is NOT NULL: the row is not there
        raise ValueError(f"value {value_id} is missing")
    if not isinstance(digest, bytes) or len(digest) != _FINGERPRINT_BYTES:
        raise ValueError(f"fingerprint {digest!r} does not have {_FINGERPRINT_BYTES} bytes")
    return digest


@lru_cache(maxsize=1024)
def _lengths(sizes: str) -> tuple[int, ...]:
    lengths = json.loads(sizes)
    if not isinstance(lengths, list) or not all(type(size) is int for size in lengths):
        raise ValueError(f"sizes {sizes} are no list of integers")
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
