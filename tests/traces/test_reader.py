"""Reading traces: at random, in order, and one clear line for every file that is not one or is damaged."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from kvparity.caches.protocol import CacheSpec
from kvparity.errors import TraceError
from kvparity.operations import RECUR, Checkout, Clear, Get, Operation, Set, Write, init
from kvparity.traces.chunks import digest_of, stand_in
from kvparity.traces.reader import Answer, Recorded, Trace
from kvparity.traces.sqlite_file import SCHEMA
from kvparity.traces.writer import TraceWriter
from kvparity.values.entry import KeysValues
from kvparity.values.fingerprints import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SPEC = CacheSpec(env_num=4, init_pool_size=3, num_simulations=4)


def entry(seed: int) -> KeysValues:
    """One layer in one row `[2, 1, 2, 4, 8]`."""
    generator = torch.Generator().manual_seed(seed)
    return KeysValues.from_row(torch.randn(2, 1, 2, 4, 8, generator=generator), (seed % 5, 4))


def odd(seed: int) -> KeysValues:
    """One layer, whose K and V are of other shapes."""
    generator = torch.Generator().manual_seed(seed)
    return KeysValues([torch.randn(1, 2, n, 8, generator=generator) for n in (4, 6)], (1, 2))


def operations() -> list[tuple[Operation, Answer | None]]:
    """Forty of all kinds, half of the sets each kind of entry."""
    found: list[tuple[Operation, Answer | None]] = []
    for key in range(8):
        value = odd(key) if key % 2 else entry(key)
        answer = Answer(fingerprint=fingerprint(value), source="init")
        found += [
            (Set(pool=init(key % 4), key=key, value=value, priority=key / 2), None),
            (Checkout(env=key % 4, key=key), answer),
            (Write(env=key % 4, fill=1.5), None),
            (Get(pool=RECUR, key=key), Answer() if key % 3 else Answer(error="TypeError")),
            (Clear(pool=RECUR), None),
        ]
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A valid trace."""
    path = tmp_path / "valid.kvtrace"
    with TraceWriter(path, served_by="test", seed=7) as writer:
        stream = writer.stream("only", SPEC)
        for operation, answer in operations():
            writer.record(stream, operation, answer)
    return path


def change(path: Path, *statements: str, values: Sequence[Any] = ()) -> None:
    """Execute SQL on the file, the last statement with `values`."""
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements[:-1]:
            database.execute(statement)
        database.execute(statements[-1], values)


def read_all(path: Path) -> list[Recorded]:
    """Every operation."""
    with Trace(path) as trace:
        return list(trace)


def refusal(path: Path) -> str:
    """What is said of a file that cannot be read whole; it is one line that begins with the file's name."""
    with pytest.raises(TraceError) as raised:
        read_all(path)
    message = str(raised.value)
    assert message.startswith(f"{path} ")
    assert "\n" not in message
    return message.removeprefix(f"{path} ")


# ---------------------------------------------------------------------- reading


def test_iterates_over_all_operations_in_order(path: Path) -> None:
    """Numbered from 0, as many as its length, and as often as is asked for."""
    with Trace(path) as trace:
        assert len(trace) == 40
        for _ in range(2):
            assert [recorded.number for recorded in trace] == list(range(40))


def test_an_operation_can_be_read_by_its_number(path: Path) -> None:
    """In any order, each as iteration gives it."""
    with Trace(path) as trace:
        for number in (39, 0, 17, 3, 17):
            operation, answer = operations()[number]
            recorded = trace[number]
            assert (recorded.number, recorded.stream, recorded.answer) == (number, 0, answer)
            assert type(recorded.operation) is type(operation)
            if isinstance(operation, Set):
                assert fingerprint(recorded.operation.value) == fingerprint(operation.value)  # type: ignore[union-attr]
            else:
                assert recorded.operation == operation


@pytest.mark.parametrize("number", [-1, 40, 1000])
def test_a_number_that_is_not_there_is_told(path: Path, number: int) -> None:
    """The message says how many there are."""
    with Trace(path) as trace, pytest.raises(IndexError, match=rf"^operation {number} is outside \[0, 40\) of "):
        trace[number]


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, None, range(40)),
        (5, 9, range(5, 9)),
        (38, None, range(38, 40)),
        (38, 99, range(38, 40)),
        (9, 5, range(0)),
        (40, None, range(0)),
    ],
)
def test_a_part_can_be_read(path: Path, start: int, stop: int | None, expected: range) -> None:
    """From `start` up to `stop`, as far as there are operations."""
    with Trace(path) as trace:
        assert [recorded.number for recorded in trace.operations(start, stop)] == list(expected)


