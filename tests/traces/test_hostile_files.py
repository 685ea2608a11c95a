"""Traces made to do harm: each is refused in one line, in the time and memory that a sound one takes."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from kvparity.caches.protocol import CacheSpec
from kvparity.driving.comparison import Comparison
from kvparity.errors import TraceError
from kvparity.operations import RECUR, Get, Set
from kvparity.traces import sqlite_file
from kvparity.traces.chunks import digest_of
from kvparity.traces.reader import Answer, Trace
from kvparity.traces.sqlite_file import TABLES, open_trace_file
from kvparity.traces.writer import TraceWriter
from kvparity.values.entry import KeysValues

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SPEC = CacheSpec(env_num=2, init_pool_size=3, num_simulations=2)
PAGE, BRANCHES = 16384, 2000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sound trace of 64 operations on 4 tokens of 128 bytes each."""
    path = tmp_path / "t.kvtrace"
    with TraceWriter(path, served_by="test") as writer:
        stream = writer.stream("only", SPEC)
        for key in range(32):
            value = KeysValues.from_row(torch.full((2, 1, 2, 4, 8), float(key)), [4, 4])
            writer.record(stream, Set(pool=RECUR, key=key, value=value))
            writer.record(stream, Get(pool=RECUR, key=key), Answer())
    return path


def change(path: Path, *statements: str, values: Sequence[Any] = ()) -> None:
    """Execute SQL on the file, the last statement with `values`."""
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements[:-1]:
            database.execute(statement)
        database.execute(statements[-1], values)


def refusal(path: Path) -> str:
    """What is said of a file that cannot be read whole."""
    with pytest.raises(TraceError) as raised, Trace(path) as trace:
        list(trace)
    message = str(raised.value)
    assert message.startswith(f"{path} ")
    assert "\n" not in message
    return message.removeprefix(f"{path} ")


# ---------------------------------------------------------------------- what would compute something

ENDLESS = (
    "WITH RECURSIVE endless(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM endless)"
    " SELECT n AS number, 0 AS stream, 'X' AS kind, 'r' AS family, NULL AS env, NULL AS key, NULL AS value,"
    " NULL AS amount, NULL AS outcome FROM endless"
)


def test_a_view_in_the_place_of_a_table_is_refused(path: Path) -> None:
    """It could be endless, and nobody asks it how long it is."""
    change(path, "DROP TABLE operation", f"CREATE VIEW operation AS {ENDLESS}")
    assert refusal(path).startswith("is damaged: unexpected view 'operation': \"CREATE VIEW")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW more AS SELECT 1",
        "CREATE TABLE more (number INTEGER)",
        "CREATE TRIGGER more AFTER INSERT ON header BEGIN SELECT 1; END",
        "CREATE INDEX more ON operation (abs(key))",
        "CREATE VIRTUAL TABLE more USING fts5(text)",
        "ALTER TABLE operation ADD COLUMN more TEXT GENERATED ALWAYS AS (hex(zeroblob(1000000000)))",
        "ALTER TABLE operation ADD COLUMN more TEXT DEFAULT 'x'",
    ],
)
def test_what_no_recording_has_is_refused(path: Path, statement: str) -> None:
    """Only the tables of a trace, as they are written."""
    try:
        change(path, statement)
    except sqlite3.OperationalError as error:
        if "no such module" not in str(error):
            raise
        pytest.skip(f"this SQLite was built without it: {error}")
    assert refusal(path).startswith("is damaged: unexpected ")


def test_columns_cannot_compute(path: Path) -> None:
    """Not even where the table has the right columns."""
    columns = TABLES["operation"].replace("kind TEXT NOT NULL", "kind TEXT GENERATED ALWAYS AS (hex(zeroblob(9)))")
    change(path, "DROP TABLE operation", columns)
    assert refusal(path).startswith("is damaged: unexpected table 'operation': ")


def test_nothing_can_be_written_through_a_reader(path: Path) -> None:
    """Nor can another file be attached."""
    with closing(open_trace_file(path)) as database:
        for statement in ("DELETE FROM operation", "PRAGMA user_version = 2", f"ATTACH '{path}' AS other"):
            with pytest.raises(sqlite3.DatabaseError, match=r"readonly|too many attached|not authorized"):
                database.execute(statement)


