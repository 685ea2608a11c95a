"""What a comparison came to: numbers and divergences, apart from how they are shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from harness.caches import PoolStats
from harness.containing import contained
from harness.divergence import BEHAVIOUR, CORRUPTION, SEVERITIES, SIDES, Divergence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.caches import CacheSpec
    from harness.divergence import DivergenceLog
    from harness.shadow import ShadowCache
    from harness.side import Side

SCHEMA = 1
FAIL_ON = ("corruption", "behaviour", "never")
_Table: TypeAlias = dict[str, dict[str, dict[str, int | None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAnswers:
    """How the reference compares with the answers that a trace carries.

    Attributes:
        given: lookups with a recorded answer.
        reproduced: of these, the ones that the reference answered alike.
        first_other: the first that it did not, in words.
    """

    given: int = 0
    reproduced: int = 0
    first_other: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCase:
    """One way in which two caches part, kept as a trace.

    Attributes:
        kind: of the divergence; `wrong` and `explanation` likewise.
        operations: of the trace.
        reproducible: whether the same operations showed it again; one that is not could not be made small.
        trace: the file.
    """

    kind: str
    wrong: str
    explanation: str
    operations: int
    reproducible: bool
    trace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingAccount:
    """How a training was shadowed, and what that cost it.

    Attributes:
        models: the names of its world models.
        serve: whose answers the training got.
        compare_every: each N-th lookup was compared.
        passed_over: lookups that came while shadowing paused, to keep to its share of wall time.
        shadow_s: wall time that shadowing took.
        wall_s: wall time in all.
        stopped: why the candidate was taken out before the end; None where it was not.
        stopped_after_s: the wall time until then.
        stopped_after_operations: those that the candidate had done or tried, of all world models.
    """

    models: tuple[str, ...]
    serve: str
    compare_every: int
    passed_over: int
    shadow_s: float
    wall_s: float
    stopped: str | None
    stopped_after_s: float | None = None
    stopped_after_operations: int | None = None

    @property
    def share(self) -> float:
        """Of wall time that shadowing took."""
        return self.shadow_s / self.wall_s if self.wall_s else 0.0


@dataclass(slots=True, kw_only=True)
class Result:
    """One workload through two caches, or several of them added up.

    Attributes:
        workload: its name.
        spec: the sizes; None where several workloads differ in it.
        reference: name of the side that served.
        candidate: name of the side on trial.
        operations: how many of each kind.
        gets_compared: lookups compared, hits and misses.
        values_compared: lookups that hit on both sides, so that tensors were compared.
        total: divergences.
        unexpected: of these, by severity, the ones that are not known.
        by_kind: all, by kind.
        by_side: all, by who is wrong.
        by_known: the known ones, by the reason given.
        by_group: all, by (kind, who is wrong).
        first: the first of each group, whole.
        kept: the first ones, whole.
        stats: per side and pool: hits and misses as seen from outside (as the cache says, where wrong answers left
            that open); evictions, length and bytes as the cache says.
        elapsed_s: wall time.
        seed: of the workload, where it has one.
        interrupted: whether it was stopped early.
        recorded: how the reference compares with a trace's own answers; None where there are none.
        examples: how many streams of operations were tried, where they are many: in fuzzing.
        cases: what fuzzing kept.
        missing: parts of the run of which there is no result, such as `rank 1`.
        training: how a real training was shadowed; None for any other workload.
        runs: the single results, where this is a sum.
    """

    workload: str
    spec: CacheSpec | None
    reference: str
    candidate: str
    operations: Counter[str]
    gets_compared: int
    values_compared: int
    total: int
    unexpected: Counter[str]
    by_kind: Counter[str]
    by_side: Counter[str]
    by_known: Counter[str]
    by_group: Counter[tuple[str, str]]
    first: dict[tuple[str, str], Divergence]
    kept: list[Divergence]
    stats: _Table
    elapsed_s: float
    seed: int | None = None
    interrupted: bool = False
    recorded: RecordedAnswers | None = None
    examples: int | None = None
    cases: list[KeptCase] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    training: TrainingAccount | None = None
    runs: list[Result] = field(default_factory=list)

    @property
    def operations_total(self) -> int:
        """All operations."""
        return sum(self.operations.values())

    @property
    def stopped(self) -> str | None:
        """Why the candidate was taken out of a training, or out of the first of several in which it was."""
        accounts = [run.training for run in self.runs or [self] if run.training is not None]
        return next((account.stopped for account in accounts if account.stopped), None)

    def fails(self, fail_on: str) -> bool:
        """Whether `--fail-on` counts what was found; what is missing counts as the worst that it could be."""
        if fail_on == "never":
            return False
        return (
            bool(self.missing)
            or self.unexpected[CORRUPTION] > 0
            or (fail_on == "behaviour" and self.unexpected[BEHAVIOUR] > 0)
        )

    def count(self, severity: str) -> int:
        """Divergences of that severity, known ones included."""
        return sum(n for kind, n in self.by_kind.items() if SEVERITIES[kind] == severity)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        result: dict[str, Any] = {
            "schema": SCHEMA,
            "spec": None if self.spec is None else asdict(self.spec),
            "reference": self.reference,
            "candidate": self.candidate,
            "workload": self.workload,
            "seed": self.seed,
            "interrupted": self.interrupted,
            "operations": dict(self.operations),
            "gets_compared": self.gets_compared,
            "values_compared": self.values_compared,
            "divergences": {
                "total": self.total,
                "unexpected": sum(self.unexpected.values()),
                "unexpected_by_severity": {severity: self.unexpected[severity] for severity in (CORRUPTION, BEHAVIOUR)},
                "by_kind": dict(self.by_kind),
                "by_severity": {severity: self.count(severity) for severity in (CORRUPTION, BEHAVIOUR)},
                "by_side": {side: self.by_side[side] for side in SIDES},
                "known": dict(self.by_known),
            },
            "first": [
                {**divergence.as_dict(), "count": self.by_group[group]} for group, divergence in self.first.items()
            ],
            "stats": self.stats,
            "timing": {
                "elapsed_s": self.elapsed_s,
                "operations_per_s": self.operations_total / self.elapsed_s if self.elapsed_s else None,
            },
        }
        if self.recorded is not None:
            result["recorded_answers"] = asdict(self.recorded)
        if self.examples is not None:
            result["fuzzing"] = {"examples": self.examples, "cases": [asdict(case) for case in self.cases]}
        if self.missing:
            result["missing"] = self.missing
        if self.training is not None:
            result["training"] = {**asdict(self.training), "share": self.training.share}
        if self.runs:
            result["runs"] = [run.as_dict() for run in self.runs]
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one shadow saw, without the caches that it saw.

    Attributes:
        spec: the sizes.
        operations: how many of each kind.
        gets_compared: lookups; `values_compared` those that hit on both sides.
        stats: per side and pool.
    """

    spec: CacheSpec
    operations: Counter[str]
    gets_compared: int
    values_compared: int
    stats: _Table

    @classmethod
    def of(cls, shadow: ShadowCache, *, without: str | None = None) -> Seen:
        """What `shadow` saw so far; `without` is the role of a side that is not to be asked what it counted."""
        return cls(
            spec=shadow.spec,
            operations=Counter(shadow.operations),
            gets_compared=shadow.gets_compared,
            values_compared=shadow.values_compared,
            stats={
                side.role: _side_stats(side, asked=side.role != without)
                for side in (shadow.reference, shadow.candidate)
            },
        )


