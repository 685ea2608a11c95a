"""The programs that a report shows: made after the run, in a few seconds, without changing what it came to."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

import kvparity.search.minimal_programs
from kvparity import Comparison, KnownDifference, load_scenario
from kvparity.cli import main
from kvparity.search.minimal_programs import MOST, Source, add_programs
from kvparity.search.minimize import Minimizer
from kvparity_refactored import KVCacheManager

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds a `kvparity.toml` that it did not write."""
    monkeypatch.chdir(tmp_path)


def source(scenario: str = "revisit", steps: int = 600, **options: Any) -> Source:
    """A run in which the original differs, and how to repeat it."""
    names = (options.pop("reference", "legacy-evicting"), options.pop("candidate", "refactored-fifo"))
    comparison = Comparison(*names, **options)
    loaded = load_scenario(scenario)
    result = comparison.scenario(loaded, seed=0, steps=steps)
    return Source(
        result=result,
        comparison=comparison,
        stream=lambda _: (loaded.spec, islice(loaded.operations(0), steps)),
    )


def test_each_group_gets_its_smallest_program() -> None:
    """Of a re-set that the original drops: four operations."""
    run = source()
    add_programs([run])
    assert run.result.programs["presence", "reference"].count("driver.apply") == 4


def test_nothing_else_of_the_result_changes() -> None:
    """It is what it was, but for the programs."""
    run = source()
    before = run.result.as_dict()
    add_programs([run])
    after = run.result.as_dict()
    for first in after["first"]:
        assert first["program"]
        first["program"] = None
    assert after == before


def test_corruption_comes_first_and_a_few_are_enough() -> None:
    """Of four groups the three that matter most, in two runs."""
    runs = [source(), source("pool-pressure", 3000, reference="legacy-released")]
    groups = {group for run in runs for group in run.result.first}
    assert len(groups) == MOST + 1
    add_programs(runs)
    assert len(runs[0].result.programs) + len(runs[1].result.programs) == MOST
    assert {("stale_hit", "reference"), ("error", "reference")} <= set(runs[1].result.programs)


def test_what_is_known_needs_no_program() -> None:
    """Somebody has looked at it."""
    run = source(known=[KnownDifference(pattern="presence *", side="any", reason="so it is")])
    add_programs([run])
    assert run.result.programs == {}


def test_out_of_time_there_is_no_program() -> None:
    """The page says how to get one instead."""
    run = source()
    add_programs([run], seconds=0.0)
    assert run.result.programs == {}


def test_out_of_time_while_searching_the_smallest_so_far_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says that it may not be the smallest there is."""
    now = iter(range(1_000_000))
    run = source(steps=200)
    monkeypatch.setattr("kvparity.search.minimize.time.monotonic", lambda: next(now))
    add_programs([run], seconds=1000)
    [program] = run.result.programs.values()
    assert program.startswith("# the smallest program found in time; `kvparity minimize` may find a smaller one\n")
    assert 4 < program.count("driver.apply") <= 200


def test_values_beyond_memory_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long run holds more than a machine does."""
    monkeypatch.setattr(kvparity.search.minimal_programs, "_MOST_BYTES", 100_000)
    run = source()
    add_programs([run])
    assert run.result.programs == {}


class Moody(KVCacheManager):
    """Misses all that a search looks up, the first time; ends the process when it is built a second time."""

    built = 0

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        type(self).built += 1
        if self.built > 1:
            raise SystemExit(5)

    def hierarchical_get(self, env_id: int, cache_key: int) -> Any:
        return None


def test_a_flaky_candidate_has_no_program() -> None:
    """And whatever it does the second time, the report is written."""
    Moody.built = 0
    run = source("mcts", candidate=f"{__name__}:Moody")
    assert run.result.total
    add_programs([run])
    assert run.result.programs == {}


def test_an_interrupt_ends_the_search_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found before is reported."""

    def interrupted(_self: Minimizer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Minimizer, "run", interrupted)
    run = source()
    add_programs([run])
    assert run.result.programs == {}


@pytest.mark.parametrize(
    "command", [["run", "revisit", "--steps", "600"], ["replay", "cartpole-unizero", "--candidate", "fault:forgets-v"]]
)
def test_a_report_of_a_command_has_programs(tmp_path: Path, command: list[str]) -> None:
    """A run's and a replay's; the exit status is that of the comparison."""
    assert main([*command, "--quiet", "--report", "report"]) == 1
    first = json.loads((tmp_path / "report/result.json").read_text())["first"]
    assert ["driver.apply" in each["program"] for each in first] == [True] * len(first)


def test_fuzzing_has_its_programs_already(tmp_path: Path) -> None:
    """Each finding was made small; one that was found before, too."""
    command = [
        "fuzz",
        "--candidate",
        "fault:forgets-v",
        "--examples",
        "30",
        "--seed",
        "0",
        "--quiet",
        "--report",
        "report",
    ]
    for _ in range(2):
        assert main([*command, "--report", "report"]) == 1
        result = json.loads((tmp_path / "report/result.json").read_text())
        shown = {(each["kind"], each["wrong"]) for each in result["first"] if "driver.apply" in (each["program"] or "")}
        assert {(case["kind"], case["wrong"]) for case in result["fuzzing"]["cases"]} == shown
