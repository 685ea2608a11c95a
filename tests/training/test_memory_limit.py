"""The memory limit: a candidate that holds too much is taken out."""

from __future__ import annotations

import mmap
import sys
import warnings
from typing import Any

import pytest

from kvparity import RECUR, PoolId, PoolStats
from kvparity.training import Limits
from kvparity.training.inline.guard import Guard
from kvparity.training.inline.memory_limit import MemoryLimit
from kvparity_scenarios.correct_cache import CorrectCache
from support.attaching import attach
from support.worldmodels import ReleasedModel, play, same


class Hoards(CorrectCache):
    """Says that it holds eight gigabytes."""

    def stats(self, pool: PoolId) -> PoolStats:
        return PoolStats(size_bytes=8 << 30 if pool == RECUR else 0)


# ---------------------------------------------------------------- alone


def test_more_bytes_than_allowed_are_a_reason_to_stop() -> None:
    """The reason names both numbers."""
    limit = MemoryLimit(1000, resident=lambda: 0)
    assert limit.check_held(1000) is None
    assert limit.check_held(1001) == "it holds 1,001 bytes; 1,000 were allowed"


def test_growth_is_measured_in_the_first_operations_and_then_in_some() -> None:
    """Reading the size of the process costs more than an operation."""
    limit = MemoryLimit(1000, resident=lambda: 7)
    assert limit.begin(0, 16) == 7
    assert limit.finish(7, done=1024, operations=1024) is None
    assert limit.begin(1024, 1040) is None
    assert limit.begin(1040, 1056) == 7


def test_without_a_limit_any_size_is_allowed() -> None:
    """None switches the limit off."""
    limit = MemoryLimit(None, resident=lambda: 1 << 60)
    assert limit.check_held(1 << 60) is None
    assert limit.finish(0, done=1, operations=1) is None


def test_where_the_system_does_not_say_no_growth_is_measured() -> None:
    """Only Linux tells the size of a process."""
    assert MemoryLimit(1000, resident=lambda: None).begin(0, 1) is None


# ---------------------------------------------------------------- in a training


def test_a_candidate_that_holds_too_much_is_taken_out() -> None:
    """By its own statistics."""
    model, twin = ReleasedModel(), ReleasedModel()
    found = r"it holds 8,589,934,592 bytes; 4,294,967,296 were allowed"
    with attach(model, candidate=Hoards), pytest.warns(UserWarning, match=found):
        assert same(play(model, 90), play(twin, 90))


def test_the_growth_of_the_process_is_measured() -> None:
    """Only growth while the candidate is at work counts."""
    sizes = iter([100, 150, 10_000, 10_060])
    guard = Guard(Limits(patience_s=None, size_bytes=100), resident=lambda: next(sizes))
    guard.finish(guard.begin())
    assert guard.stopped is None
    visit = guard.begin()
    with pytest.warns(UserWarning, match="the process grew by 110 bytes; 100 were allowed"):
        guard.finish(visit)


def test_in_the_long_run_some_operations_are_measured_for_all() -> None:
    """Measuring each would be too slow, and a leak happens in many operations."""
    resident = 0

    def grow() -> int:
        nonlocal resident
        resident += 1
        return resident

    guard = Guard(Limits(patience_s=None, size_bytes=2000), resident=grow)
    for _ in range(1024):
        guard.finish(guard.begin())
    assert (resident, guard.stopped) == (2048, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(31 * 200):
            guard.finish(guard.begin())
    assert str(guard.stopped).startswith("the process grew by")
    assert resident <= 2048 + 2 * 201


def test_a_visit_for_many_operations_is_measured_as_it_is() -> None:
    """It stands for itself alone. If it ends early, only what was done counts."""
    sizes = iter([0, 0, 0, 40, 40, 80, 80, 101])
    guard = Guard(Limits(patience_s=None, size_bytes=100), resident=lambda: next(sizes))
    guard.finish(guard.begin(1024))
    for _ in range(2):
        guard.finish(guard.begin(31))
    assert guard.stopped is None
    visit = guard.begin(40)
    with pytest.warns(UserWarning, match="the process grew by 101 bytes"):
        guard.finish(visit, left=9)
    assert guard.stopped_after_operations == 1024 + 62 + 31


def test_what_grew_in_visits_that_were_left_early_counts_in_full() -> None:
    """If a candidate leaks and diverges in each operation, each visit ends after one operation."""
    sizes = iter([0, 40, 40, 80, 80, 120])
    guard = Guard(Limits(patience_s=None, size_bytes=100), resident=lambda: next(sizes))
    for _ in range(2):
        guard.finish(guard.begin(16), left=15)
    visit = guard.begin(16)
    with pytest.warns(UserWarning, match="the process grew by 120 bytes"):
        guard.finish(visit, left=15)
    assert guard.stopped_after_operations == 3


def test_what_the_run_has_freed_since_is_not_held() -> None:
    """A working copy is made while the candidate is at work, and the run frees it later."""
    sizes = iter([1000, 1090, 1000, 1090, 1000, 1090])
    guard = Guard(Limits(patience_s=None, size_bytes=100), resident=lambda: next(sizes))
    for _ in range(3):
        guard.finish(guard.begin())
    assert guard.stopped is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the memory of a process")
@pytest.mark.parametrize("said", [None, 0])
def test_a_leak_is_taken_out(said: int | None) -> None:
    """The memory of the process shows it, whatever the candidate says that it holds."""

    class Leaks(CorrectCache):
        kept: list[Any] = []  # noqa: RUF012

        def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
            super().set(pool, key, value, priority=priority)
            pages = mmap.mmap(-1, 2 << 20)  # new ones, whatever the process has freed before
            pages.write(bytes(2 << 20))
            self.kept.append(pages)

        def stats(self, pool: PoolId) -> PoolStats:
            del pool
            return PoolStats(size_bytes=said)

    model, twin = ReleasedModel(), ReleasedModel()
    with (
        attach(model, candidate=Leaks, limits=Limits(size_bytes=16 << 20, share=None)),
        pytest.warns(UserWarning, match="the process grew by"),
    ):
        assert same(play(model, 12), play(twin, 12))
    Leaks.kept.clear()
