"""A JSON result is read back as what it was, and whatever else is in a file is told in one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kvparity import Comparison, KnownDifference, Result, Trace, UsageError, load_scenario, merge, trace_path
from kvparity.evidence import history, provenance, timeline
from kvparity.results.reading import read_result
from kvparity.results.result import KeptCase, TrainingAccount
from kvparity.results.writing import write_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def run(scenario: str = "revisit", **options: Any) -> Result:
    """A short comparison in which the original differs."""
    comparison = Comparison("legacy-evicting", "refactored-fifo", **options)
    return comparison.scenario(load_scenario(scenario), seed=3, steps=1000)


def replayed() -> Result:
    """One that has a trace's own answers."""
    with Trace(trace_path("cartpole-unizero")) as trace:
        return Comparison("legacy-released", "refactored-fifo").trace(trace, workload="cartpole-unizero", steps=300)


def known() -> Result:
    """One with differences that are accepted."""
    return run(known=[KnownDifference(pattern="presence *", side="any", reason="so it is")])


def fuzzed() -> Result:
    """One that kept a case."""
    result = run()
    result.examples = 7
    result.cases = [
        KeptCase(kind="size", wrong="candidate", explanation="why", operations=3, reproducible=True, trace="x.kvtrace")
    ]
    return result


def trained() -> Result:
    """One of a real training, of which a part is missing."""
    result = run()
    result.missing = ["rank 1"]
    result.training = TrainingAccount(
        models=("WorldModel 1",),
        serve="candidate",
        compare_every=2,
        shadow_s=1.0,
        wall_s=50.0,
        passed_over=3,
        stopped="it failed",
        stopped_after_s=7.5,
        stopped_after_operations=101,
    )
    return result


@pytest.mark.parametrize("make", [run, replayed, known, fuzzed, trained, lambda: merge([run(), known(), fuzzed()])])
def test_a_result_comes_back(make: Callable[[], Result], tmp_path: Path) -> None:
    """Every field, divergences, single runs and kept cases included."""
    result, path = make(), tmp_path / "r.json"
    write_json(result, path)
    again = read_result(path)
    assert again.as_dict() == result.as_dict()
    assert again.by_group == result.by_group
    assert (again.fails("behaviour"), again.fails("corruption")) == (
        result.fails("behaviour"),
        result.fails("corruption"),
    )


def test_sums_are_taken_apart_before_they_are_added_up() -> None:
    """So that runs are never sums, and each knows where it comes from."""
    parts = [run(), run("clear-storm"), run("mcts")]
    inner = merge(parts[:2])
    inner.provenance = provenance(["run", "revisit", "clear-storm"])
    whole = merge([inner, parts[2]])
    assert [each.workload for each in whole.runs] == ["revisit", "clear-storm", "mcts"]
    assert [each.provenance for each in whole.runs] == [inner.provenance, inner.provenance, None]
    assert whole.operations == merge(parts).operations


def test_results_of_several_pairs_are_not_added_up() -> None:
    """They would be a claim about no pair at all."""
    with pytest.raises(UsageError, match="added: legacy-evicting against refactored-fifo, legacy-released against"):
        merge([run(), replayed()])


def test_results_read_back_merge(tmp_path: Path) -> None:
    """As they would have before."""
    results = [run(), run("clear-storm")]
    for number, result in enumerate(results):
        write_json(result, tmp_path / f"{number}.json")
    again = merge([read_result(tmp_path / f"{number}.json") for number in range(2)])
    assert again.as_dict() == merge(results).as_dict()


@pytest.fixture
def fields(tmp_path: Path) -> dict[str, Any]:
    """Of a result's file."""
    write_json(run(), tmp_path / "r.json")
    found: dict[str, Any] = json.loads((tmp_path / "r.json").read_text())
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda fields: fields.pop("schema"), "it has no schema number"),
        (lambda fields: fields.update(schema=True), "it has no schema number"),
        (
            lambda fields: fields.update(schema=99),
            "has result schema 99; this kvparity reads up to 1: upgrade kvparity",
        ),
        (lambda fields: fields.pop("stats"), "'stats' is missing"),
        (lambda fields: fields.update(gets_compared="many"), "'many' is not a count"),
        (lambda fields: fields.update(workload=None), "None is not a text"),
        (lambda fields: fields.update(spec={"env_num": 0}), "env_num must be an integer of at least 1, got 0"),
        (lambda fields: fields.update(divergences=[]), "list indices must be integers"),
        (lambda fields: fields["first"][0].update(kind="mood"), "unknown kind of divergence 'mood'"),
        (lambda fields: fields["first"][0].update(key="zz"), "invalid literal for int"),
        (lambda fields: fields["coverage"]["families"]["init"].update(wrapped=None), "None is not a count"),
        (lambda fields: fields["coverage"].update(environments="8"), "'8' is not a count"),
        (
            lambda fields: fields["coverage"]["strategies"]["candidate"].update(x=["lru"]),
            "for x, but no such pools exist",
        ),
        (lambda fields: fields["coverage"]["families"].pop("wm"), "declared for wm, but no such pools exist"),
        (lambda fields: fields["timeline"]["operations"].__setitem__(0, "1"), "'1' is not a count"),
        (lambda fields: fields["timeline"]["sides"]["candidate"]["recur"].pop("hits"), "its timeline lacks hits"),
    ],
)
def test_what_is_no_result_is_told(
    fields: dict[str, Any], change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    """With what is wrong with it."""
    change(fields)
    (tmp_path / "r.json").write_text(json.dumps(fields))
    with pytest.raises(UsageError, match=message):
        read_result(tmp_path / "r.json")


@pytest.mark.parametrize("text", ["", "no json", "[" * 100_000, "[]", "7"])
def test_what_is_no_json_is_told(text: str, tmp_path: Path) -> None:
    """In one line."""
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(UsageError, match=r"r\.json is no result: "):
        read_result(tmp_path / "r.json")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(UsageError, match=r"none\.json cannot be read: No such file or directory"):
        read_result(tmp_path / "none.json")


@pytest.mark.parametrize("alias", [timeline.Column, timeline.Columns, timeline.Account, history.Heat], ids=str)
def test_what_results_hold_is_declared_without_quotes(alias: object) -> None:
    """Python 3.10 does not look into a quoted alias within another, and would refuse every result."""
    assert not isinstance(alias, str)
