"""What a comparison came to: numbers and divergences, apart from how they are shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from harness.caches import PoolStats
from harness.divergence import BEHAVIOUR, CORRUPTION, SEVERITIES, SIDES, Divergence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.caches import CacheSpec
    from harness.divergence import DivergenceLog
    from harness.shadow import ShadowCache
    from harness.side import Side

SCHEMA = 1
FAIL_ON = ("corruption", "behaviour", "never")


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
    stats: dict[str, dict[str, dict[str, int | None]]]
    elapsed_s: float
    seed: int | None = None
    interrupted: bool = False
    recorded: RecordedAnswers | None = None
    runs: list[Result] = field(default_factory=list)

    @property
    def operations_total(self) -> int:
        """All operations."""
        return sum(self.operations.values())

    def fails(self, fail_on: str) -> bool:
        """Whether `--fail-on` counts what was found."""
        if fail_on == "never":
            return False
        return self.unexpected[CORRUPTION] > 0 or (fail_on == "behaviour" and self.unexpected[BEHAVIOUR] > 0)

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
                "by_kind": dict(self.by_kind),
                "by_severity": {severity: self.count(severity) for severity in (CORRUPTION, BEHAVIOUR)},
                "by_side": {side: self.by_side[side] for side in SIDES},
                "known": dict(self.by_known),
            },
            "first": [divergence.as_dict() for divergence in self.first.values()],
            "stats": self.stats,
            "timing": {
                "elapsed_s": self.elapsed_s,
                "operations_per_s": self.operations_total / self.elapsed_s if self.elapsed_s else None,
            },
        }
        if self.recorded is not None:
            result["recorded_answers"] = asdict(self.recorded)
        if self.runs:
            result["runs"] = [run.as_dict() for run in self.runs]
        return result


def result_of(
    shadows: Sequence[ShadowCache],
    *,
    workload: str,
    elapsed_s: float,
    seed: int | None = None,
    interrupted: bool = False,
    recorded: RecordedAnswers | None = None,
) -> Result:
    """What shadows that share one log have found; the shadows of a trace's several streams count as one."""
    log: DivergenceLog = shadows[0].log
    specs = {shadow.spec for shadow in shadows}
    return Result(
        workload=workload,
        spec=specs.pop() if len(specs) == 1 else None,
        reference=shadows[0].reference.name,
        candidate=shadows[0].candidate.name,
        operations=sum((shadow.operations for shadow in shadows), Counter()),
        gets_compared=sum(shadow.gets_compared for shadow in shadows),
        values_compared=sum(shadow.values_compared for shadow in shadows),
        total=log.total,
        unexpected=log.unexpected,
        by_kind=log.by_kind,
        by_side=log.by_side,
        by_known=log.by_known,
        by_group=log.by_group,
        first=log.first,
        kept=log.kept,
        stats=_added([_stats(shadow) for shadow in shadows]),
        elapsed_s=elapsed_s,
        seed=seed,
        interrupted=interrupted,
        recorded=recorded,
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
        runs=list(results),
    )


def _sum(counters: list[Counter[str]]) -> Counter[str]:
    return sum(counters, Counter())


def _stats(shadow: ShadowCache) -> dict[str, dict[str, dict[str, int | None]]]:
    return {side.role: _side_stats(side) for side in (shadow.reference, shadow.candidate)}


def _side_stats(side: Side) -> dict[str, dict[str, int | None]]:
    rows: dict[str, dict[str, int | None]] = {}
    for pool, seen in side.seen.items():
        try:
            says = side.stats(pool)
        except Exception:  # noqa: BLE001  a cache whose statistics fail is reported as a divergence already
            says = PoolStats()
        told = pool in side.lost_track  # then the harness cannot count, and the cache's own word must do
        rows[str(pool)] = {
            "hits": says.hits if told else seen.hits,
            "misses": says.misses if told else seen.misses,
            "evictions": says.evictions,
            "length": says.length,
            "size_bytes": says.size_bytes,
        }
    return rows


def _added(
    tables: list[dict[str, dict[str, dict[str, int | None]]]],
) -> dict[str, dict[str, dict[str, int | None]]]:
    """Tables of numbers added up cell by cell; unknown plus anything is unknown."""
    total: dict[str, dict[str, dict[str, int | None]]] = {}
    for table in tables:
        for side, rows in table.items():
            for pool, cells in rows.items():
                row = total.setdefault(side, {}).setdefault(pool, {})
                for name, number in cells.items():
                    before = row.get(name, 0)
                    row[name] = None if before is None or number is None else before + number
    return total
