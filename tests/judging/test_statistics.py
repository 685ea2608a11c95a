"""What is made of the statistics that a side reports: what is told, of whom, and what cannot be known from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kvparity import RECUR, CacheSpec, Divergence, DivergenceLog, PoolId, init
from kvparity.caches.protocol import PoolStats
from kvparity.judging.oracle import IdealCache
from kvparity.judging.side_record import SideRecord
from kvparity.judging.statistics import StatisticsJudge

if TYPE_CHECKING:
    from kvparity.judging.statistics import ReportedStats

SPEC = CacheSpec(env_num=2, init_pool_size=2, num_simulations=2)


class Court:
    """A judge of the statistics of two sides, which nothing has happened to yet."""

    def __init__(self) -> None:
        strategies = dict.fromkeys(SPEC.pools, "fifo")
        self.old = SideRecord("reference", "old", SPEC, strategies)
        self.new = SideRecord("candidate", "new", SPEC, strategies)
        self.log = DivergenceLog()
        ideal = IdealCache(SPEC, lambda _: "fifo")
        self._judge = StatisticsJudge((self.old, self.new), ideals=(ideal, ideal), log=self.log)

    def stats(self, said: ReportedStats, *, of: str = "candidate") -> None:
        """Judge what one side reports after operation 5; the other reports nothing."""
        self._judge.judge(5, (said, {}) if of == "reference" else ({}, said))


def disagreement(candidate: str, pool: str, explanation: str) -> Divergence:
    """What the judge says of the candidate's statistics."""
    return Divergence(
        number=5,
        operation="stats",
        pool=pool,
        key=None,
        kind="stats",
        reference="",
        candidate=candidate,
        wrong="candidate",
        explanation=explanation,
    )


def test_a_wrong_count_is_told_whole() -> None:
    """What was said, by whom, and what is right."""
    court = Court()
    court.stats({init(1): PoolStats(misses=3)})
    explanation = "new reports misses 3 for init[1]; the right number is 0"
    assert court.log.kept == [disagreement("misses 3", "init[1]", explanation)]


def test_a_wrong_count_of_the_reference_is_told_of_the_reference() -> None:
    """The other side is left out."""
    court = Court()
    court.stats({RECUR: PoolStats(evictions=2)}, of="reference")
    (told,) = court.log.kept
    assert (told.reference, told.candidate, told.wrong) == ("evictions 2", "", "reference")


def test_statistics_that_raise_hide_no_wrong_count_of_another_pool() -> None:
    """Each is told."""
    court = Court()
    court.stats({init(0): KeyError("a"), init(1): PoolStats(length=2)})
    assert court.log.kept == [
        disagreement(
            "stats raised KeyError: 'a'",
            "init[0]",
            "new raised KeyError: 'a' when it was asked for the statistics of init[0]",
        ),
        disagreement("length 2", "init[1]", "new reports length 2 for init[1]; the right number is 0"),
    ]


def test_a_wrong_count_is_told_once() -> None:
    """However often it is reported; another count of the same pool is told all the same."""
    court = Court()
    for hits in (1, 2):
        court.stats({RECUR: PoolStats(hits=hits)})
    court.stats({RECUR: PoolStats(hits=2, misses=1)})
    assert [each.candidate for each in court.log.kept] == ["hits 1", "misses 1"]


@pytest.mark.parametrize(
    ("lost_track", "deviated", "told"),
    [
        (set(), set(), ["length 1", "hits 9"]),
        ({RECUR}, set(), ["length 1"]),
        (set(), {RECUR}, ["hits 9"]),
        ({RECUR}, {RECUR}, []),
    ],
)
def test_a_count_that_cannot_be_known_from_outside_blames_no_side(
    lost_track: set[PoolId], deviated: set[PoolId], told: list[str]
) -> None:
    """Hits where track of them was lost, the length where a side left its strategy."""
    court = Court()
    court.new.lost_track, court.new.deviated = lost_track, deviated
    court.stats({RECUR: PoolStats(hits=9, length=1)})
    assert [each.candidate for each in court.log.kept] == told


@pytest.mark.parametrize(("length", "told"), [(-1, True), (0, False), (4, False), (5, True)])
def test_no_pool_holds_more_than_it_has_slots(length: int, told: bool) -> None:  # noqa: FBT001
    """Nor fewer keys than none, even where it left its strategy and nobody knows how many those are."""
    court = Court()
    court.new.deviated = {RECUR}
    court.stats({RECUR: PoolStats(length=length)})
    right = f"new reports length {length} for recur; a number from 0 to 4 is possible"
    assert [each.explanation for each in court.log.kept] == [right] * told
