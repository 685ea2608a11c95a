"""What was not tried, and the commands that try it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kvparity import Comparison, Result, load_scenario
from kvparity.settings import Thresholds
from kvparity.verdict import (
    GO,
    verdict_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
from support.verdicts import judged, lacking, result, training_of


def everywhere(name: str, number: int) -> Callable[[Result], None]:
    """Sets a count of every family."""

    def change(found: Result) -> None:
        for family in found.coverage.families.values():
            setattr(family, name, number)

    return change


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda found: setattr(found, "gets_compared", 1999), ["lookups"]),
        (lambda found: setattr(found.coverage.families["recur"], "wrapped", 0), ["wrap-arounds"]),
        (everywhere("resets", 0), ["re-sets"]),
        (everywhere("clears", 0), ["clears"]),
        (everywhere("misses", 0), ["misses"]),
        (
            lambda found: found.coverage.families["recur"].evictions.update(candidate=0),
            ["evictions (candidate, lru)"],
        ),
        (
            everywhere("evictions", {}),
            [f"evictions ({s})" for s in ("reference", "candidate, fifo", "candidate, lru")],
        ),
        (lambda found: setattr(found.coverage, "environments_seen", 1), ["environments"]),
    ],
)
def test_what_was_not_tried_is_named(change: Callable[[Result], object], names: list[str]) -> None:
    """Each thing alone."""
    assert lacking(change) == names


def test_what_is_missing_can_be_had_by_one_command() -> None:
    """Of the scenarios that do it, under a seed that is new."""
    found = result()
    everywhere("resets", 0)(found)
    everywhere("clears", 0)(found)
    sides = "--reference original --candidate rewrite --json more.json"
    assert judged(found).commands == (f"kvparity run revisit clear-storm --seed 4 {sides}",)


def test_of_a_training_the_command_is_its_own() -> None:
    """A scenario would be of another reference."""
    found = result(training=training_of(), gets_compared=3)
    assert "kvparity run pool-pressure" in judged(found).commands  # what its provenance says


def test_a_workload_of_one_environment_needs_no_second() -> None:
    """There is none."""
    found = result()
    found.coverage.environments = found.coverage.environments_seen = 1
    assert judged(found).outcome == GO


def test_entries_of_a_second_kind_can_be_required() -> None:
    """They are reported in any case."""
    thresholds = Thresholds(require=(*Thresholds().require, "shapes"))
    verdict = judged(thresholds=thresholds)
    assert [each.name for each in verdict.lacking] == ["coverage: shapes"]
    assert "kvparity run multitask" in verdict.commands[0]
    several = result()
    several.coverage.kinds += ["3 layers"]
    assert judged(several, thresholds=thresholds).outcome == GO


def test_the_bundled_scenarios_supply_what_the_commands_promise() -> None:
    """Each command that is printed leads to what was missing."""
    comparison = Comparison("refactored-lru", "refactored-fifo")
    names = ("pool-pressure", "revisit", "clear-storm")
    runs = [comparison.scenario(load_scenario(name), seed=0, steps=3000) for name in names]
    verdict = verdict_of(runs, thresholds=Thresholds(operations=9000))
    assert [each.name for each in verdict.lacking if each.group == "coverage"] == []
