"""What was found, how it was compared, and what is there twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from kvparity import Comparison, KnownDifference, Result, load_scenario, merge
from kvparity.evidence import Coverage
from kvparity.report.verdict_text import as_markdown
from kvparity.settings import Thresholds
from kvparity.values.difference import Tolerance
from kvparity.verdict import (
    FAILED,
    GO,
    INCONCLUSIVE,
    NO_GO,
    PASSED,
    UNKNOWN,
    verdict_of,
)
from support.verdicts import check, judged, leaking, provenance, result, timeline, training_of

# ---------------------------------------------------------------- what is found


def test_known_differences_stay_counted() -> None:
    """They are no failure, and are on the certificate with their reason."""
    known = KnownDifference(pattern="presence *", side="any", reason="so it is")
    comparison = Comparison("legacy-evicting", "refactored-fifo", known=[known])
    found = comparison.scenario(load_scenario("revisit"), seed=0, steps=500)
    verdict = verdict_of([found], thresholds=Thresholds(require=("behaviour",)))
    count = found.by_known["so it is"]
    assert count > 0
    assert verdict.certificate is not None
    assert verdict.certificate["known_differences"] == {"so it is": count}
    assert f"{count} known and accepted" in check(verdict, "behaviour").sentence


def test_the_failure_names_the_kinds_and_who_is_wrong() -> None:
    """And the command of the run that found it."""
    found = Comparison("legacy-released", "refactored-fifo").scenario(
        load_scenario("pool-pressure"), seed=0, steps=2000
    )
    found.provenance = replace(provenance(), command="the command")
    other = replace(result(), reference=found.reference, candidate=found.candidate)
    failed = check(verdict_of([other, found]), "corruption")
    assert f"stale_hit x {found.by_group['stale_hit', 'reference']:,}, wrong: reference" in failed.sentence
    assert failed.command == "the command"


def test_differences_that_are_let_pass_are_told() -> None:
    """The threshold is not silent."""
    found = check(judged(result(unexpected=Counter(behaviour=2)), thresholds=Thresholds(behaviour=2)), "behaviour")
    assert (found.outcome, found.sentence) == (PASSED, "2 unexpected differences of behaviour (2 allowed)")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"interrupted": True}, "pool-pressure was interrupted after 100,000 operations"),
        ({"missing": ["rank 1", "rank 3"]}, "no result of rank 1, rank 3"),
        ({"training": training_of(stopped="it failed")}, "pool-pressure stopped early: it failed"),
        ({"training": training_of(compare_every=4)}, "pool-pressure compared only one lookup in 4"),
        (
            {"training": training_of(passed_over=9)},
            "pool-pressure did not compare 9 lookups; --max-share none",
        ),
    ],
)
def test_a_run_that_is_not_whole_is_inconclusive(changes: dict[str, Any], sentence: str) -> None:
    """It says in what way, also where it is one of several."""
    for results in ([result(**changes)], [result(), result(**changes)]):
        verdict = judged(*results)
        assert verdict.outcome == INCONCLUSIVE
        assert [each.name for each in verdict.lacking] == ["completeness"]
        assert sentence in verdict.lacking[0].sentence


@pytest.mark.parametrize("others", [[], [result(workload="clear-storm")]])
def test_an_interrupt_between_two_workloads_is_inconclusive(others: list[Result]) -> None:
    """Each run that is there is whole, and those that are not there are not shown."""
    cut = merge([result(), result(workload="revisit")])
    cut.interrupted = True
    verdict = judged(cut, *others)
    assert verdict.outcome == INCONCLUSIVE
    assert [each.name for each in verdict.lacking] == ["completeness"]
    assert verdict.lacking[0].sentence == "the command was interrupted before all its workloads had run"


def test_the_runs_of_one_file_come_from_where_it_comes_from() -> None:
    """The certificate says it of each, and a NO-GO knows the command that shows it again."""
    whole = merge([result(provenance=None), result(workload="revisit", provenance=None)])
    whole.provenance = provenance(cache_rewrite="a" * 64)
    proof = judged(whole).certificate
    assert proof is not None
    assert [run["command"] for run in proof["runs"]] == ["kvparity run pool-pressure"] * 2
    assert [run["versions"] for run in proof["runs"]] == [{"torch": "2"}] * 2
    assert proof["inputs"] == {"cache rewrite": "a" * 64}
    whole.runs[1].unexpected = whole.unexpected = Counter(corruption=1)
    assert judged(whole).commands == ("kvparity run pool-pressure",)


def test_a_run_that_comes_from_nowhere_is_not_given_what_another_file_came_from() -> None:
    """A result of the API has no command, whatever stands beside it."""
    proof = judged(result(), result(workload="revisit", provenance=None)).certificate
    assert proof is not None
    assert [run["command"] for run in proof["runs"]] == ["kvparity run pool-pressure", None]


# ---------------------------------------------------------------- tolerances


LOOSE = Tolerance(rtol=0.5, atol=5.0)


def test_a_tolerance_is_never_certified_as_equal_bits() -> None:
    """The check, the line and the certificate say how far tensors were let differ."""
    verdict = judged(result(tolerances=[LOOSE]))
    said = "40,000 of them tensor by tensor, not bit by bit but within rtol 0.5, atol 5"
    assert check(verdict, "corruption").sentence == f"no corruption in 50,000 lookups, {said}"
    assert verdict.line.startswith("GO: 15 checks passed, with tensors within rtol 0.5, atol 5; not tested")
    assert verdict.certificate is not None
    assert verdict.certificate["tolerances"] == [{"rtol": 0.5, "atol": 5.0}]
    assert verdict.certificate["runs"][0]["compared"] == "within rtol 0.5, atol 5"
    text = as_markdown(verdict)
    assert text.startswith("# Certificate of parity within rtol 0.5, atol 5: rewrite in place of original\n")
    assert "Tensor by tensor: 40,000 lookups, within rtol 0.5, atol 5." in text
    assert "Tensor by tensor: 40,000 lookups, bit by bit." in as_markdown(judged())


def test_of_several_tolerances_each_is_told() -> None:
    """And of how many runs that holds."""
    loose = [result(tolerances=[each], workload=str(each)) for each in (LOOSE, Tolerance(), LOOSE)]
    found = check(judged(result(), *loose), "corruption")
    assert found.sentence.endswith("within rtol 0.5, atol 5 or torch's own tolerance in 3 of 4 runs")


def test_a_comparison_keeps_its_tolerance_in_its_result() -> None:
    """It is there in the sum, too; equal bits leave no word."""
    runs = [
        Comparison("legacy-evicting", "refactored-fifo", tolerance=tolerance).scenario(
            load_scenario("mcts"), seed=0, steps=50
        )
        for tolerance in (LOOSE, None)
    ]
    assert [run.tolerances for run in runs] == [[LOOSE], []]
    assert merge(runs).tolerances == [LOOSE]
    assert "tolerances" not in runs[1].as_dict()


# ---------------------------------------------------------------- what is there twice


def test_the_same_work_counts_once() -> None:
    """Run again, read again from a part or a sum; what counts once is named."""
    part = result(provenance=None)
    whole = replace(merge([part, result(workload="revisit")]), provenance=provenance(cache_rewrite="a" * 64))
    again = result(elapsed_s=2.0, timeline=timeline(growth=1))
    verdict = judged(part, whole, again)
    assert check(verdict, "coverage: operations").sentence.startswith("200,000 operations")
    said = "4 complete runs; a run that appears twice counts once: pool-pressure with seed 3"
    assert check(verdict, "completeness").sentence == said
    assert verdict.certificate is not None
    assert verdict.certificate["lookups_compared"] == 100_000


@pytest.mark.parametrize(
    "changes",
    [
        {"workload": "revisit"},
        {"seed": 4},
        {"operations": Counter(get=50_001, set=49_999)},
        {"values_compared": 39_999},
        {"coverage": Coverage()},
        {"tolerances": [Tolerance()]},
        {"provenance": provenance(file_r="a" * 64)},
    ],
)
def test_other_work_counts_by_itself(changes: dict[str, Any]) -> None:
    """Whatever it is in which it differs."""
    verdict = judged(result(provenance=provenance(file_r="b" * 64)), result(**changes))
    assert check(verdict, "coverage: operations").sentence.startswith("200,000 operations")
    assert "once" not in check(verdict, "completeness").sentence


def test_a_repeat_that_came_out_differently_is_not_passed_over() -> None:
    """A cache that is wrong now and then is wrong."""
    assert judged(result(), result(unexpected=Counter(corruption=1))).outcome == NO_GO
    assert check(judged(result(), leaking(growth=1000)), "memory").outcome == FAILED
    cut = judged(result(), result(interrupted=True))
    assert check(cut, "completeness").outcome == UNKNOWN
    assert check(cut, "completeness").sentence.endswith(
        "; a run that appears twice counts once: pool-pressure with seed 3"
    )


def test_no_two_trainings_are_the_same() -> None:
    """But one may be there twice."""
    one, two = (result(training=training_of(), elapsed_s=seconds) for seconds in (1.0, 2.0))
    operations = [
        check(judged(*runs), "coverage: operations").sentence.partition(" ")[0] for runs in ([one, two], [one, one])
    ]
    assert operations == ["200,000", "100,000"]


def test_runs_of_two_versions_of_a_cache_are_not_one_claim() -> None:
    """The digests of its source tell."""
    first, second = (result(provenance=provenance(cache_rewrite=digest)) for digest in "ab")
    verdict = judged(first, second)
    assert verdict.outcome == INCONCLUSIVE
    assert check(verdict, "completeness").sentence == "the runs used different versions of rewrite: its source differs"
    assert judged(first, first).outcome == GO


def test_nothing_compared_is_not_called_free_of_corruption() -> None:
    """A run without lookups."""
    assert check(judged(result(gets_compared=0)), "corruption").outcome == UNKNOWN
