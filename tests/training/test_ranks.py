"""The results of several processes are added up, and a process that wrote none is named."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kvparity import Comparison, Result, UsageError, load_scenario
from kvparity.report import verdict_line
from kvparity.results.result import TrainingAccount
from kvparity.training.ranks import Gathering, Rank

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def result() -> Result:
    """The result of one rank."""
    return Comparison("legacy-evicting", "refactored-fifo").scenario(load_scenario("mcts"), seed=0, steps=300)


class Clock:
    """Time that passes only while somebody sleeps; something may happen meanwhile."""

    def __init__(self) -> None:
        self.now = 0.0
        self.then: Callable[[], object] = bool

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.then()


def test_the_rank_is_what_torchrun_says() -> None:
    """Without its variables, there is a single process."""
    assert Rank.of_environment({"RANK": "3", "WORLD_SIZE": "8"}) == Rank(number=3, of=8)
    assert Rank.of_environment({}) == Rank(number=0, of=1)


@pytest.mark.parametrize("said", [{"RANK": "x"}, {"RANK": "1"}, {"RANK": "-1", "WORLD_SIZE": "2"}])
def test_a_rank_that_cannot_be_is_an_error(said: dict[str, str]) -> None:
    """The error names the values."""
    with pytest.raises(UsageError, match="expected 0 <= RANK < WORLD_SIZE"):
        Rank.of_environment(said)


def test_all_ranks_are_added_up(result: Result, tmp_path: Path) -> None:
    """Their gets, too; each is a run of its own in the sum."""
    ranks = [Gathering(tmp_path / "parts", Rank(number=number, of=2)) for number in range(2)]
    for rank in ranks:
        rank.publish(result)
    merged = ranks[0].collect(patience_s=0)
    assert merged.gets_compared == 2 * result.gets_compared
    assert [run.workload for run in merged.runs] == ["mcts, rank 0", "mcts, rank 1"]
    assert merged.missing == []
    assert not merged.fails("behaviour")


def test_a_rank_that_left_nothing_is_missing(result: Result, tmp_path: Path) -> None:
    """The verdict names it, and is not parity."""
    ranks = [Gathering(tmp_path, Rank(number=number, of=3)) for number in range(3)]
    ranks[0].publish(result)
    clock = Clock()
    merged = ranks[0].collect(patience_s=5, clock=clock, sleep=clock.sleep)
    assert merged.missing == ["rank 1", "rank 2"]
    assert merged.fails("behaviour")
    assert verdict_line(merged, fail_on="behaviour").plain.startswith(
        "INCOMPLETE: no result of rank 1, rank 2; no corr"
    )
    assert 5 <= clock.now < 6


def test_a_late_rank_is_waited_for(result: Result, tmp_path: Path) -> None:
    """Until patience ends."""
    ranks = [Gathering(tmp_path, Rank(number=number, of=2)) for number in range(2)]
    ranks[0].publish(result)
    clock = Clock()
    clock.then = lambda: ranks[1].publish(result) if clock.now > 2 else None
    assert ranks[0].collect(patience_s=5, clock=clock, sleep=clock.sleep).missing == []
    assert clock.now < 3


def test_an_earlier_run_is_not_taken_for_this_one(result: Result, tmp_path: Path) -> None:
    """Its files are still in the folder, if a rank died before it began."""
    earlier = Gathering(tmp_path, Rank(number=1, of=2))
    earlier.publish(result)
    os.utime(tmp_path / "rank-1.json", ns=(1, 1))
    now = Gathering(tmp_path, Rank(number=0, of=2))
    now.publish(result)
    assert now.collect(patience_s=0).missing == ["rank 1"]


def test_no_result_at_all_is_an_error(tmp_path: Path) -> None:
    """No result at all is an error."""
    with pytest.raises(UsageError, match="no rank wrote a result"):
        Gathering(tmp_path, Rank(number=0, of=2)).collect(patience_s=0)


def test_a_folder_that_cannot_be_used_is_an_error() -> None:
    """The error names it."""
    with pytest.raises(UsageError, match="/dev/null/x cannot be used: Not a directory"):
        Gathering(Path("/dev/null/x"), Rank(number=0, of=1))


def test_a_candidate_that_one_rank_took_out_is_no_parity(result: Result, tmp_path: Path) -> None:
    """One rank did not compare to its end, so all together did not."""
    ranks = [Gathering(tmp_path / "parts", Rank(number=number, of=2)) for number in range(2)]
    account = TrainingAccount(
        models=("model",), serve="reference", compare_every=1, passed_over=0, shadow_s=1.0, wall_s=9.0, stopped=None
    )
    for rank, stopped in zip(ranks, (None, "it was slow"), strict=True):
        rank.publish(replace(result, training=replace(account, stopped=stopped)))
    merged = ranks[0].collect(patience_s=0)
    assert merged.stopped == "it was slow"
    assert str(verdict_line(merged, fail_on="corruption")).startswith("STOPPED EARLY: ")
