"""Traces: how fast they are replayed, and how large they are.

| line | over | under |
| --- | --- | --- |
| replay | an operation of a trace, from opening the file to the result, by `Comparison.trace` | the same operation, from memory, on the same two caches in a bare loop: no file, no shadow, no comparison |
| trace | bytes of the file, for a session whose values have nothing in common | tensor bytes of its distinct values |
| trace, growing | the same for a simulated search, whose contexts grow token by token | the same |

The bare loop uses the same `Driver`, which does the producer's and the consumer's work once for both caches, as in a replay.
"""  # noqa: E501  a table

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from kvparity.driving.comparison import Comparison
from kvparity.driving.driver import Driver
from kvparity.operations import RECUR, Set
from kvparity.registry import build_cache
from kvparity.traces.reader import Trace
from kvparity.traces.writer import TraceWriter
from kvparity.values.entry import KeysValues, size_bytes
from kvparity.values.fingerprints import fingerprint
from kvparity_scenarios.catalogue import Scenario
from kvparity_scenarios.collector import Collector, Habits
from lines.entries import GEOMETRIES, SPEC, Producer, each
from lines.measuring import Line, Ratio, timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from kvparity.caches.protocol import Cache, CacheSpec
    from kvparity.operations import Operation, PoolId
    from lines.measuring import Effort

REFERENCE, CANDIDATE = "legacy-evicting", "refactored-fifo"


class Pair:
    """Two caches that get the same operations; the first one answers."""

    def __init__(self, reference: Cache, candidate: Cache) -> None:
        self._reference = reference
        self._candidate = candidate

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Set in both."""
        self._reference.set(pool, key, value, priority=priority)
        self._candidate.set(pool, key, value, priority=priority)

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Get from both."""
        self._candidate.get(pool, key)
        return self._reference.get(pool, key)

    def checkout(self, env: int, key: int) -> Any | None:
        """Check out of both."""
        self._candidate.checkout(env, key)
        return self._reference.checkout(env, key)

    def clear(self, pool: PoolId) -> None:
        """Clear both."""
        self._reference.clear(pool)
        self._candidate.clear(pool)


def search(entry: str) -> Scenario:
    """The scenario `mcts` with entries of that size."""

    def produce(spec: CacheSpec, rng: Random) -> Iterator[Operation]:
        habits = Habits(env_num=spec.env_num, simulations=spec.num_simulations, geometries=(GEOMETRIES[entry],))
        collector = Collector(habits, rng)
        while True:
            yield from collector.tick()

    return Scenario(name=f"mcts of {entry}", summary="For benchmarks.", spec=SPEC, produce=produce)


@contextmanager
def trace_of(scenario: Scenario, steps: int) -> Iterator[Path]:
    """The trace of the scenario's first steps, as `kvparity run --record` writes it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "benchmark.kvtrace"
        with TraceWriter(path, served_by=REFERENCE) as writer:
            Comparison(REFERENCE, CANDIDATE).scenario(scenario, seed=0, steps=steps, writer=writer)
        yield path


def _replay(entry: str, effort: Effort) -> Iterator[Ratio]:
    with trace_of(search(entry), effort.traced) as path:
        with Trace(path) as trace:
            operations = [recorded.operation for recorded in trace]

        def replayed() -> None:
            with Trace(path) as trace:
                result = Comparison(REFERENCE, CANDIDATE).trace(trace, workload=entry)
            assert result.operations.total() == len(operations)

        def driven() -> None:
            driver = Driver(Pair(build_cache(REFERENCE, SPEC), build_cache(CANDIDATE, SPEC)))
            for operation in operations:
                driver.apply(operation)

        while True:
            under = timed(driven, len(operations))
            yield Ratio(timed(replayed, len(operations)), under)


def unlike(entry: str) -> Scenario:
    """Values of that size that have nothing in common."""
    geometry = GEOMETRIES[entry]

    def produce(_: CacheSpec, rng: Random) -> Iterator[Operation]:
        generator = torch.Generator().manual_seed(rng.getrandbits(32))
        sizes = [geometry.max_tokens] * (2 * geometry.num_layers)
        for key in count():
            yield Set(
                pool=RECUR, key=key, value=KeysValues(torch.randn(geometry.row_shape, generator=generator), sizes)
            )

    return Scenario(name=f"values of {entry}", summary="For benchmarks.", spec=SPEC, produce=produce)


def _size(scenario: Callable[[str], Scenario], entry: str, effort: Effort) -> Iterator[Ratio]:
    values = effort.trace_bytes // size_bytes(Producer(entry).value)
    operations = values if scenario is unlike else 4 * values  # in a search every fourth operation is a set
    with trace_of(scenario(entry), operations) as path:
        stored = path.stat().st_size
        with Trace(path) as trace:
            sets = (each.operation.value for each in trace if isinstance(each.operation, Set))
            distinct = {fingerprint(value): size_bytes(value) for value in sets}
    while True:
        yield Ratio(stored / 1e6, sum(distinct.values()) / 1e6)


LINES = (
    Line(name="replay", target=each(1.6), begin=_replay, most=10),
    Line(name="trace", target=each(1.05), begin=partial(_size, unlike), unit="MB", most=1, warm_up=0),
    Line(name="trace, growing", target=each(0.6), begin=partial(_size, search), unit="MB", most=1, warm_up=0),
)
