"""Opening the SQLite file of a trace, which may come from anybody.

It follows the advice of SQLite's authors for such files (https://www.sqlite.org/security.html). The schema must be the
one that `kvparity.traces.writer` writes, word for word, so that there are no views, triggers, generated columns or
virtual tables that could compute anything. All pages are checked, so that no path through the file is endless.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from typing import TYPE_CHECKING, Any

from kvparity.errors import TraceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

APPLICATION_ID = 0x6B767472  # "kvtr"
SCHEMA = 2  # the tables are those of schema 1, the content of a chunk is not: see `kvparity.traces.chunks`
TABLES = {
    "header": "CREATE TABLE header (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "stream": "CREATE TABLE stream (id INTEGER PRIMARY KEY, name TEXT NOT NULL, spec TEXT NOT NULL)",
    "layout": "CREATE TABLE layout (id INTEGER PRIMARY KEY, description TEXT NOT NULL UNIQUE)",
    "chunk": "CREATE TABLE chunk (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, data BLOB NOT NULL)",
    "value": (
        "CREATE TABLE value (id INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL UNIQUE,"
        " layout INTEGER, sizes TEXT, chunks BLOB)"
    ),
    "operation": (
        "CREATE TABLE operation (number INTEGER PRIMARY KEY, stream INTEGER NOT NULL, kind TEXT NOT NULL, family TEXT,"
        " env INTEGER, key INTEGER, value INTEGER, amount REAL, outcome TEXT)"
    ),
}
# What reading a damaged database can raise: everything is checked, but it may contain anything.
DAMAGE = (sqlite3.Error, ValueError, KeyError, TypeError, OverflowError, RecursionError, MemoryError)
_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100
_SQLITES_OWN = "sqlite_autoindex_"
# Steps of SQLite's virtual machine while a file is checked. Good files take 0.01 to 0.3 for each byte.
_STEPS, _STEPS_EACH_BYTE, _STEPS_EACH_CALL = 10_000_000, 50, 100_000
_LONGEST_MESSAGE = 1000
_SHORTEST_LIMIT_BYTES = 1 << 20


def open_trace_file(path: Path) -> sqlite3.Connection:
    """A read-only connection to a file with the tables and pages of a trace.

    Raises:
        TraceError: the file is no trace, is damaged, or needs a newer kvparity.
    """
    on_disk = _check_head(path)
    try:
        database = sqlite3.connect(_uri(path), uri=True)
    except sqlite3.Error as error:
        raise damaged(path, error) from None
    try:
        _limit(database, on_disk)
        database.set_progress_handler(_budget(_STEPS + _STEPS_EACH_BYTE * on_disk), _STEPS_EACH_CALL)
        for setting in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0", "query_only = ON"):
            database.execute(f"PRAGMA {setting}")
        _check_identity(database, path)
        _check_tables(database)
        _check_pages(database)
        database.set_progress_handler(None, 0)
    except TraceError:
        database.close()
        raise
    except sqlite3.OperationalError as error:
        database.close()
        if str(error).startswith("unable to open") or "readonly" in str(error):
            raise TraceError(
                f"{path} was not finished, and its folder cannot be written: copy it into another folder, together"
                f" with {path.name}-wal if that exists"
            ) from None
        raise damaged(path, error) from None
    except DAMAGE as error:
        database.close()
        raise damaged(path, error) from None
    return database


def damaged(path: Path, error: Exception) -> TraceError:
    """The error to raise for a file in which `error` occurred."""
    return TraceError(f"{path} is damaged: {' '.join((str(error) or type(error).__name__)[:_LONGEST_MESSAGE].split())}")


def _uri(path: Path) -> str:
    """The URI to open the file read-only, without locks if the folder cannot be written and nobody is writing."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    if not path.with_name(f"{path.name}-wal").exists() and not os.access(path.resolve().parent, os.W_OK):
        uri += "&immutable=1"
    return uri


def _limit(database: sqlite3.Connection, on_disk: int) -> None:
    """Set limits: no text or blob is longer than the file, and no statement needs more than ours."""
    if sys.version_info >= (3, 11):  # Python 3.10 cannot set limits: SQLite's own are 1 GB and 1 MB
        limits = {
            sqlite3.SQLITE_LIMIT_LENGTH: max(on_disk, _SHORTEST_LIMIT_BYTES),
            sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
            sqlite3.SQLITE_LIMIT_COLUMN: 100,
            sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 20,
            sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 3,
            sqlite3.SQLITE_LIMIT_VDBE_OP: 25_000,
            sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 8,
            sqlite3.SQLITE_LIMIT_ATTACHED: 0,
            sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 10,
            sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
        }
        for limit, at_most in limits.items():
            database.setlimit(limit, at_most)
    else:
        database.set_authorizer(_refuse_to_attach)


def _refuse_to_attach(action: int, *_: Any) -> int:
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


def _budget(steps: int) -> Callable[[], int]:
    """A handler that ends a statement after `steps` steps: pages that refer to themselves make endless tables."""
    left = steps // _STEPS_EACH_CALL

    def is_spent() -> int:
        nonlocal left
        left -= 1
        return int(left < 0)

    return is_spent


def _check_identity(database: sqlite3.Connection, path: Path) -> None:
    if database.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise TraceError(f"{path} is an SQLite database, but no kvparity trace")
    schema = database.execute("PRAGMA user_version").fetchone()[0]
    if schema > SCHEMA:
        raise TraceError(
            f"{path} has trace schema {schema}; this kvparity reads schemas up to {SCHEMA}: upgrade kvparity"
        )
    if schema < 1:
        raise ValueError(f"trace schema {schema} does not exist")


def _check_tables(database: sqlite3.Connection) -> None:
    missing = dict(TABLES)
    for kind, name, table, sql in database.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"):
        if kind == "index" and sql is None and str(name).startswith(_SQLITES_OWN) and table in TABLES:
            continue
        expected = missing.pop(name, None) if kind == "table" else None
        if expected is None or " ".join(str(sql).split()) != expected:
            raise ValueError(f"unexpected {kind} {name!r}: {str(sql)[:200]!r}")
    if missing:
        raise ValueError(f"the table {next(iter(missing))} is missing")


def _check_pages(database: sqlite3.Connection) -> None:
    found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise ValueError(found)


def _check_head(path: Path) -> int:
    """Check the first bytes of the file; the size of the file in bytes."""
    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            raise TraceError(f"{path} is a directory, not a trace file")
        if not stat.S_ISREG(about.st_mode):
            raise TraceError(f"{path} is not a regular file: copy the trace into one")
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        raise TraceError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise TraceError(f"{path} cannot be read: {getattr(error, 'strerror', error)}") from None
    if not head.startswith(_MAGIC):
        raise TraceError(f"{path} is not a kvparity trace: it does not begin like an SQLite database")
    # From SQLite's file format: the size of a page, where 1 means 65536, and the number of pages.
    page_size, pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
    whole, log = pages * (1 << 16 if page_size == 1 else page_size), path.with_name(f"{path.name}-wal")
    if not log.exists():
        if whole > about.st_size:
            raise TraceError(f"{path} is incomplete: it has {about.st_size:,} of {whole:,} bytes; copy it again")
        return about.st_size
    return about.st_size + log.stat().st_size
