"""Reading traces: at random, in order, and one clear line for every file that is not one or is damaged."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import torch
import xxhash

from harness.caches import CacheSpec
from harness.errors import TraceError
from harness.operations import RECUR, Checkout, Clear, Get, Operation, Set, Write, init
from harness.recording import TraceWriter
from harness.trace import SCHEMA, Answer, Recorded, Trace, stand_in
from harness.values import KeysValues, fingerprint

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
    expected = "is not a kvparity trace: it does not begin as an SQLite database does"
    assert refusal(tmp_path / "other") == expected


def test_another_database(tmp_path: Path) -> None:
    """SQLite, but of another application."""
    change(tmp_path / "other", "CREATE TABLE operation (number INTEGER)")
    assert refusal(tmp_path / "other") == "is an SQLite database, but not a kvparity trace"


def test_a_newer_schema(path: Path) -> None:
    """Names both versions and the remedy."""
    change(path, "PRAGMA user_version = 99")
    assert refusal(path) == f"has trace schema 99; this kvparity reads schemas up to {SCHEMA}: upgrade kvparity"


# ---------------------------------------------------------------------- damage


@pytest.mark.parametrize("table", ["header", "stream", "layout", "chunk", "value", "operation"])
def test_a_missing_table(path: Path, table: str) -> None:
    """Is named."""
    change(path, f"DROP TABLE {table}")
    assert refusal(path) == f"is damaged: no such table: {table}"


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


def test_a_layout_that_is_no_json(path: Path) -> None:
    """Is told in the parser's words."""
    change(path, "UPDATE layout SET description = 'x' WHERE id = 1")
    assert refusal(path) == "is damaged: Expecting value: line 1 column 1 (char 0)"


@pytest.mark.parametrize("length", [0, 1, 127, 129])
def test_a_chunk_of_the_wrong_length(path: Path, length: int) -> None:
    """A value is made of as many bytes as its layout says: here four tokens of 128."""
    data = bytes(length)
    change(path, "UPDATE chunk SET data = ?, digest = ? WHERE id = 1", values=(data, xxhash.xxh3_128_digest(data)))
    assert refusal(path) == (
        f"is damaged: {3 * 128 + length} bytes where a tensor [4, 2, 1, 2, 8] of torch.float32 was expected"
    )


def test_a_value_without_tensors(path: Path) -> None:
    """A trace that says that it has tensors must have them."""
    change(path, "UPDATE value SET layout = NULL WHERE id = 1")
    assert refusal(path) == "is damaged: value 1 has no tensors"


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
