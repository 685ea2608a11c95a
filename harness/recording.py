"""Writing `.kvtrace` files: a background thread, in batches, so that the recorded program hardly waits.

A process killed while recording leaves a readable file without its last operations, of
which there are `harness.trace.MOST_LOST` at most.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import platform
import queue
import sqlite3
import threading
import time
import warnings
from collections import OrderedDict
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import xxhash

from harness.errors import TraceError
from harness.fingerprints import fingerprint, raw_bytes
from harness.layout import INDEX_BITS, digest_of
from harness.operations import Checkout, Clear, Get, Operation, PoolId, Set, Write
from harness.trace import Answer, TraceHeader
from harness.tracefile import APPLICATION_ID, SCHEMA, TABLES
from harness.values import KeysValues, clone, read, row_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.caches import CacheSpec

_BATCH_OPERATIONS = 170  # three batches may be lost: being written, waiting, and being filled
_BATCH_SECONDS = 1.0
_QUEUED_BATCHES = 1
_REMEMBERED = 1 << 16
_CHUNK_BYTES = 1 << 20  # of a full one; no more parts of one byte than have an index


class TraceWriter:
    """Records operations into a new `.kvtrace` file. Also a context manager. One thread may call it.

    A failure to write (a full disk, say) stops the recording with a warning and never raises into the caller.

    Args:
        path: the file to make; it must not exist.
        tensors: keep the values whole, or only their fingerprints.
        served_by: the cache whose answers are recorded.
        candidate: the cache on trial, where the operations are kept because they tell the two apart.
        seed: of the run, where there is one.
        model: identity of the model: a digest of its weights.
        note: free text.
        versions: of further libraries; Python, torch, numpy and kvparity are added.
        device: where the values live.

    Raises:
        TraceError: the file exists already or cannot be made.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        tensors: Literal["full", "fingerprint"] = "full",
        served_by: str,
        candidate: str | None = None,
        seed: int | None = None,
        model: str | None = None,
        note: str = "",
        versions: Mapping[str, str] | None = None,
        device: str = "cpu",
    ) -> None:
        self.path = Path(path)
        self.failure: Exception | None = None
        self._header = TraceHeader(
            tensors=tensors,
            served_by=served_by,
            candidate=candidate,
            seed=seed,
            model=model,
            note=note,
            versions={**_library_versions(), **(versions or {})},
            device=device,
        )
        self._keep_tensors = tensors == "full"
        self._process = os.getpid()
        self._streams = 0
        self._number = 0
        self._batch: list[tuple[Any, ...]] = []
        self._batch_began = time.monotonic()
        self._queue: queue.Queue[list[tuple[Any, ...]] | None] = queue.Queue(_QUEUED_BATCHES)
        self._closed = False
        self._create()
        self._thread = threading.Thread(target=self._write_batches, name="kvparity-recording", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def stream(self, name: str, spec: CacheSpec) -> int:
        """Announce one cache of the recorded program; its number goes with each of its operations."""
        number = self._streams
        self._streams += 1
        self._put(("stream", number, name, json.dumps(asdict(spec))))
        return number

    def record(self, stream: int, operation: Operation, answer: Answer | None = None) -> None:
        """Record one operation and its answer. A value is copied before this returns."""
        content: KeysValues | bytes | None = None
        if isinstance(operation, Set):
            content = clone(operation.value) if self._keep_tensors else fingerprint(operation.value)
        self._put(("operation", self._number, stream, operation, content, answer))
        self._number += 1

    def close(self) -> None:
        """Write what is left and finish the file."""
        if self._closed or os.getpid() != self._process:
            return
        self._closed = True
        atexit.unregister(self.close)
        self._queue.put(self._batch)
        self._queue.put(None)
        self._thread.join()
        if self.failure is not None:
            warnings.warn(f"recording into {self.path} stopped early: {self.failure}", stacklevel=2)

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ inside

    def _put(self, item: tuple[Any, ...]) -> None:
        # A forked child has the object but not the thread: only the process that opened the file writes.
        if self._closed or self.failure is not None or os.getpid() != self._process:
            return
        self._batch.append(item)
        if len(self._batch) >= _BATCH_OPERATIONS or time.monotonic() - self._batch_began > _BATCH_SECONDS:
            self._queue.put(self._batch)
            self._batch, self._batch_began = [], time.monotonic()

    def _create(self) -> None:
        try:
            self.path.open("xb").close()
        except FileExistsError:
            raise TraceError(f"{self.path} exists already: choose another name or remove it") from None
        except OSError as error:
            raise TraceError(f"{self.path} cannot be made: {error.strerror}") from None
        try:
            with closing(_connect(self.path)) as database, database:
                database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                database.execute(f"PRAGMA user_version = {SCHEMA}")
                for table in TABLES.values():
                    database.execute(table)
                self._write_header(database, self._header)
        except sqlite3.Error as error:
            self.path.unlink()
            raise TraceError(f"{self.path} cannot be made: {error}") from None

    def _write_header(self, database: sqlite3.Connection, header: TraceHeader) -> None:
        rows = [(f.name, json.dumps(getattr(header, f.name))) for f in fields(header)]
        database.executemany("INSERT OR REPLACE INTO header VALUES (?, ?)", rows)

    def _write_batches(self) -> None:
        batch: list[tuple[Any, ...]] | None = []
        try:
            with closing(_connect(self.path)) as database:
                store = _Store(database)
                while (batch := self._queue.get()) is not None:
                    with database:
                        for item in batch:
                            store.add(item)
                        store.finish_chunks()
                with database:
                    database.execute("UPDATE header SET value = 'true' WHERE name = 'complete'")
                database.execute("PRAGMA busy_timeout = 0")
                with suppress(sqlite3.OperationalError):  # while somebody reads the file, its -wal stays beside it
                    database.execute("PRAGMA journal_mode = DELETE")
        except Exception as error:  # noqa: BLE001  the recorded program goes on, whatever happens to its recording
            self.failure = error
            while batch is not None:  # the last one was taken already if it was the finish that failed
                batch = self._queue.get()


class _Store:
    """The rows that operations become. Lives in the writing thread."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._parts: OrderedDict[bytes, int] = OrderedDict()
        self._open: dict[int, _Chunk] = {}
        self._last_chunk = 0
        self._values: OrderedDict[bytes, int] = OrderedDict()
        self._layouts: dict[str, int] = {}

    def add(self, item: tuple[Any, ...]) -> None:
        if item[0] == "stream":
            self._database.execute("INSERT INTO stream VALUES (?, ?, ?)", item[1:])
            return
        _, number, stream, operation, content, answer = item
        self._database.execute(
            "INSERT INTO operation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (number, stream, *self._columns(operation, content, answer)),
        )

    def _columns(self, operation: Operation, content: Any, answer: Answer | None) -> tuple[Any, ...]:
        outcome, found = None, None
        if answer is not None:
            outcome = _outcome(answer)
            found = None if answer.fingerprint is None else self._value(answer.fingerprint, None)
        match operation:
            case Set():
                value = self._value(content, None) if isinstance(content, bytes) else self._whole(content)
                return "S", *_pool(operation.pool), _signed(operation.key), value, _real(operation.priority), None
            case Get():
                return "G", *_pool(operation.pool), _signed(operation.key), found, None, outcome
            case Checkout():
                return "C", None, int(operation.env), _signed(operation.key), found, None, outcome
            case Write():
                return "W", None, int(operation.env), None, None, _real(operation.fill), None
            case Clear():
                return "X", *_pool(operation.pool), None, None, None, None

    def _whole(self, value: KeysValues) -> int:
        return self._value(fingerprint(value), value)

    def _value(self, digest: bytes, value: KeysValues | None) -> int:
        known = self._values.get(digest)
        if known is not None and (value is None or known > 0):
            return abs(known)
        row = self._database.execute(
            "SELECT id, layout IS NOT NULL FROM value WHERE fingerprint = ?", (digest,)
        ).fetchone()
        if row is None:
            cursor = self._database.execute("INSERT INTO value (fingerprint) VALUES (?)", (digest,))
            row = (cursor.lastrowid, False)
        identity, has_tensors = row
        if value is not None and not has_tensors:
            layout, sizes, chunks = self._cut(value)
            self._database.execute(
                "UPDATE value SET layout = ?, sizes = ?, chunks = ? WHERE id = ?",
                (layout, sizes, chunks, identity),
            )
            has_tensors = True
        # The sign remembers whether the tensors are stored too.
        _remember(self._values, digest, identity if has_tensors else -identity)
        return int(identity)

    def finish_chunks(self) -> None:
        """Write those that are not full: what a batch refers to is in the file with it."""
        for length in list(self._open):
            self._write_chunk(length)

    def _cut(self, value: KeysValues) -> tuple[int, str, bytes]:
        tensors, sizes = read(value)
        row = row_of(value)
        by_token = row is not None and row.dim() == 5  # noqa: PLR2004  [2L, N, H, T, D]
        if row is not None and by_token:
            addresses = [self._address(token) for token in raw_bytes(row.permute(3, 0, 1, 2, 4))]
        else:
            addresses = [self._address(raw_bytes(tensor)) for tensor in tensors]
        description = json.dumps(
            {
                "dtypes": [str(tensor.dtype).removeprefix("torch.") for tensor in tensors],
                "shapes": [list(tensor.shape) for tensor in tensors],
                "by_token": by_token,
            }
        )
        layout = self._layouts.get(description)
        if layout is None:
            cursor = self._database.execute("INSERT INTO layout (description) VALUES (?)", (description,))
            layout = self._layouts[description] = int(cursor.lastrowid or 0)
        return layout, json.dumps([int(size) for size in sizes]), np.array(addresses, dtype="<i8").tobytes()

    def _address(self, part: Any) -> int:
        """Where the file has a token or a tensor, a C-contiguous array. What is not there is put into a chunk."""
        digest = xxhash.xxh3_128_digest(part)
        address = self._parts.get(digest)
        if address is None:
            chunk = self._open.get(part.nbytes)
            if chunk is None:
                self._last_chunk += 1
                chunk = self._open[part.nbytes] = _Chunk(self._last_chunk)
            address = chunk.number << INDEX_BITS | chunk.parts
            chunk.parts += 1
            chunk.data += part.reshape(-1).view(np.uint8).data
            _remember(self._parts, digest, address)
            if len(chunk.data) >= _CHUNK_BYTES:
                self._write_chunk(part.nbytes)
        return address

    def _write_chunk(self, length: int) -> None:
        chunk = self._open.pop(length)
        row = (chunk.number, digest_of(chunk.data, chunk.number), chunk.data)
        self._database.execute("INSERT INTO chunk VALUES (?, ?, ?)", row)


@dataclass(slots=True)
class _Chunk:
    """Parts of one length, written in a row."""

    number: int
    parts: int = 0
    data: bytearray = field(default_factory=bytearray)


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    # Tokens are about 1 KB: three fill a page of the default 4 KB badly, many fill this one well.
    database.execute("PRAGMA page_size = 16384")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    return database


def _remember(known: OrderedDict[bytes, int], digest: bytes, identity: int) -> None:
    if len(known) >= _REMEMBERED:
        known.popitem(last=False)  # a plain dict's front would be searched for behind all that was there before
    known[digest] = identity


def _outcome(answer: Answer) -> str:
    if answer.error is not None:
        return f"error {answer.error}"
    if answer.fingerprint is None:
        return "miss"
    return f"hit {answer.source}" if answer.source else "hit"


def _pool(pool: PoolId) -> tuple[str, int | None]:
    return pool.family[0], None if pool.env is None else int(pool.env)


def _signed(key: int) -> int:
    key = int(key)
    if not 0 <= key < 1 << 64:
        raise ValueError(f"key {key} is outside [0, 2**64)")
    return key - (1 << 64) if key >= 1 << 63 else key


def _real(number: float | None) -> float | str | None:
    """SQLite turns a NaN into NULL, but keeps its name."""
    if number is None:
        return None
    return "nan" if math.isnan(number) else float(number)


def _library_versions() -> dict[str, str]:
    try:
        own = metadata.version("kvparity")
    except metadata.PackageNotFoundError:
        own = "unknown"
    return {
        "kvparity": own,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