def test_attaching_is_refused_where_limits_cannot_be_set(path: Path) -> None:
    """As on Python 3.10."""
    with closing(sqlite3.connect(path)) as database:
        database.set_authorizer(sqlite_file._refuse_to_attach)
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            database.execute(f"ATTACH '{path}' AS other")
        assert database.execute("SELECT count(*) FROM operation").fetchone()[0] > 0


# ---------------------------------------------------------------------- pages that lead back to themselves


def _interior(child: int, cells: int, *, first_page: bytes | None = None, before: int | None = None) -> bytes:
    """A page of a table's tree, all of whose cells lead to the page `child`, but the first to `before`."""
    start = 0 if first_page is None else 100
    page = bytearray(PAGE)
    page[:start] = (first_page or b"")[:start]
    cell, other = PAGE - 5, PAGE - 10
    page[cell : cell + 5] = struct.pack(">IB", child, 1)
    page[other : other + 5] = struct.pack(">IB", before or child, 1)
    page[start : start + 12] = struct.pack(">BHHHBI", 5, 0, cells, other, 0, child)
    page[start + 12 : start + 12 + 2 * cells] = struct.pack(f">{cells}H", other, *[cell] * (cells - 1))
    return bytes(page)


def _root_of(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()[0])


def _append(content: bytearray, page: bytes) -> int:
    """The new page's number."""
    content += page
    pages = len(content) // PAGE
    content[28:32] = struct.pack(">I", pages)
    return pages


def test_a_trace_that_claims_a_million_million_operations_is_refused(path: Path) -> None:
    """Four pages that each lead to the next one 2,000 times, and so to the one leaf that there is."""
    content, root = bytearray(path.read_bytes()), _root_of(path, "operation")
    page = _append(content, bytes(content[(root - 1) * PAGE : root * PAGE]))
    for _ in range(3):
        page = _append(content, _interior(page, BRANCHES))
    content[(root - 1) * PAGE : root * PAGE] = _interior(page, BRANCHES)
    path.write_bytes(content)
    assert refusal(path).startswith("is damaged: ")


def test_a_schema_without_end_is_refused(path: Path) -> None:
    """The table of tables is read by SQLite itself, before anybody can check it: that ends with its budget."""
    content = bytearray(path.read_bytes())
    leaf = bytearray(content[:PAGE])
    cells = struct.unpack(">H", leaf[103:105])[0]
    pointers = leaf[108 : 108 + 2 * cells]
    whole = bytearray(PAGE)
    whole[108 + 2 * cells :] = leaf[108 + 2 * cells :]
    whole[:8], whole[8 : 8 + 2 * cells] = leaf[100:108], pointers
    page = tables = _append(content, bytes(whole))
    for at in range(cells):  # an index that SQLite makes itself has no SQL: it may come any number of times
        place = struct.unpack(">H", pointers[2 * at : 2 * at + 2])[0]
        if b"sqlite_autoindex_chunk_1" in leaf[place : place + 60]:
            whole[3:5], whole[8:10] = struct.pack(">H", 1), pointers[2 * at : 2 * at + 2]
            page = _append(content, bytes(whole))
    for _ in range(3):
        page = _append(content, _interior(page, BRANCHES))
    content[:PAGE] = _interior(page, 2, first_page=bytes(content[:PAGE]), before=tables)
    path.write_bytes(content)
    assert refusal(path).startswith("is damaged: ")


# ---------------------------------------------------------------------- what would fill the memory


def test_a_tensor_of_a_terabyte_is_refused(path: Path) -> None:
    """By its shape alone."""
    layout = {"dtypes": ["float32"], "shapes": [[1, 1 << 13, 1 << 13, 1 << 12]], "by_token": False}
    change(path, "UPDATE layout SET description = ?", values=(json.dumps(layout),))
    assert refusal(path).endswith("is larger than 2 GiB, the most that a value may have")


@pytest.mark.parametrize("fields", [{"shapes": [[1] * 65] * 2}, {"dtypes": ["bool"] * 70_000}])
def test_a_layout_of_more_than_any_value_has_is_refused(path: Path, fields: dict[str, Any]) -> None:
    """More axes than torch knows, more tensors than any model has layers; the message stays short."""
    layout = {"dtypes": ["float32"] * 2, "shapes": [[1, 2, 4, 8]] * 2, "by_token": False, **fields}
    change(path, "UPDATE layout SET description = ?", values=(json.dumps(layout),))
    message = refusal(path)
    assert message.endswith("has too many tensors or axes")
    assert len(message) < 400


