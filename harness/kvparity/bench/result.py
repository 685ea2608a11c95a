"""The result of a bench, as plain data: figures of each cache, ratios to the reference, curves over pool sizes."""

from __future__ import annotations

from dataclasses import dataclass

from kvparity.bench.counts import Counts  # noqa: TC001  `json_file` reads the annotations at run time
from kvparity.bench.estimate import Estimate  # noqa: TC001
from kvparity.bench.memory import Memory  # noqa: TC001
from kvparity.bench.pool_sizes import Sweep  # noqa: TC001
from kvparity.caches.protocol import CacheSpec  # noqa: TC001
from kvparity.evidence.provenance import Provenance  # noqa: TC001

SCHEMA = 1
OVERALL = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of a bench.

    Attributes:
        reference: the cache that the others are compared with.
        candidates: the others.
        repeats: how often everything is timed.
        steps: the most operations of each workload.
        seed: of the scenarios.
        entry: the shape of all values; None for the workloads' own values.
    """

    reference: str
    candidates: tuple[str, ...]
    repeats: int
    steps: int
    seed: int
    entry: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine of a bench.

    Attributes:
        processor: its name.
        cores: number of cores.
        core: the core that everything ran on; None if the system does not allow to choose one.
        load: the load average of the minute before the bench; None if the system has none.
    """

    processor: str
    cores: int
    core: int | None
    load: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long operations of one kind take, in microseconds.

    Attributes:
        p50_us: the median of one repeat, estimated over the repeats; `p90_us` and `p99_us` are the 90th and 99th
            percentile.
        max_us: the longest of all repeats.
    """

    p50_us: Estimate
    p90_us: Estimate
    p99_us: Estimate
    max_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured of one cache with one workload.

    Attributes:
        operations_per_s: of a whole pass, which includes the work of the producer and of the consumer.
        own_us: the cache's own time for one operation in microseconds, the mean over all operations but writes, which
            are the consumer's work.
        latencies: by kind of operation: `set`, `get`, `checkout`, `clear`, and `cycle`.
        counts: hits, evictions, bytes.
        memory: what it allocates.
    """

    operations_per_s: Estimate
    own_us: Estimate
    latencies: dict[str, Latency]
    counts: Counts
    memory: Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One workload, done by all caches.

    Attributes:
        workload: its name.
        specs: the sizes of the caches, one for each stream.
        operations: number of operations of each kind.
        offered: number of operations that the workload has; None if they never end.
        values: the values in words.
        figures: by cache; a cache that raised has none.
        ratios: by candidate and measure, the candidate's figure divided by the reference's of the same repeat. `time`
            is the ratio of all time that the caches themselves take. Empty if the reference raised.
        failures: by cache, what it raised.
        sweeps: for each stream with lookups, its init pools, then its recur pool.
    """

    workload: str
    specs: tuple[CacheSpec, ...]
    operations: dict[str, int]
    offered: int | None
    values: str
    figures: dict[str, Figures]
    ratios: dict[str, dict[str, Estimate]]
    failures: dict[str, str]
    sweeps: tuple[Sweep, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A whole bench.

    Attributes:
        settings: its options.
        provenance: the command, versions, and digests of traces and of the caches' sources.
        machine: where it ran.
        runs: one for each workload.
        interrupted: whether it was ended early. Every run in it is complete.
        schema: of the JSON file.
    """

    settings: Settings
    provenance: Provenance
    machine: Machine
    runs: tuple[Run, ...]
    interrupted: bool = False
    schema: int = SCHEMA
