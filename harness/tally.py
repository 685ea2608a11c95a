"""Adding up: what several shadows have seen as one result, and several results as one."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.evidence import Coverage, Latency, together
from harness.result import Result, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.caches import CacheSpec
    from harness.divergence import Divergence, DivergenceLog
    from harness.evidence import Evidence
    from harness.result import RecordedAnswers, TrainingAccount
    from harness.shadow import ShadowCache


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
        self._stats: Table = {}
        self._coverage = Coverage()
        self._evidence: list[Evidence] = []

    def add(self, shadow: ShadowCache) -> None:
        """Add a shadow that has seen all that it will see."""
        self._specs.add(shadow.spec)
        self._operations += shadow.operations
        self._gets_compared += shadow.gets_compared
        self._values_compared += shadow.values_compared
        self._coverage += shadow.coverage()
        if shadow.evidence is not None:
            self._evidence.append(shadow.evidence)
        _add(self._stats, {side.role: side.account() for side in (shadow.reference, shadow.candidate)})

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
            coverage=self._coverage,
            timeline=together([(evidence.began, evidence.timeline) for evidence in self._evidence]),
            latencies=_added_up([evidence.latencies for evidence in self._evidence]),
        )


def merge(results: Sequence[Result]) -> Result:
    """Several results of one pair of caches as one, which keeps them as its `runs`. One result is its own sum."""
    if len(results) == 1:
        return results[0]
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
        interrupted=any(result.interrupted for result in results),
        missing=[part for result in results for part in result.missing],
        coverage=coverage,
        provenance=results[0].provenance,
        programs={group: program for result in reversed(results) for group, program in result.programs.items()},
        runs=list(results),
    )


def _added_up(parts: list[dict[str, dict[str, Latency]]]) -> dict[str, dict[str, Latency]]:
    total: dict[str, dict[str, Latency]] = {}
    for part in parts:
        for side, kinds in part.items():
            for kind, latency in kinds.items():
                mine = total.setdefault(side, {}).setdefault(kind, Latency())
                mine += latency
    return total


def _sum(counters: list[Counter[str]]) -> Counter[str]:
    return sum(counters, Counter())


def _added(tables: list[Table]) -> Table:
    total: Table = {}
    for table in tables:
        _add(total, table)
    return total


def _add(total: Table, table: Table) -> None:
    """Add a table of numbers to another cell by cell; unknown plus anything is unknown."""
    for side, rows in table.items():
        for pool, cells in rows.items():
            row = total.setdefault(side, {}).setdefault(pool, {})
            for name, number in cells.items():
                before = row.get(name, 0)
                row[name] = None if before is None or number is None else before + number