def test_two_readings_at_once_do_not_disturb_each_other(path: Path) -> None:
    """Iterations are independent."""
    with Trace(path) as trace:
        pairs = list(zip(trace, trace.operations(1), strict=False))
    assert [(first.number, second.number) for first, second in pairs] == [(n, n + 1) for n in range(39)]


def test_reading_changes_nothing(path: Path) -> None:
    """The file stays as it is, and nothing comes to lie beside it."""
    before = path.read_bytes()
    read_all(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_trace_without_operations_is_empty(tmp_path: Path) -> None:
    """A recording may end before anything happened."""
    TraceWriter(tmp_path / "t.kvtrace", served_by="test").close()
    assert read_all(tmp_path / "t.kvtrace") == []


# ---------------------------------------------------------------------- stand-ins


def test_stand_ins_are_told_apart_by_every_byte() -> None:
    """A fingerprint that differs in one bit of one byte gives another value."""
    digest = bytes(range(16))
    others = {fingerprint(stand_in(digest[:at] + bytes([digest[at] ^ 1]) + digest[at + 1 :])) for at in range(16)}
    assert len(others | {fingerprint(stand_in(digest))}) == 17
    assert fingerprint(stand_in(digest)) == fingerprint(stand_in(digest))


# ---------------------------------------------------------------------- files that are no traces


def test_a_missing_file(tmp_path: Path) -> None:
    """Says so."""
    assert refusal(tmp_path / "none.kvtrace") == "does not exist"


def test_a_directory(tmp_path: Path) -> None:
    """Is no file."""
    assert refusal(tmp_path) == "is a directory, not a trace file"


def test_a_path_through_a_file(path: Path) -> None:
    """Cannot be followed."""
    assert refusal(path / "t.kvtrace") == "cannot be read: Not a directory"


@pytest.mark.parametrize("content", [b"", b"SQLite format 3", b"operations: none\n", b"PK\x03\x04" + bytes(100)])
def test_a_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    """Empty, too short, a text, an archive."""
    (tmp_path / "other").write_bytes(content)
    expected = "is not a kvparity trace: it does not begin like an SQLite database"
    assert refusal(tmp_path / "other") == expected


def test_another_database(tmp_path: Path) -> None:
    """SQLite, but of another application."""
    change(tmp_path / "other", "CREATE TABLE operation (number INTEGER)")
    assert refusal(tmp_path / "other") == "is an SQLite database, but no kvparity trace"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_that_is_cut_short(path: Path, share: float) -> None:
    """Says how much is there and what to do."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    sizes = f"{int(len(whole) * share):,} of {len(whole):,} bytes"
    assert refusal(path) == f"is incomplete: it has {sizes}; copy it again"


def test_a_newer_schema(path: Path) -> None:
    """Names both versions and the remedy."""
    change(path, "PRAGMA user_version = 99")
    assert refusal(path) == f"has trace schema 99; this kvparity reads schemas up to {SCHEMA}: upgrade kvparity"


@pytest.mark.parametrize("schema", [0, -1])
def test_a_schema_that_never_was(path: Path, schema: int) -> None:
    """There is none before the first."""
    change(path, f"PRAGMA user_version = {schema}")
    assert refusal(path) == f"is damaged: trace schema {schema} does not exist"


# ---------------------------------------------------------------------- damage


@pytest.mark.parametrize("table", ["header", "stream", "layout", "chunk", "value", "operation"])
def test_a_missing_table(path: Path, table: str) -> None:
    """Is named."""
    change(path, f"DROP TABLE {table}")
    assert refusal(path) == f"is damaged: the table {table} is missing"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("tensors", '"some"', "the header says tensors='some'"),
        ("tensors", "[]", "the header says tensors=[]"),
        ("served_by", "7", "the header says served_by=7"),
        ("seed", '"x"', "the header says seed='x'"),
        ("complete", "null", "the header says complete=None"),
        ("versions", "[]", "the header says versions=[]"),
        ("note", "{", "Expecting property name"),
        ("note", "[" * 100_000, ""),
        ("colour", "1", "unexpected keyword argument 'colour'"),
    ],
)
def test_a_header_that_is_wrong(path: Path, name: str, value: str, message: str) -> None:
    """Fields of the wrong type, unknown ones, and ones that are no JSON."""
    change(path, "INSERT OR REPLACE INTO header VALUES (?, ?)", values=(name, value))
    found = refusal(path)
    assert found.startswith("is damaged: ")
    assert message in found


def test_a_header_that_lacks_a_field(path: Path) -> None:
    """Who served must be said."""
    change(path, "DELETE FROM header WHERE name = 'served_by'")
    assert "'served_by'" in refusal(path)


@pytest.mark.parametrize(
    "spec", ["7", "{}x", '{"env_num": 0}', '{"env_num": "8"}', '{"environments": 8}', '{"env_num": 1e999}']
)
def test_a_stream_of_impossible_sizes(path: Path, spec: str) -> None:
    """A stream's sizes are those of caches that can be built."""
    change(path, "UPDATE stream SET spec = ?", values=(spec,))
    assert refusal(path).startswith("is damaged: ")


HUGE = [1, 2, 1 << 40, 8]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shapes": [HUGE, HUGE]}, "has a shape that is impossible"),
        ({"shapes": [[1, 2, 1 << 30, 8]] * 2}, "is larger than 2 GiB, the most that a value may have"),
        ({"shapes": [[1, 2, 0, 8]] * 2}, "4 chunks where 0 tokens were expected"),
        ({"shapes": [[0, 1 << 31, 1 << 31, 1 << 31]] * 2, "by_token": False}, "is larger than 2 GiB"),
        ({"shapes": [[1, -2, 4, -8]] * 2}, "has a shape that is impossible"),
        ({"shapes": [[1, 2.5, 4, 8]] * 2}, "has a shape that is impossible"),
        ({"shapes": [[1, 2, 4, float("inf")]] * 2}, "has a shape that is impossible"),
        ({"shapes": [[1, 2, 4, 8]]}, "does not have a known dtype and a shape for each tensor"),
        ({"shapes": 7}, ""),
        ({"shapes": [[1, 2, 4, 8], [1, 2, 8, 4]]}, "cannot be cut into tokens"),
        ({"shapes": [[2, 4, 8]] * 2}, "cannot be cut into tokens"),
        ({"shapes": [], "dtypes": []}, "cannot be cut into tokens"),
        ({"dtypes": ["float32", "int32"]}, "cannot be cut into tokens"),
        ({"dtypes": ["float32"]}, "does not have a known dtype and a shape for each tensor"),
        ({"dtypes": ["float128"] * 2}, "does not have a known dtype and a shape for each tensor"),
        ({"dtypes": ["qint32"] * 2}, "does not have a known dtype and a shape for each tensor"),
        ({"dtypes": ["compile"] * 2}, "does not have a known dtype and a shape for each tensor"),
        ({"dtypes": [7, 7]}, ""),
        ({"dtypes": None}, ""),
    ],
)
def test_a_layout_that_is_wrong(path: Path, fields: dict[str, Any], message: str) -> None:
    """Huge, impossible and inconsistent tensors are refused before any memory is asked for."""
    layout = {"dtypes": ["float32"] * 2, "shapes": [[1, 2, 4, 8]] * 2, "by_token": True, **fields}
    change(path, "UPDATE layout SET description = ? WHERE id = 1", values=(json.dumps(layout),))
    found = refusal(path)
    assert found.startswith("is damaged: ")
    assert message in found


