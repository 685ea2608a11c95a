"""What recorded values become: copies in memory that is used again, and each content once."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest
import torch

from kvparity.operations import RECUR, Operation, Set, Write
from kvparity.traces import rows, writer
from kvparity.traces.reader import Trace
from kvparity.values.entry import KeysValues, size_bytes
from kvparity.values.fingerprints import fingerprint
from support.recordings import SHAPE, entry, numbers, recorded, values

if TYPE_CHECKING:
    from pathlib import Path

# ---------------------------------------------------------------------- copies


def test_a_copys_memory_is_used_again_when_it_is_given_back() -> None:
    """And no sooner; a copy that is kept stays what it was."""
    copies = rows.Copies()
    first, second = copies.of(entry(1)), copies.of(entry(2))
    assert isinstance(first, rows.Row)
    assert isinstance(second, rows.Row)
    place = first.row.data_ptr()
    copies.give_back(first.row)
    third = copies.of(entry(3))
    assert isinstance(third, rows.Row)
    assert third.row.data_ptr() == place
    assert fingerprint(KeysValues.from_row(third.row, third.sizes)) == fingerprint(entry(3))
    assert fingerprint(KeysValues.from_row(second.row, second.sizes)) == fingerprint(entry(2))


@pytest.mark.parametrize(
    "other",
    [
        entry(2, dtype=torch.float64),
        KeysValues.from_row(numbers(2, shape=(4, 2, *SHAPE[1:])), (0, 1, 2, 4)),
        KeysValues.from_row(numbers(2, shape=(2, *SHAPE)), (0, 1)),
        KeysValues.from_row(numbers(2, shape=(4, *SHAPE)).requires_grad_(), (0, 1, 2, 4)),
    ],
    ids=["another dtype", "another shape", "fewer layers", "a gradient"],
)
def test_a_copy_of_another_kind_gets_memory_of_its_own(other: KeysValues) -> None:
    """Nothing is cast, nothing is resized."""
    copies = rows.Copies()
    spare = copies.of(entry(1))
    assert isinstance(spare, rows.Row)
    copies.give_back(spare.row)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copy = copies.of(other)
    value = KeysValues.from_row(copy.row, copy.sizes) if isinstance(copy, rows.Row) else copy
    assert fingerprint(value) == fingerprint(other)
    assert fingerprint(KeysValues.from_row(spare.row, spare.sizes)) == fingerprint(entry(1))


def test_what_is_recorded_for_long_is_what_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many batches, whose copies lie in memory of the batches before."""
    monkeypatch.setattr(writer, "_BATCH_OPERATIONS", 8)
    monkeypatch.setattr(writer, "_PAUSE_SECONDS", 0.0)
    found = recorded(tmp_path / "t.kvtrace", [Set(pool=RECUR, key=key, value=entry(key)) for key in range(200)])
    assert [fingerprint(value) for value in values(found)] == [fingerprint(entry(key)) for key in range(200)]


@pytest.mark.parametrize("number", [-0.0, 0.0])
def test_a_zero_comes_back_with_its_sign(tmp_path: Path, number: float) -> None:
    """As fill and as priority, although SQLite's numbers know one zero only."""
    operations = [Write(env=0, fill=number), Set(pool=RECUR, key=1, value=entry(1), priority=number)]
    write, store = recorded(tmp_path / "t.kvtrace", operations)
    assert repr(write.operation.fill) == repr(store.operation.priority) == repr(number)  # type: ignore[union-attr]


# ---------------------------------------------------------------------- stored once


def test_the_same_content_is_stored_once(tmp_path: Path) -> None:
    """However often and under however many keys it is set."""
    path = tmp_path / "t.kvtrace"
    recorded(path, [Set(pool=RECUR, key=key, value=entry(key % 3)) for key in range(300)])
    with Trace(path) as trace:
        counts = [
            trace._database.execute(f"SELECT {what} FROM {table}").fetchone()[0]  # noqa: S608
            for what, table in (("count(*)", "value"), ("sum(length(data))", "chunk"), ("count(*)", "layout"))
        ]
    assert counts == [3, 3 * size_bytes(entry(0)), 1]


def test_values_without_anything_in_common_take_hardly_more_room_than_their_tensors(tmp_path: Path) -> None:
    """Two in a hundred more, and what an empty file takes."""
    empty, path = tmp_path / "empty.kvtrace", tmp_path / "t.kvtrace"
    recorded(empty, [])
    operations = [
        Set(pool=RECUR, key=key, value=KeysValues.from_row(numbers(key, shape=(4, 1, 8, 20, 96)), [20] * 4))
        for key in range(40)
    ]
    tensors = sum(size_bytes(each.value) for each in operations)
    recorded(path, operations)
    assert path.stat().st_size - empty.stat().st_size < 1.02 * tensors


def test_tokens_that_are_forgotten_are_stored_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In chunks of the same bytes, which are not mistaken for one another."""
    monkeypatch.setattr(rows, "_REMEMBERED", 2)
    monkeypatch.setattr(writer, "_BATCH_OPERATIONS", 1)
    drawn = [numbers(seed, shape=(4, *SHAPE)) for seed in (1, 2, 1)]
    operations = [Set(pool=RECUR, key=n, value=KeysValues.from_row(row, [n] * 4)) for n, row in enumerate(drawn)]
    found = values(recorded(tmp_path / "t.kvtrace", operations))
    assert [fingerprint(value) for value in found] == [fingerprint(each.value) for each in operations]


def test_a_chunk_that_is_full_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value may have its tokens in several."""
    monkeypatch.setattr(rows, "_CHUNK_BYTES", 3 * size_bytes(entry(0)) // SHAPE[2])
    path = tmp_path / "t.kvtrace"
    found = values(recorded(path, [Set(pool=RECUR, key=seed, value=entry(seed)) for seed in range(5)]))
    assert [fingerprint(value) for value in found] == [fingerprint(entry(seed)) for seed in range(5)]
    with Trace(path) as trace:
        assert trace._database.execute("SELECT count(*) FROM chunk").fetchone() == (7,)


def test_contexts_that_share_tokens_share_their_storage(tmp_path: Path) -> None:
    """A hundred contexts that grow by a token each take far less room than their tensors."""
    path, row = tmp_path / "t.kvtrace", torch.zeros(4, 1, 2, 128, 32)
    operations: list[Operation] = []
    for size in range(100):
        row[..., size, :] = numbers(size, shape=(4, 1, 2, 32))
        operations.append(Set(pool=RECUR, key=size, value=KeysValues.from_row(row.clone(), [size + 1] * 4)))
    found = values(recorded(path, operations))
    assert [fingerprint(value) for value in found] == [fingerprint(each.value) for each in operations]
    assert path.stat().st_size * 20 < sum(size_bytes(value) for value in found)


def test_what_is_forgotten_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room to remember only two contents, each is still stored once and comes back."""
    monkeypatch.setattr(rows, "_REMEMBERED", 2)
    path = tmp_path / "t.kvtrace"
    found = values(recorded(path, [Set(pool=RECUR, key=key, value=entry(key % 5)) for key in range(20)]))
    assert [fingerprint(value) for value in found] == [fingerprint(entry(key % 5)) for key in range(20)]
    with Trace(path) as trace:
        assert trace._database.execute("SELECT count(*) FROM value").fetchone() == (5,)
