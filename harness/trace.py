"""Reading `.kvtrace` files: operations on a cache, with the answers that its owner got (docs/trace-format.md).

A trace is one SQLite database, told from others by its application id, and holds data only: nothing in it is ever
executed or unpickled. Tensors are stored once per distinct content, cut into tokens, because a search's contexts
share all tokens but their last ones. `harness.recording` writes what this module reads.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from harness.caches import CacheSpec
from harness.errors import TraceError
from harness.fingerprints import fingerprint
from harness.layout import Layout, stand_in
from harness.operations import Checkout, Clear, Get, Operation, PoolId, Set, Write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.values import KeysValues

APPLICATION_ID = 0x6B767472  # "kvtr"
SCHEMA = 1
_SQLITE_MAGIC = b"SQLite format 3\x00"
_FINGERPRINT_BYTES = 16
_MOST_SLOTS = 10_000_000
# What reading nonsense can end in. Everything is checked, but a damaged database may claim anything.
_DAMAGE = (sqlite3.Error, ValueError, KeyError, TypeError, OverflowError, RecursionError, MemoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a lookup returned.

    Attributes:
        fingerprint: of the value, see `harness.fingerprints.fingerprint`; None for a miss.
        source: for a checkout that hit, the pool that had it: `init` or `recur`. None where nobody said.
        error: the name of the exception's type, where it raised.
    """

    fingerprint: bytes | None = None
    source: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
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
        _refuse_what_is_no_trace(self.path)
        try:
            self._database = sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True)
        except sqlite3.Error as error:
            raise self._damaged(error) from None
        try:
            self._database.execute("PRAGMA trusted_schema = OFF")
            self._check_identity()
            self.header = self._read_header()
            self.streams = self._read_streams()
            self._length = self._count_operations()
            self._layouts = {row[0]: Layout.parse(row[1]) for row in self._rows("SELECT id, description FROM layout")}
        except TraceError:
            self._database.close()
            raise
        except _DAMAGE as error:
            self._database.close()
            raise self._damaged(error) from None
        self.chunk = lru_cache(maxsize=8192)(self._chunk)

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
            "SELECT number, stream, kind, family, env, key, value, amount, outcome FROM operation"
            " WHERE number >= ? AND number < ? AND (? IS NULL OR stream = ?) ORDER BY number"
        )
        try:
            for row in self._database.execute(query, (start, len(self) if stop is None else stop, stream, stream)):
                yield self._recorded(row)
        except _DAMAGE as error:
            raise self._damaged(error) from None

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ inside

    def _recorded(self, row: tuple[Any, ...]) -> Recorded:
        number, stream, kind, family, env, key, value, amount, outcome = row
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
                operation = Set(pool=pool, key=_unsigned(key), value=self._value(value), priority=priority)
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
        answer = None if outcome is None else self._answer(outcome, value)
        return Recorded(number=number, stream=stream, operation=operation, answer=answer)

    def _answer(self, outcome: str, value: int | None) -> Answer:
        if outcome == "miss":
            return Answer()
        if outcome.startswith("error "):
            return Answer(error=outcome.removeprefix("error "))
        if outcome not in ("hit", "hit init", "hit recur"):
            raise ValueError(f"outcome {outcome!r} is not one")
        source = outcome.removeprefix("hit").strip() or None
        digest = _fingerprint(self._row("SELECT fingerprint FROM value WHERE id = ?", value)[0])
        if self.header.tensors == "fingerprint":
            digest = fingerprint(stand_in(digest))
        return Answer(fingerprint=digest, source=source)

    def _value(self, value_id: int) -> KeysValues:
        digest, layout_id, sizes, chunks = self._row(
            "SELECT fingerprint, layout, sizes, chunks FROM value WHERE id = ?", value_id
        )
        if layout_id is None:
            if self.header.tensors == "fingerprint":
                return stand_in(_fingerprint(digest))
            raise ValueError(f"value {value_id} has no tensors")
        if layout_id not in self._layouts:
            raise ValueError(f"value {value_id} has layout {layout_id}, which is not in the file")
        ids = np.frombuffer(chunks, dtype="<i8").tolist()
        return self._layouts[layout_id].join([self.chunk(chunk) for chunk in ids], _lengths(sizes))

    def _chunk(self, chunk_id: int) -> bytes:
        digest, data = self._row("SELECT digest, data FROM chunk WHERE id = ?", chunk_id)
        if xxhash.xxh3_128_digest(data) != digest:
            raise ValueError(f"chunk {chunk_id} is not what was written")
        return bytes(data)

    def _check_identity(self) -> None:
        if self._one("PRAGMA application_id") != APPLICATION_ID:
            raise TraceError(f"{self.path} is an SQLite database, but not a kvparity trace")
        schema = self._one("PRAGMA user_version")
        if schema > SCHEMA:
            raise TraceError(
                f"{self.path} has trace schema {schema}; this kvparity reads schemas up to {SCHEMA}: upgrade kvparity"
            )
        if schema < 1:
            raise ValueError(f"trace schema {schema} is not one")

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
        for stream in streams.values():
            spec = stream.spec
            if spec.env_num * (1 + spec.init_pool_size + spec.num_simulations) > _MOST_SLOTS:
                raise ValueError(f"stream {stream.name} claims pools of more slots than this program makes: {spec}")
        return streams

    def _count_operations(self) -> int:
        count, first, last = self._rows("SELECT count(*), min(number), max(number) FROM operation")[0]
        if count and (first, last) != (0, count - 1):
            raise ValueError(f"{count} operations are numbered from {first} to {last}: some are missing")
        return int(count)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._database.execute(query).fetchall()

    def _row(self, query: str, key: int | None) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self._database.execute(query, (key,)).fetchone()
        if row is None:
            raise ValueError(f"row {key} is missing")
        return row

    def _one(self, query: str) -> Any:
        return self._database.execute(query).fetchone()[0]

    def _damaged(self, error: Exception) -> TraceError:
        return TraceError(f"{self.path} is damaged: {error}")


def _unsigned(key: Any) -> int:
    if not isinstance(key, int):
        raise TypeError(f"key {key!r} is not an integer")
    return key % (1 << 64)


def _fingerprint(digest: Any) -> bytes:
    if not isinstance(digest, bytes) or len(digest) != _FINGERPRINT_BYTES:
        raise ValueError(f"fingerprint {digest!r} is not one")
    return digest


def _lengths(sizes: str) -> list[int]:
    lengths = json.loads(sizes)
    if not isinstance(lengths, list) or not all(type(size) is int for size in lengths):
        raise ValueError(f"sizes {sizes} are not integers")
    return lengths


def _refuse_what_is_no_trace(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head, on_disk = file.read(100), path.stat().st_size
    except FileNotFoundError:
        raise TraceError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise TraceError(f"{path} is a directory, not a trace file") from None
    except OSError as error:
        raise TraceError(f"{path} cannot be read: {error.strerror}") from None
    if not head.startswith(_SQLITE_MAGIC):
        raise TraceError(f"{path} is not a kvparity trace: it does not begin as an SQLite database does")
    # As SQLite's file format has it: the size of a page, in which 1 stands for 65536, and the number of pages.
    page_size, pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
    whole = pages * (1 << 16 if page_size == 1 else page_size)
    if whole > on_disk and not path.with_name(f"{path.name}-wal").exists():
        raise TraceError(f"{path} is cut short: {on_disk:,} of {whole:,} bytes are there; copy it again")


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
