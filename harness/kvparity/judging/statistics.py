"""`StatisticsJudge`: whether the statistics that a side reports are true."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from kvparity.caches.exceptions import describe_failure
from kvparity.results.divergence import Divergence, DivergenceLog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kvparity.caches.protocol import PoolStats
    from kvparity.judging.oracle import IdealCache
    from kvparity.judging.side_record import SideRecord
    from kvparity.operations import PoolId

ReportedStats: TypeAlias = "Mapping[PoolId, PoolStats | BaseException]"
"""What a cache says that it counted in each pool, or what it raised when it was asked."""


class StatisticsJudge:
    """Compares the statistics that each side reports with what was seen. Each disagreement is logged once.

    Args:
        records: of the reference and of the candidate.
        ideals: what the strategies of each side should hold.
        log: takes the divergences.
    """

    def __init__(
        self, records: tuple[SideRecord, SideRecord], *, ideals: tuple[IdealCache, IdealCache], log: DivergenceLog
    ) -> None:
        self._records = records
        self._ideals = ideals
        self._log = log
        self._reported: set[tuple[str, PoolId, str]] = set()

    def judge(self, number: int, reported: tuple[ReportedStats, ReportedStats]) -> None:
        """Judge what both sides report.

        Args:
            number: of the last operation.
            reported: by the reference and by the candidate.
        """
        for record, ideal, pools in zip(self._records, self._ideals, reported, strict=True):
            for pool, stats in pools.items():
                if isinstance(stats, BaseException):
                    did = describe_failure(stats)
                    explanation = f"{record.name} {did} when it was asked for the statistics of {pool}"
                    self._wrong_stats(number, record, pool, "stats", did, explanation)
                    continue
                for name, possible in _possible(record, ideal, pool).items():
                    counted = getattr(stats, name)
                    if counted is not None and counted not in possible:
                        explanation = f"{record.name} reports {name} {counted} for {pool}; {_in_words(possible)}"
                        self._wrong_stats(number, record, pool, name, str(counted), explanation)

    def _wrong_stats(  # noqa: PLR0917
        self, number: int, record: SideRecord, pool: PoolId, name: str, counted: str, explanation: str
    ) -> None:
        if (record.role, pool, name) in self._reported:
            return
        self._reported.add((record.role, pool, name))
        did = f"{name} {counted}"
        self._log.add(
            Divergence(
                number=number,
                operation="stats",
                pool=str(pool),
                key=None,
                kind="stats",
                reference=did if record is self._records[0] else "",
                candidate=did if record is self._records[1] else "",
                wrong=record.role,
                explanation=explanation,
            )
        )


def _possible(record: SideRecord, ideal: IdealCache, pool: PoolId) -> dict[str, range]:
    """The numbers that a cache may report for `pool`, by field of `PoolStats`."""
    possible = {"length": range(record.spec.slots(pool) + 1)}
    if pool not in record.lost_track:
        counts = record.counts[pool]
        possible |= {"hits": _only(counts.hits), "misses": _only(counts.misses)}
    if pool not in record.deviated:
        perfect = ideal.pools[pool]
        possible |= {"evictions": _only(perfect.evictions), "length": _only(len(perfect))}
    return possible


def _only(number: int) -> range:
    return range(number, number + 1)


def _in_words(possible: range) -> str:
    if len(possible) == 1:
        return f"the right number is {possible[0]}"
    return f"a number from {possible[0]} to {possible[-1]} is possible"
