"""Workloads in memory: how much of them, and with which values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kvparity import CacheSpec, Get, Set, TraceWriter, fingerprint, init
from kvparity.bench import workload
from kvparity.bench.workload import Shape, load
from kvparity.errors import TraceError, UsageError
from kvparity.search.case import plain
from kvparity.values.entry import read

if TYPE_CHECKING:
    from pathlib import Path


def values(found: workload.Workload) -> list[object]:
    """Those of its sets."""
    return [operation.value for _, operation in found.operations if isinstance(operation, Set)]


def recorded(path: Path, *, tensors: str = "full") -> Path:
    """A trace of two streams: a set and a get in each."""
    with TraceWriter(path, served_by="test", tensors=tensors) as writer:
        for name in ("collect", "eval"):
            stream = writer.stream(name, CacheSpec(env_num=2))
            writer.record(stream, Set(pool=init(1), key=1, value=plain(7)))
            writer.record(stream, Get(pool=init(1), key=1))
    return path


def test_a_scenario_is_as_long_as_was_asked_for() -> None:
    """It never ends of itself; the seed decides what it is."""
    found = load("mcts", steps=300, seed=1)
    assert (len(found.operations), found.offered, set(found.specs)) == (300, None, {0})
    other = load("mcts", steps=300, seed=2)
    assert [each.key for _, each in found.operations if isinstance(each, Set)] != [
        each.key for _, each in other.operations if isinstance(each, Set)
    ]


def test_a_trace_keeps_its_streams_and_values(tmp_path: Path) -> None:
    """And says how many operations it has in all."""
    found = load(str(recorded(tmp_path / "two.kvtrace")), steps=3, seed=0)
    assert ([stream for stream, _ in found.operations], found.offered) == ([0, 0, 1], 4)
    assert set(found.specs) == {0, 1}
    assert [fingerprint(value) for value in values(found)] == [fingerprint(plain(7))] * 2
    assert found.values == "1 layer, [1, 1, 2, 2] float32"


def test_a_trace_of_fingerprints_gets_values_of_a_real_size(tmp_path: Path) -> None:
    """CartPole UniZero's, and what is shown says that they stand in."""
    found = load(str(recorded(tmp_path / "small.kvtrace", tensors="fingerprint")), steps=9, seed=0)
    assert [tuple(tensor.shape) for tensor in read(values(found)[0])[0]] == [(1, 2, 8, 32)] * 4
    assert found.values == "2 layers, [1, 2, 8, 32] float32, standing in for its own"


def test_an_entry_gives_all_values_that_shape() -> None:
    """Whatever the workload's own have."""
    found = load("multitask", steps=200, seed=0, entry=Shape(layers=1, heads=3, tokens=5, head_dim=7))
    assert {tuple(tensor.shape) for value in values(found) for tensor in read(value)[0]} == {(1, 3, 5, 7)}


def test_memory_bounds_what_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer operations, rather than more memory than the limit."""
    monkeypatch.setattr(workload, "MOST_BYTES", 100_000)
    found = load("mcts", steps=20_000, seed=0)
    assert len(values(found)) == 12  # of 8,192 bytes each


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mctss", "there is no scenario and no trace 'mctss': did you mean mcts?"),
        ("cartpole-unizero-10sims", "did you mean cartpole-unizero-100sims?"),
        ("nowhere:Scenario", "No module named 'nowhere'"),
    ],
)
def test_a_name_that_leads_nowhere_is_told(name: str, message: str) -> None:
    """With the nearest that there is."""
    with pytest.raises(UsageError) as refusal:
        load(name, steps=1, seed=0)
    assert message in str(refusal.value)


def test_a_file_that_is_no_trace_is_told(tmp_path: Path) -> None:
    """As everywhere."""
    path = tmp_path / "notes.kvtrace"
    path.write_text("hello")
    with pytest.raises(TraceError, match="is not a kvparity trace"):
        load(str(path), steps=1, seed=0)


def test_a_trace_without_operations_is_told(tmp_path: Path) -> None:
    """There is nothing to measure."""
    path = tmp_path / "empty.kvtrace"
    with TraceWriter(path, served_by="test") as writer:
        writer.stream("collect", CacheSpec())
    with pytest.raises(UsageError, match="has no operations"):
        load(str(path), steps=1, seed=0)