def test_a_layout_that_is_no_json(path: Path) -> None:
    """Is told in the parser's words."""
    change(path, "UPDATE layout SET description = 'x' WHERE id = 1")
    assert refusal(path) == "is damaged: Expecting value: line 1 column 1 (char 0)"


def test_a_chunk_that_changed(path: Path) -> None:
    """Each chunk carries a digest of its bytes."""
    change(path, "UPDATE chunk SET data = zeroblob(length(data)) WHERE id = 1")
    assert refusal(path) == "is damaged: chunk 1 does not match its digest"


@pytest.mark.parametrize("length", [0, 1, 127, 129])
def test_a_chunk_of_the_wrong_length(path: Path, length: int) -> None:
    """A value is made of as many bytes as its layout says: here four tokens of 128."""
    data = bytes(length)
    change(path, "UPDATE chunk SET data = ?, digest = ? WHERE id = 1", values=(data, digest_of(data, 1)))
    there = length if length < 128 else length - 128  # of the first token that is not whole
    assert refusal(path) == (f"is damaged: {there} bytes where a tensor [2, 1, 2, 8] of torch.float32 was expected")


@pytest.mark.parametrize("length", [0, 1, 127, 129])
def test_a_chunk_of_the_wrong_length_in_schema_1(path: Path, length: int) -> None:
    """There it is one token."""
    data = bytes(length)
    change(path, "PRAGMA user_version = 1")
    change(path, "UPDATE value SET chunks = ?", values=(np.ones(4, dtype="<i8").tobytes(),))
    change(path, "UPDATE chunk SET data = ?, digest = ? WHERE id = 1", values=(data, digest_of(data, 0)))
    assert refusal(path) == (f"is damaged: {length} bytes where a tensor [2, 1, 2, 8] of torch.float32 was expected")


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        (b"", "0 chunks where 4 tokens were expected"),
        (b"\x01" + bytes(7), "1 chunks where 4 tokens were expected"),
        ((b"\x01" + bytes(7)) * 100_000, "100000 chunks where 4 tokens were expected"),
        (b"\xff" * 32, "chunk -1 is missing"),
        (b"\x01\x00\x00", "buffer size must be a multiple of element size"),
        (None, ""),
        ("text", ""),
    ],
)
def test_chunks_that_are_wrong(path: Path, chunks: Any, message: str) -> None:
    """Too few, too many, absent ones, and what is no list of numbers."""
    change(path, "UPDATE value SET chunks = ? WHERE id = 1", values=(chunks,))
    found = refusal(path)
    assert found.startswith("is damaged: ")
    assert message in found


