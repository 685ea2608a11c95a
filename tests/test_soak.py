"""The soak's leak detection: a planted leak of 1 KB in 1,000 sets trips it, and caches without one do not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from kvparity.caches.protocol import CacheSpec
from kvparity.contract import entry
from kvparity.operations import RECUR, Set
from kvparity_scenarios.correct_cache import CorrectCache

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from soak import LEAK, STEADY, UNKNOWN, Nothing, Soaked, apart, mallinfo2, soak

if TYPE_CHECKING:
    from kvparity.operations import Operation

SPEC = CacheSpec(env_num=1, init_pool_size=1, num_simulations=4)
VALUE = entry(0, layers=1)
SETS_A_KB = 1000
needs_glibc = pytest.mark.skipif(mallinfo2 is None, reason="malloc does not say what it has given out")


class Leaks(CorrectCache):
    """Keeps 1 KB after each 1,000 sets."""

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.sets = 0
        self.kept: list[Any] = []

    def set(self, *arguments: Any, **options: Any) -> None:
        super().set(*arguments, **options)
        self.sets += 1
        if self.sets % SETS_A_KB == 0:
            self.kept.append(self.leaked())

    def leaked(self) -> Any:
        """One piece."""
        return bytearray(1024)


class LeaksSmall(Leaks):
    """In objects so small that Python takes them from memory of its own, where it may."""

    def leaked(self) -> Any:
        """Of 32 bytes each, and the list of them."""
        return [object() for _ in range(22)]


class LeaksTensors(Leaks):
    """In tensors, whose memory Python knows nothing of."""

    def leaked(self) -> Any:
        """Of 0.5 KB, and what else there is to a tensor."""
        return torch.zeros(128)


def sets(count: int) -> list[Operation]:
    """So many sets of a few keys."""
    return [Set(pool=RECUR, key=number % 7, value=VALUE) for number in range(count)]


def soaked(cache: type[CorrectCache], count: int = 16_000) -> Soaked:
    """A cache by itself, looked at 64 times, less what looking takes."""
    torch.set_num_threads(1)
    seen = soak(cache(SPEC.config(), SPEC.env_num), sets(count), count=count, every=count // 64)
    return seen.less(soak(Nothing(), sets(count), count=count, every=count // 64))


@needs_glibc
@pytest.mark.parametrize("cache", [Leaks, LeaksSmall, LeaksTensors])
def test_a_leak_of_1_kb_in_1000_sets_trips(cache: type[CorrectCache], monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole interval lies above the limit, and the planted size in it, whatever it is that leaks."""
    monkeypatch.setenv("PYTHONMALLOC", "malloc")
    seen = apart(soaked, cache)
    assert seen.leak is not None
    assert seen.verdict == LEAK, seen.leak
    assert seen.leak.low <= 1024 + 100
    assert seen.leak.high >= 1024 - 100


@needs_glibc
def test_a_cache_without_a_leak_is_steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole interval lies below it."""
    monkeypatch.setenv("PYTHONMALLOC", "malloc")
    assert apart(soaked, CorrectCache).verdict == STEADY


def test_a_run_that_was_hardly_looked_at_tells_nothing() -> None:
    """Never that all is well."""
    few = soak(CorrectCache(SPEC.config(), SPEC.env_num), sets(100), count=100, every=20)
    assert few.verdict == UNKNOWN


@pytest.mark.parametrize(
    ("seconds", "count", "points"), [(0.0, 500, 1), (float("inf"), 500, 5), (float("inf"), 300, 3)]
)
def test_it_ends_with_the_time_or_the_operations(seconds: float, count: int, points: int) -> None:
    """Whichever is first; it looks at least once."""
    cache = CorrectCache(SPEC.config(), SPEC.env_num)
    seen = soak(cache, sets(500), count=count, every=100, seconds=seconds)
    assert list(seen.operations) == [100 * (number + 1) for number in range(points)]
    assert seen.sets == list(seen.operations)


def test_what_the_scenario_holds_is_not_the_caches() -> None:
    """Two runs of the same operations differ by what the caches hold."""
    one, other = (
        Soaked(operations=[1, 2], sets=[1, 2], allocated=allocated, resident=[], pace_ns=[], elapsed_s=0.0)
        for allocated in ([10, None], [4, 4])
    )
    assert one.less(other).allocated == [6, None]