class Tally:
    """Adds up what shadows that share one log have seen: those of a trace's several streams, those of many examples.

    Args:
        names: of the reference and of the candidate.
        log: the divergences.
    """

    def __init__(self, names: tuple[str, str], log: DivergenceLog) -> None:
        self._names = names
        self._log = log
        self._specs: set[CacheSpec] = set()
        self._operations: Counter[str] = Counter()
        self._gets_compared = 0
        self._values_compared = 0
        self._stats: _Table = {}

    def add(self, shadow: ShadowCache) -> None:
        """Add a shadow that has seen all that it will see."""
        self.add_seen(Seen.of(shadow))

    def add_seen(self, seen: Seen) -> None:
        """Add what a shadow has seen."""
        self._specs.add(seen.spec)
        self._operations += seen.operations
        self._gets_compared += seen.gets_compared
        self._values_compared += seen.values_compared
        _add(self._stats, seen.stats)

    def result(
        self,
        *,
        workload: str,
        elapsed_s: float,
        seed: int | None = None,
        interrupted: bool = False,
        recorded: RecordedAnswers | None = None,
        examples: int | None = None,
        training: TrainingAccount | None = None,
    ) -> Result:
        """What it came to."""
        log = self._log
        reference, candidate = self._names
        return Result(
            workload=workload,
            spec=next(iter(self._specs)) if len(self._specs) == 1 else None,
            reference=reference,
            candidate=candidate,
            operations=self._operations,
            gets_compared=self._gets_compared,
            values_compared=self._values_compared,
            total=log.total,
            unexpected=log.unexpected,
            by_kind=log.by_kind,
            by_side=log.by_side,
            by_known=log.by_known,
            by_group=log.by_group,
            first=log.first,
            kept=log.kept,
            stats=self._stats,
            elapsed_s=elapsed_s,
            seed=seed,
            interrupted=interrupted,
            recorded=recorded,
            examples=examples,
            training=training,
        )