@pytest.mark.parametrize("sizes", ["[1]", "[1, 2, 3]", '["1", 2]', "[1, 2.5]", "[true, 1]", "7", "x", None])
def test_sizes_that_are_wrong(path: Path, sizes: Any) -> None:
    """As many integers as tensors, and nothing else."""
    change(path, "UPDATE value SET sizes = ? WHERE id = 1", values=(sizes,))
    assert refusal(path).startswith("is damaged: ")


@pytest.mark.parametrize("digest", [b"", bytes(15), bytes(17), "0123456789abcdef"])
def test_a_fingerprint_that_is_none(path: Path, digest: Any) -> None:
    """Sixteen bytes, in traces of tensors and of fingerprints."""
    change(path, "UPDATE value SET fingerprint = ? WHERE id = 1", values=(digest,))
    assert refusal(path).startswith("is damaged: fingerprint ")
    change(
        path, "UPDATE value SET layout = NULL", """UPDATE header SET value = '"fingerprint"' WHERE name = 'tensors'"""
    )
    assert refusal(path).startswith("is damaged: fingerprint ")


def test_a_value_without_tensors(path: Path) -> None:
    """A trace that says that it has tensors must have them."""
    change(path, "UPDATE value SET layout = NULL WHERE id = 1")
    assert refusal(path) == "is damaged: value 1 has no tensors"


def test_a_layout_that_is_not_there(path: Path) -> None:
    """Is named with the value that wants it."""
    change(path, "UPDATE value SET layout = 77 WHERE id = 1")
    assert refusal(path) == "is damaged: value 1 has layout 77, which is not in the file"


def test_operations_that_are_missing(path: Path) -> None:
    """A gap in the numbers is noticed when the file is opened."""
    change(path, "DELETE FROM operation WHERE number = 20")
    assert refusal(path) == "is damaged: 39 operations have numbers from 0 to 39: some are missing"


@pytest.mark.parametrize("number", [-1, 41, 2**63 - 1])
def test_an_operation_of_an_impossible_number(path: Path, number: int) -> None:
    """Numbers are places."""
    change(path, "UPDATE operation SET number = ? WHERE number = 39", values=(number,))
    assert "some are missing" in refusal(path)


