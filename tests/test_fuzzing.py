"""What fuzzing has kept is replayed: each input ends in data or in one of kvparity's own errors."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from kvparity import RECUR, CacheSpec, Checkout, Comparison, KeysValues, Set, TraceWriter, Write
from kvparity.errors import TraceError
from kvparity.traces.reader import Trace

if TYPE_CHECKING:
    from types import ModuleType

FUZZING = Path(__file__).parents[1] / "fuzzing"
MOST_BYTES = 1_000_000


def _targets() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readers", FUZZING / "readers.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules["readers"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TARGETS = _targets()


@pytest.mark.parametrize("name", TARGETS.TARGETS)
def test_what_fuzzing_has_kept_breaks_nothing(name: str, tmp_path: Path) -> None:
    """Sound inputs, what broke something once, and what reaches code that nothing else does."""
    kept = sorted((FUZZING / "corpus" / name).iterdir())
    assert kept
    for path in kept:
        TARGETS.TARGETS[name](path.read_bytes(), tmp_path)


def test_the_corpus_stays_small() -> None:
    """It travels with every checkout."""
    assert sum(path.stat().st_size for path in (FUZZING / "corpus").rglob("*") if path.is_file()) < MOST_BYTES


def test_where_sqlite_runs_out_of_memory_the_file_is_damaged() -> None:
    """As it does where pages claim more than there can be; found by fuzzing."""
    with pytest.raises(TraceError, match=r"no-memory is damaged: MemoryError$"):
        Trace(FUZZING / "corpus" / "trace" / "no-memory")


@pytest.mark.parametrize("fill", [1e300, float("inf"), float("nan")])
@pytest.mark.parametrize("shape", [(1, 1, 4, 2), (1, 1, 0, 2), (4,)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int8, torch.bool, torch.complex64])
def test_what_no_consumer_could_write_is_not_written(
    tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...], fill: float
) -> None:
    """A trace may hold any tensors and any fill, and is replayed to its end; found by fuzzing."""
    value = KeysValues([torch.ones(shape, dtype=dtype)] * 2, [1, 1])
    with TraceWriter(tmp_path / "t.kvtrace", served_by="test") as writer:
        stream = writer.stream("only", CacheSpec())
        writer.record(stream, Set(pool=RECUR, key=1, value=value))
        writer.record(stream, Checkout(env=0, key=1))
        writer.record(stream, Write(env=0, fill=fill))
    with Trace(tmp_path / "t.kvtrace") as trace:
        result = Comparison("legacy-evicting", "refactored-fifo").trace(trace, workload="t")
    assert result.operations_total == 3
