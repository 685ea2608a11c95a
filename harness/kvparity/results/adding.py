"""Adding up: what several shadows saw becomes one result, and several results become one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kvparity.errors import UsageError
from kvparity.evidence import Coverage, Latency, sum_timelines
from kvparity.results.result import Result, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kvparity.caches.protocol import CacheSpec
    from kvparity.evidence.timeline import Timeline
    from kvparity.results.divergence import Divergence, DivergenceLog
    from kvparity.results.result import RecordedAnswers, TrainingAccount
    from kvparity.values.difference import Tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowTotals:
    """What one shadow saw; it does not keep the caches alive.

    Attributes:
        spec: the sizes of the caches.
        operations: number of operations by kind.
        gets_compared: lookups that were compared.
        values_compared: lookups that hit on both sides, so that tensors were compared.
        stats: counters by side and pool.
        coverage: what was exercised.
        timeline: when it began, in seconds, and the counts over time; None if they were not kept.
        latencies: how long operations took, by side and kind.
        tolerance: how far numbers could differ; None if bits had to be equal.
    """

    spec: CacheSpec
    operations: Counter[str]
    gets_compared: int
    values_compared: int
    stats: Table
    coverage: Coverage
    timeline: tuple[float, Timeline] | None
    latencies: dict[str, dict[str, Latency]]
    tolerance: Tolerance | None = None


class ResultBuilder:
    """Adds up what several shadows saw that share one log: of the streams of a trace, or of many examples.

    Args:
        names: of the reference and of the candidate.
        log: their divergences.
    """

    def __init__(self, names: tuple[str, str], log: DivergenceLog) -> None:
        self._names = names
        self._log = log
        self._specs: set[CacheSpec] = set()
        self._operations: Counter[str] = Counter()
        self._gets_compared = 0
        self._values_compared = 0
        self._stats: Table = {}
        self._coverage = Coverage()
        self._timelines: list[tuple[float, Timeline]] = []
        self._latencies: list[dict[str, dict[str, Latency]]] = []
        self._tolerances: list[Tolerance] = []

    def add(self, totals: ShadowTotals) -> None:
        """Add the totals of a shadow."""
        self._specs.add(totals.spec)
        self._operations += totals.operations
        self._gets_compared += totals.gets_compared
        self._values_compared += totals.values_compared
        self._coverage += totals.coverage
        if totals.timeline is not None:
            self._timelines.append(totals.timeline)
        self._latencies.append(totals.latencies)
        if totals.tolerance is not None and totals.tolerance not in self._tolerances:
            self._tolerances.append(totals.tolerance)
        _add(self._stats, totals.stats)

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
        """The result of all that was added."""
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
            coverage=self._coverage,
            timeline=sum_timelines(self._timelines),
            latencies=_added_up(self._latencies),
            tolerances=self._tolerances,
        )


def merge(results: Sequence[Result]) -> Result:
    """The sum of several results of the same two caches, which keeps them as its `runs`.

    A sum among the results is split into its runs first, so that no run is a sum. One result is returned as it is.

    Raises:
        UsageError: the results are of different pairs of caches.
    """
    if len(results) == 1:
        return results[0]
    pairs = list(dict.fromkeys(f"{result.reference} against {result.candidate}" for result in results))
    if len(pairs) > 1:
        raise UsageError(f"results of different caches cannot be added: {', '.join(pairs)}")
    first: dict[tuple[str, str], Divergence] = {}
    coverage = Coverage()
    for result in results:
        coverage += result.coverage
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
        ended_early=any(result.ended_early for result in results),
        interrupted=any(result.interrupted for result in results),
        missing=[part for result in results for part in result.missing],
        coverage=coverage,
        provenance=results[0].provenance,
        programs={group: program for result in reversed(results) for group, program in result.programs.items()},
        tolerances=list(dict.fromkeys(each for result in results for each in result.tolerances)),
        runs=[run for result in results for run in runs_of(result)],
    )


def runs_of(result: Result) -> list[Result]:
    """The single results of a sum, each with the provenance of the sum if it has none; a single result, itself."""
    return [replace(run, provenance=run.provenance or result.provenance) for run in result.runs] or [result]


def _added_up(parts: list[dict[str, dict[str, Latency]]]) -> dict[str, dict[str, Latency]]:
    total: dict[str, dict[str, Latency]] = {}
    for part in parts:
        for side, kinds in part.items():
            for kind, latency in kinds.items():
                sum_of_kind = total.setdefault(side, {}).setdefault(kind, Latency())
                sum_of_kind += latency
    return total


def _sum(counters: list[Counter[str]]) -> Counter[str]:
    return sum(counters, Counter())


def _added(tables: list[Table]) -> Table:
    total: Table = {}
    for table in tables:
        _add(total, table)
    return total


def _add(total: Table, table: Table) -> None:
    """Add `table` to `total`, cell by cell; unknown plus anything is unknown."""
    for side, rows in table.items():
        for pool, cells in rows.items():
            row = total.setdefault(side, {}).setdefault(pool, {})
            for name, number in cells.items():
                before = row.get(name, 0)
                row[name] = None if before is None or number is None else before + number