def merge(results: Sequence[Result]) -> Result:
    """Several results of one pair of caches as one, which keeps them as its `runs`. One result is its own sum."""
    if len(results) == 1:
        return results[0]
    first: dict[tuple[str, str], Divergence] = {}
    for result in results:
        for group, divergence in result.first.items():
            first.setdefault(group, divergence)
    seeds = {result.seed for result in results if result.seed is not None}
    specs = {result.spec for result in results}
    return Result(
        workload=", ".join(result.workload for result in results),
        spec=specs.pop() if len(specs) == 1 else None,
        reference=results[0].reference,
        candidate=results[0].candidate,
        operations=_sum([result.operations for result in results]),
        gets_compared=sum(result.gets_compared for result in results),
        values_compared=sum(result.values_compared for result in results),
        total=sum(result.total for result in results),
        unexpected=_sum([result.unexpected for result in results]),
        by_kind=_sum([result.by_kind for result in results]),
        by_side=_sum([result.by_side for result in results]),
        by_known=_sum([result.by_known for result in results]),
        by_group=sum((result.by_group for result in results), Counter()),
        first=first,
        kept=[divergence for result in results for divergence in result.kept],
        stats=_added([result.stats for result in results]),
        elapsed_s=sum(result.elapsed_s for result in results),
        seed=seeds.pop() if len(seeds) == 1 else None,
        interrupted=any(result.interrupted for result in results),
        missing=[part for result in results for part in result.missing],
        runs=list(results),
    )


def _sum(counters: list[Counter[str]]) -> Counter[str]:
    return sum(counters, Counter())


def _side_stats(side: Side, *, asked: bool) -> dict[str, dict[str, int | None]]:
    rows: dict[str, dict[str, int | None]] = {}
    for pool, seen in side.seen.items():
        says = PoolStats()
        if asked:
            try:
                says = side.stats(pool)
            except BaseException as error:  # noqa: BLE001  statistics that fail are reported as a divergence already
                contained(error)
        told = pool in side.lost_track  # then the harness cannot count, and the cache's own word must do
        rows[str(pool)] = {
            "hits": says.hits if told else seen.hits,
            "misses": says.misses if told else seen.misses,
            "evictions": says.evictions,
            "length": says.length,
            "size_bytes": says.size_bytes,
        }
    return rows


def _added(tables: list[_Table]) -> _Table:
    total: _Table = {}
    for table in tables:
        _add(total, table)
    return total


def _add(total: _Table, table: _Table) -> None:
    """Add a table of numbers to another cell by cell; unknown plus anything is unknown."""
    for side, rows in table.items():
        for pool, cells in rows.items():
            row = total.setdefault(side, {}).setdefault(pool, {})
            for name, number in cells.items():
                before = row.get(name, 0)
                row[name] = None if before is None or number is None else before + number
