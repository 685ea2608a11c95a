"""The timeline of a run: short however long the run, and added up for caches side by side."""

from __future__ import annotations

from itertools import chain, pairwise, repeat
from typing import TYPE_CHECKING, cast

import pytest

from kvparity.driving.comparison import Comparison
from kvparity.evidence import Timeline, sum_timelines
from kvparity.evidence.timeline import COUNTED, MOST_POINTS, Pace
from kvparity.registry import load_scenario
from kvparity.results.divergence import DivergenceLog
from kvparity.shadow import evidence as collector
from kvparity.shadow.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvparity.evidence.timeline import Account
    from kvparity.shadow.side import Side


def points(*, until: int, every: int) -> Timeline:
    """A timeline whose hits are its operations."""
    timeline = Timeline()
    for operations in range(every, until + 1, every):
        counted = {"hits": operations, "misses": 0, "evictions": None, "length": 1, "size_bytes": 8}
        timeline.add(
            operations=operations,
            elapsed_s=operations / 10,
            corruption=operations,
            behaviour=0,
            resident_bytes=100,
            sides={"reference": {"recur": counted}},
        )
    return timeline


def test_however_long_a_run_its_timeline_is_short() -> None:
    """Points are thinned out evenly: their distances differ by a factor of two at most."""
    pace = Pace()
    for operations in range(1, 1_000_000):
        if operations >= pace.next_at:
            pace.timeline.add(
                operations=operations, elapsed_s=0.0, corruption=0, behaviour=0, resident_bytes=None, sides={}
            )
            pace.added()
    at = pace.timeline.operations
    steps = {after - before for before, after in pairwise(at)}
    assert MOST_POINTS // 2 <= len(at) < MOST_POINTS
    assert max(steps) <= 2 * min(steps)


def test_caches_side_by_side_have_one_timeline() -> None:
    """Their counts are added up; divergences and memory are counted once, since they are everybody's."""
    whole = sum_timelines([(5.0, points(until=100, every=10)), (8.0, points(until=40, every=10))])
    assert whole.operations[-1] == 140
    assert whole.sides["reference"]["recur"]["hits"][-1] == 140
    assert whole.sides["reference"]["recur"]["evictions"][-1] is None
    assert whole.corruption[-1] == 100
    assert whole.resident_bytes[-1] == 100
    assert whole.elapsed_s == sorted(whole.elapsed_s)
    assert whole.sides["reference"]["recur"]["hits"][0] == 10  # the second had not begun


def test_many_points_side_by_side_stay_few() -> None:
    """And the last one is the end."""
    whole = sum_timelines([(began / 7, points(until=200, every=1)) for began in range(5)])
    assert len(whole) <= MOST_POINTS
    assert whole.operations[-1] == 1000


def test_a_run_has_a_timeline_that_ends_with_it() -> None:
    """Hits on both sides grow to what the table says."""
    result = Comparison("legacy-evicting", "refactored-fifo").scenario(load_scenario("mcts"), seed=0, steps=5000)
    timeline = result.timeline
    assert 1 <= len(timeline) < MOST_POINTS
    assert timeline.operations[-1] == result.operations_total
    for side in ("reference", "candidate"):
        hits = timeline.sides[side]["recur"]["hits"]
        assert hits == sorted(hits)
        assert hits[-1] == result.stats[side]["recur"]["hits"]


class Watched:
    """A side and its clock: an operation takes a millisecond, and looking at the side as long as is said."""

    role = "candidate"

    def __init__(self, monkeypatch: pytest.MonkeyPatch, looks_s: Iterator[float]) -> None:
        self._now, self._looks_s = 0.0, looks_s
        monkeypatch.setattr(collector.time, "perf_counter", lambda: self._now)

    def account(self) -> Account:
        """It takes its time."""
        self._now += next(self._looks_s)
        return {"recur": dict.fromkeys(COUNTED, 0)}

    def operate(self, evidence: Evidence, operations: int) -> list[int]:
        """So many of them; the timeline's points."""
        for number in range(1, operations + 1):
            self._now += 0.001
            evidence.look(number, cast("tuple[Side, Side]", (self,)), DivergenceLog())
        return evidence.timeline.operations


@pytest.mark.parametrize(("share", "expected_s"), [(0.1, 2.0), (0.01, 0.2)])
def test_slow_statistics_take_their_share_of_the_time(
    monkeypatch: pytest.MonkeyPatch, share: float, expected_s: float
) -> None:
    """Looks of 50 ms in a run of 20 s: as many as that share of it holds, and two or three in advance."""
    side = Watched(monkeypatch, repeat(0.05))
    spent_s = 0.05 * len(side.operate(Evidence(share=share), 20_000))
    assert expected_s <= spent_s <= 1.3 * expected_s + 3 * 0.05


def test_one_look_that_was_interrupted_does_not_end_the_timeline(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a loaded machine it may have taken a second, of which the share of eight seconds is none."""
    side = Watched(monkeypatch, chain(repeat(1e-5, 10), [1.0], repeat(1e-5)))
    at = side.operate(Evidence(), 8_000)
    assert max(after - before for before, after in pairwise([*at, 8_000])) <= 64
