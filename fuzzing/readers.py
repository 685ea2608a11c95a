"""What strangers may send: four targets. Each input must end in data or in one of kvparity's own errors.

A target takes bytes and raises nothing. `python fuzzing/run.py` searches for bytes that break this, and
`tests/test_fuzzing.py` replays the corpus.
"""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import struct
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from rich.console import Console

from kvparity.driving.comparison import Comparison
from kvparity.errors import KVParityError
from kvparity.report import render, verdict_line
from kvparity.report.html import page as pages
from kvparity.report.junit import junit
from kvparity.report.markdown import summary
from kvparity.results.adding import merge
from kvparity.results.reading import read_result
from kvparity.settings import read_settings
from kvparity.traces.reader import Trace
from kvparity.traces.sqlite_file import TABLES
from kvparity.verdict import verdict_of

if TYPE_CHECKING:
    from collections.abc import Callable

CORPUS = Path(__file__).parent / "corpus"
_STEPS = 200
_WIDTH = 120
_PAGES = all(find_spec(name) is not None for name in ("jinja2", "plotly"))  # of the extra `report`
_without_plotly = patch.object(pages, "_plotly", lambda: ("", ""))  # megabytes that do not depend on the input


def trace(content: bytes, folder: Path) -> None:
    """A file that claims to be a trace: read all of it, and replay its beginning."""
    path = folder / "t.kvtrace"
    path.write_bytes(content)
    try:
        _read(path)
    except KVParityError:
        return


def rows(content: bytes, folder: Path) -> None:
    """A valid trace in which single fields are replaced: few random bytes get this far."""
    path = folder / "t.kvtrace"
    shutil.copyfile(min((CORPUS / "trace").glob("full*")), path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA synchronous = OFF")
        _change(database, content)
    try:
        _read(path)
    except KVParityError:
        return


@_without_plotly
def result(content: bytes, folder: Path) -> None:
    """A JSON result: read it, and show it in every way."""
    path = folder / "r.json"
    path.write_bytes(content)
    try:
        found = read_result(path)
    except KVParityError:
        return
    console = Console(file=io.StringIO(), width=_WIDTH, force_terminal=True)
    for shown in (found, merge([found, found])):
        console.print(render(shown))
        console.print(verdict_line(shown, fail_on="behaviour"))
        json.dumps(shown.as_dict())
        verdict = verdict_of([shown])
        for text in (
            junit(shown, verdict, fail_on="behaviour"),
            summary(shown, verdict, line="a line"),
            pages.render_page(shown, fail_on="behaviour") if _PAGES else "",
        ):
            text.encode("utf-8", "backslashreplace")


def settings(content: bytes, folder: Path) -> None:
    """A `kvparity.toml`."""
    path = folder / "kvparity.toml"
    path.write_bytes(content)
    try:
        read_settings(path)
    except KVParityError:
        return


TARGETS: dict[str, Callable[[bytes, Path], None]] = {
    "trace": trace,
    "rows": rows,
    "result": result,
    "settings": settings,
}


def _read(path: Path) -> None:
    with Trace(path) as opened:
        for _ in opened:
            pass
        Comparison("legacy-evicting", "refactored-fifo").trace(opened, workload="t", steps=_STEPS)


# ---------------------------------------------------------------------- rows from bytes


def _change(database: sqlite3.Connection, content: bytes) -> None:
    """Change fields. Each change is a table, a column, a row, a type, and the length and bytes of the value."""
    columns = {table: [row[1] for row in database.execute(f"PRAGMA table_info({table})")] for table in TABLES}
    at = 0
    while at + 5 <= len(content):
        table_no, column_no, row, kind, length = content[at : at + 5]
        at += 5
        given, at = content[at : at + length], at + length
        table = list(TABLES)[table_no % len(TABLES)]
        column = columns[table][column_no % len(columns[table])]
        key = "name" if table == "header" else "rowid"
        place = f"(SELECT {key} FROM {table} ORDER BY 1 LIMIT 1 OFFSET {row})"  # noqa: S608  our own names
        try:
            database.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = {place}", (_value(kind, given),))  # noqa: S608
        except (sqlite3.Error, OverflowError):
            continue


def _value(kind: int, given: bytes) -> Any:
    if kind % 5 == 0:
        return None
    if kind % 5 == 1:
        return int.from_bytes(given[:8].ljust(8, b"\0"), "little", signed=True)
    if kind % 5 == 2:  # noqa: PLR2004  as many kinds as SQLite has
        return struct.unpack("<d", given[:8].ljust(8, b"\0"))[0]
    if kind % 5 == 3:  # noqa: PLR2004
        return given.decode("utf-8", "replace")
    return given
