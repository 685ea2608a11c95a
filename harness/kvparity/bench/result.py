"""What a bench came to, as plain data: figures of each cache, ratios to the reference, sweeps over pool sizes."""

from __future__ import annotations

from dataclasses import dataclass

from kvparity.bench.counts import Counts  # noqa: TC001  read at run time, by whoever decodes a file
from kvparity.bench.estimate import Estimate  # noqa: TC001
from kvparity.bench.memory import Memory  # noqa: TC001
from kvparity.bench.pool_sizes import Sweep  # noqa: TC001
from kvparity.caches.protocol import CacheSpec  # noqa: TC001
from kvparity.evidence.provenance import Provenance  # noqa: TC001

SCHEMA = 1
OVERALL = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was asked for.

    Attributes:
        reference: the cache that the others are held against.
        candidates: the others.
        repeats: how often everything is timed.
        steps: operations of each workload at most.
        seed: of the scenarios.
        entry: the shape that all values were given; None for the workloads' own.
    """

    reference: str
    candidates: tuple[str, ...]
    repeats: int
    steps: int
    seed: int
    entry: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What decides how far times can be believed.

    Attributes:
        processor: its name.
        cores: how many there are.
        core: the one that everything was pinned to; None where the system does not let us.
        load: the load average over the minute before it began; None where the system has none.
    """

    processor: str
    cores: int
    core: int | None
    load: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long operations of one kind take, in microseconds.

    Attributes:
        p50_us: their median in one repeat; `p90_us` and `p99_us` likewise. Estimated over the repeats.
        max_us: the longest in any repeat.
    """

    p50_us: Estimate
    p90_us: Estimate
    p99_us: Estimate
    max_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one cache came to with one workload.

    Attributes:
        operations_per_s: of a whole pass, with the work of the producer and of the consumer.
        own_us: what the cache itself takes for one operation, the mean over all but writes, which are the consumer's.
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
    """One workload through all caches.

    Attributes:
        workload: its name.
        specs: the sizes of the caches, one for each stream.
        operations: how many of each kind.
        offered: how many operations the workload has; None where they never end.
        values: the values in words.
        figures: by cache; one that raised has none.
        ratios: by candidate and measure: the candidate's figure by the reference's of the same repeat. `time` is
            the overall one: all that the caches themselves take. Empty where the reference raised.
        failures: what caches raised, by cache.
        sweeps: of each stream that is looked up in: init pools, then recur.
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
    """All of it.

    Attributes:
        provenance: the command, versions, and digests of traces and of the caches' sources.
        runs: one for each workload.
        interrupted: whether it was stopped early; what is there is whole.
        schema: of the JSON file.
    """

    settings: Settings
    provenance: Provenance
    machine: Machine
    runs: tuple[Run, ...]
    interrupted: bool = False
    schema: int = SCHEMA