@pytest.mark.parametrize(
    ("where", "column", "value", "message"),
    [
        ("number = 0", "stream", 5, "operation 0 names stream 5, which is not in the file"),
        ("number = 0", "kind", "Q", "operation 0 is of unknown kind 'Q' in pool 'i'"),
        ("number = 0", "kind", b"S", "operation 0 is of unknown kind b'S' in pool 'i'"),
        ("number = 0", "kind", "C", "operation 0 is of unknown kind 'C' in pool 'i'"),
        ("number = 0", "family", "q", "'q'"),
        ("number = 0", "family", "a", "operation 0 is of unknown kind 'S' in pool 'a'"),
        ("number = 0", "family", None, "operation 0 is of unknown kind 'S' in pool None"),
        ("number = 0", "env", 4, "operation 0 names env 4, which is outside [0, 4)"),
        ("number = 0", "env", -1, "operation 0 names env -1, which is outside [0, 4)"),
        ("number = 0", "env", None, "operation 0 names env None, which is outside [0, 4)"),
        ("number = 0", "env", "x", "operation 0 names env x, which is outside [0, 4)"),
        ("number = 1", "env", 4, "operation 1 names env 4, which is outside [0, 4)"),
        ("number = 1", "env", 0.5, "operation 1 names env 0.5, which is outside [0, 4)"),
        ("number = 2", "env", 99, "operation 2 names env 99, which is outside [0, 4)"),
        ("number = 2", "env", None, "operation 2 names env None, which is outside [0, 4)"),
        ("number = 4", "family", "i", None),
        ("number = 0", "key", "x", "key 'x' is not an integer"),
        ("number = 0", "key", None, "key None is not an integer"),
        ("number = 1", "key", 0.5, "key 0.5 is not an integer"),
        ("number = 0", "value", 9999, "value 9999 is missing"),
        ("number = 0", "value", None, "value None is missing"),
        ("number = 0", "amount", "x", "could not convert string to float: 'x'"),
        ("number = 2", "amount", None, ""),
        ("number = 1", "outcome", "maybe", "outcome 'maybe' is unknown"),
        ("number = 1", "outcome", "hit twice", "outcome 'hit twice' is unknown"),
        ("number = 1", "outcome", b"hit", ""),
        ("number = 1", "value", None, "value None is missing"),
    ],
)
def test_an_operation_that_is_wrong(path: Path, where: str, column: str, value: Any, message: str | None) -> None:
    """Whatever a column may hold that no writer put there."""
    change(path, f"UPDATE operation SET {column} = ? WHERE {where}", values=(value,))  # noqa: S608
    if message is None:  # a clear of every init pool is one
        assert str(read_all(path)[4].operation) == "Clear(pool=PoolId(family='init', env=None))"
        return
    found = refusal(path)
    assert found.startswith("is damaged: ")
    assert message in found


def flipped(content: bytes, rng: random.Random) -> bytes:
    """The same with 1 to 8 bytes changed, most of them where there is something."""
    octets = bytearray(content)
    used = [at for at, octet in enumerate(content) if octet]
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.choice(used) if rng.random() < 0.8 else rng.randrange(len(octets))
        octets[at] = rng.randrange(256)
    return bytes(octets)


def shortened(content: bytes, rng: random.Random) -> bytes:
    """The beginning."""
    return content[: rng.randrange(len(content))]


def without_a_part(content: bytes, rng: random.Random) -> bytes:
    """The same with a stretch of zeros in it."""
    start, length = rng.randrange(len(content)), rng.choice((16, 512, 16384))
    return content[:start] + bytes(min(length, len(content) - start)) + content[start + length :]


@pytest.mark.parametrize(
    ("mutate", "mutants"),
    [(flipped, 300), (shortened, 30), (without_a_part, 60)],
    ids=["flipped", "shortened", "without-a-part"],
)
def test_a_damaged_file_is_refused_or_readable(
    path: Path, mutate: Callable[[bytes, random.Random], bytes], mutants: int
) -> None:
    """Random damage ends in one clear line or in operations, and in nothing else."""
    rng, content = random.Random(20260630), path.read_bytes()
    lines: list[str] = []
    for mutant in range(mutants):
        damaged = path.with_name(f"{mutant}.kvtrace")
        damaged.write_bytes(mutate(content, rng))
        try:
            found = read_all(damaged)
        except TraceError as error:
            lines.append(str(error).replace(str(damaged), "FILE"))
        else:
            assert all(isinstance(recorded.operation, Operation) for recorded in found)
    assert len(lines) > mutants // 20
    assert all(line.startswith("FILE ") and "\n" not in line for line in lines)


def test_a_stream_of_absurd_sizes_is_refused(tmp_path: Path) -> None:
    """Pools are made in memory, so a file may not ask for any number of them."""
    path = tmp_path / "huge.kvtrace"
    with TraceWriter(path, served_by="test") as writer:
        writer.stream("huge", CacheSpec(env_num=1_000_000_000))
    with pytest.raises(TraceError, match=r"ask for pools with 46,000,000,000 slots for 1,000,000,000 environments"):
        Trace(path)