def test_a_chunk_named_a_million_times_is_refused(path: Path) -> None:
    """Chunks are stored once and named often: a value is made of as many as it has room for, and no others are read."""
    megabyte = bytes(1 << 20)
    change(path, "PRAGMA user_version = 1")  # in which a chunk is a token, not several
    change(path, "INSERT INTO chunk VALUES (999, ?, ?)", values=(digest_of(megabyte, 0), megabyte))
    change(path, "UPDATE value SET chunks = ? WHERE id = 1", values=(np.full(1_000_000, 999, dtype="<i8").tobytes(),))
    assert refusal(path) == "is damaged: 1000000 chunks where 4 tokens were expected"
    change(path, "UPDATE value SET chunks = ? WHERE id = 1", values=(np.full(4, 999, dtype="<i8").tobytes(),))
    assert refusal(path) == "is damaged: 1048576 bytes where a tensor [2, 1, 2, 8] of torch.float32 was expected"


@pytest.mark.parametrize("address", [1 << 20 | 32 * 4, (1 << 21) - 1, 1 << 62, -1])
def test_a_part_that_is_not_in_its_chunk_is_refused(path: Path, address: int) -> None:
    """Behind its end, and in no chunk that there is."""
    change(path, "UPDATE value SET chunks = ? WHERE id = 1", values=(np.full(4, address, dtype="<i8").tobytes(),))
    assert refusal(path).startswith(("is damaged: 0 bytes where a tensor [2, 1, 2, 8]", "is damaged: chunk "))


@pytest.mark.parametrize(
    ("streams", "spec"),
    [(1, CacheSpec(env_num=16_385)), (1, CacheSpec(num_simulations=200_000)), (9, CacheSpec(num_simulations=15_000))],
)
def test_streams_of_too_many_slots_are_refused(tmp_path: Path, streams: int, spec: CacheSpec) -> None:
    """All of them together, since all of them are made."""
    with TraceWriter(tmp_path / "t.kvtrace", served_by="test") as writer:
        for stream in range(streams):
            writer.stream(str(stream), spec)
    assert refusal(tmp_path / "t.kvtrace").startswith("is damaged: its streams ask for pools with ")


def test_caches_larger_than_the_machine_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file can name large values often; fewer operations of it may be replayed."""
    monkeypatch.setattr("kvparity.driving.comparison.machine_bytes", lambda: 2 * 6 * 512)
    comparison = Comparison("legacy-evicting", "refactored-fifo")
    with Trace(path) as trace:
        assert trace.most_bytes() == (2 * 3 + 2 * 2 + 2) * 512
        with pytest.raises(
            TraceError, match="may need 12,288 bytes for its caches, and this machine has 6,144: replay fewer"
        ):
            comparison.trace(trace, workload="t")
        assert comparison.trace(trace, workload="t", steps=6).operations_total == 6


def test_a_file_that_never_ends_is_refused(tmp_path: Path) -> None:
    """A pipe is not waited for."""
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe").startswith("is not a regular file: ")


READ_IN_LITTLE_MEMORY = """
import resource
import sys
from kvparity import Trace
from kvparity.errors import TraceError

there = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    with Trace(sys.argv[1]) as trace:
        list(trace)
except TraceError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - there) // 1024)
"""


def test_what_is_refused_takes_no_memory(path: Path) -> None:
    """A value of two gigabytes, whose chunks are not of that size: a process grows by less than 64 MB to find out."""
    layout = {"dtypes": ["uint8"] * 2, "shapes": [[1, 1, 4, 1 << 28]] * 2, "by_token": True}
    change(path, "UPDATE layout SET description = ?", values=(json.dumps(layout),))
    command = [sys.executable, "-c", READ_IN_LITTLE_MEMORY, str(path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)  # noqa: S603
    message, grown_mb = told.stdout.splitlines()
    assert message.endswith("4096 bytes where a tensor [2, 1, 1, 268435456] of torch.uint8 was expected")
    assert int(grown_mb) < 64
