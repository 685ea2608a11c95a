"""Writing `.kvtrace` files: a background thread writes in batches, so that the recorded program hardly waits.

A process that is killed while recording leaves a readable file, which lacks at most the last
`kvparity.traces.reader.MOST_LOST` operations.
"""

from __future__ import annotations

import atexit
import json
import os
import platform
import queue
import sqlite3
import threading
import time
import warnings
from contextlib import closing, suppress
from dataclasses import asdict, fields
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from kvparity.errors import TraceError
from kvparity.operations import Operation, Set
from kvparity.traces.reader import Answer, TraceHeader
from kvparity.traces.rows import Copies, Store
from kvparity.traces.sqlite_file import APPLICATION_ID, SCHEMA, TABLES
from kvparity.values.fingerprints import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kvparity.caches.protocol import CacheSpec

_BATCH_OPERATIONS = 170  # three batches may be lost: one is written, one waits, one is filled
_BATCH_SECONDS = 1.0
_QUEUED_BATCHES = 1
# Threads run Python in turns. So a batch waits until the burst of operations of a search is over, or the queue is full.
_PAUSE_SECONDS = 0.2


class TraceWriter:
    """Records operations into a new `.kvtrace` file. Also a context manager. Call it from one thread only.

    A failure to write, such as a full disk, stops the recording with a warning. The recorded program goes on.

    Args:
        path: the file to make; it must not exist.
        tensors: `full` keeps the values, `fingerprint` only their fingerprints.
        served_by: the cache whose answers are recorded.
        candidate: the cache under test, if the operations are kept because the two caches differ on them.
        seed: of the recorded run, or None.
        model: a digest of the weights of the model, or None.
        note: free text.
        versions: of further libraries; those of Python, torch, numpy and kvparity are added.
        device: of the values.

    Attributes:
        failure: what stopped the recording; None if nothing did.

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
        self._copies = Copies()
        self._streams = 0
        self._number = 0
        self._batch: list[tuple[Any, ...]] = []
        self._batch_began = 0.0
        self._queue: queue.Queue[list[tuple[Any, ...]] | None] = queue.Queue(_QUEUED_BATCHES)
        self._hurry = threading.Event()
        self._closed = False
        self._create()
        self._thread = threading.Thread(target=self._write_batches, name="kvparity-recording", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def stream(self, name: str, spec: CacheSpec) -> int:
        """Add a cache of the recorded program; the number that `record` needs with each operation on it."""
        number = self._streams
        self._streams += 1
        self._put(("stream", number, name, json.dumps(asdict(spec))))
        return number

    def record(self, stream: int, operation: Operation, answer: Answer | None = None) -> None:
        """Record one operation and its answer. A value is copied before this returns."""
        content: Any = None
        if isinstance(operation, Set):
            content = self._copies.of(operation.value) if self._keep_tensors else fingerprint(operation.value)
        self._put(("operation", self._number, stream, operation, content, answer))
        self._number += 1

    def close(self) -> None:
        """Write all that is left and finish the file."""
        if self._closed or os.getpid() != self._process:
            return
        self._closed = True
        atexit.unregister(self.close)
        self._hurry.set()
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
        # A forked child has this object but not its thread: only the process that opened the file writes.
        if self._closed or self.failure is not None or os.getpid() != self._process:
            return
        if not self._batch:
            self._batch_began = time.monotonic()
        self._batch.append(item)
        if len(self._batch) >= _BATCH_OPERATIONS or time.monotonic() - self._batch_began > _BATCH_SECONDS:
            if self._queue.full():
                self._hurry.set()
            self._queue.put(self._batch)
            self._batch = []

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
                store = Store(database, self._copies)
                while (batch := self._queue.get()) is not None:
                    self._hurry.wait(_PAUSE_SECONDS)
                    with database:
                        for item in batch:
                            store.add(item)
                        store.finish_batch()
                    if self._queue.empty() and not self._closed:
                        self._hurry.clear()
                with database:
                    database.execute("UPDATE header SET value = 'true' WHERE name = 'complete'")
                database.execute("PRAGMA busy_timeout = 0")
                with suppress(sqlite3.OperationalError):  # somebody reads the file: its -wal stays beside it
                    database.execute("PRAGMA journal_mode = DELETE")
        except Exception as error:  # noqa: BLE001  the recorded program must go on, whatever stops its recording
            self.failure = error
            while batch is not None:  # None was taken already if finishing the file failed
                batch = self._queue.get()


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    # Tokens have about 1 KB: three leave much of a default page of 4 KB empty, many fill this one well.
    database.execute("PRAGMA page_size = 16384")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    return database


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
