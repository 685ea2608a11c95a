"""The verdict: GO where all is shown, NO-GO for each reason alone, and what is certified."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kvparity import UsageError
from kvparity.settings import Thresholds
from kvparity.verdict import (
    GO,
    INCONCLUSIVE,
    NO_GO,
    PASSED,
    UNKNOWN,
    Verdict,
    ratios_of,
    trained_of,
    verdict_of,
)
from kvparity.verdict.certificate import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable
from support.verdicts import SAME, bench, check, judged, leaking, provenance, result

# ---------------------------------------------------------------- the three outcomes


def test_where_all_is_shown_and_nothing_is_wrong_it_is_go() -> None:
    """With a certificate, and what was not compared named."""
    verdict = judged()
    assert verdict.outcome == GO
    assert verdict.line == "GO: 15 checks passed; not tested and not required: training, shapes"
    assert verdict.certificate is not None
    assert verdict.commands == ()


def test_a_failed_check_is_no_go_whatever_else_is_missing() -> None:
    """And there is no certificate."""
    verdict = verdict_of([result(unexpected=Counter(corruption=1), gets_compared=1)])
    assert verdict.outcome == NO_GO
    assert [each.name for each in verdict.failed] == ["corruption"]
    assert verdict.certificate is None


def test_a_missing_check_is_inconclusive() -> None:
    """It is named, with the command that would supply it."""
    verdict = verdict_of([result()])
    assert (verdict.outcome, verdict.line) == (INCONCLUSIVE, "INCONCLUSIVE: not yet tested: speed")
    assert verdict.commands == ("kvparity bench --reference original --candidate rewrite --json bench.json",)


def test_what_nobody_requires_may_be_missing() -> None:
    """It is told on the certificate."""
    thresholds = Thresholds(require=("corruption", "behaviour"))
    verdict = verdict_of([result(gets_compared=3)], thresholds=thresholds)
    assert verdict.outcome == GO
    assert "speed" in [each.name for each in verdict.left_out]


def test_what_nobody_requires_still_says_no_go() -> None:
    """Where it failed, it failed."""
    slow = ratios_of(bench((2, 3)), "bench.json")
    assert verdict_of([result()], bench=[slow], thresholds=Thresholds(require=())).outcome == NO_GO


def test_results_of_several_pairs_are_refused() -> None:
    """With their names."""
    with pytest.raises(
        UsageError,
        match="cannot be added: original against rewrite, original against other",
    ):
        judged(result(), result(candidate="other"))


# ---------------------------------------------------------------- NO-GO, each reason alone


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("corruption", lambda: judged(result(unexpected=Counter(corruption=1)))),
        ("behaviour", lambda: judged(result(unexpected=Counter(behaviour=1)))),
        ("speed", lambda: judged(bench=[ratios_of(bench((0.5, 0.6), (1.06, 1.2)), "b")])),
        ("speed", lambda: judged(bench=[ratios_of(failing_bench(), "b")])),
        ("memory", lambda: judged(leaking(growth=1000))),
        ("memory", lambda: judged(leaking(own=1000))),
        ("training", lambda: judged(paired=[replace(SAME, verdict="DIFFERENT", reason="parts at 7")])),
        ("training", lambda: judged(paired=[replace(SAME, verdict="DIFFERENT", failed=True, repeats=False)])),
    ],
)
def test_one_reason_alone_is_no_go(name: str, make: Callable[[], Verdict]) -> None:
    """And it is the only check that fails."""
    verdict = make()
    assert verdict.outcome == NO_GO
    assert [each.name for each in verdict.failed] == [name]
    assert verdict.failed[0].sentence in verdict.line


def failing_bench() -> dict[str, Any]:
    """One in which the candidate raised."""
    found = bench((0.5, 0.6))
    found["runs"][0]["failures"]["rewrite"] = "RuntimeError: no"
    return found


# ---------------------------------------------------------------- training


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, PASSED),
        ({"verdict": "DIFFERENT", "repeats": False}, UNKNOWN),
        ({"verdict": "INCONCLUSIVE"}, UNKNOWN),
    ],
)
def test_trainings_are_judged_by_what_they_came_to(changes: dict[str, Any], outcome: str) -> None:
    """A difference counts where the reference repeats itself; once given, an unknown is not ignored."""
    verdict = judged(paired=[replace(SAME, **changes)])
    assert check(verdict, "training").outcome == outcome
    assert verdict.outcome == (GO if outcome == PASSED else INCONCLUSIVE)


def test_a_training_can_be_required() -> None:
    """Then there is no GO without it."""
    thresholds = Thresholds(require=(*Thresholds().require, "training"))
    assert judged(thresholds=thresholds).outcome == INCONCLUSIVE
    assert judged(thresholds=thresholds, paired=[SAME]).outcome == GO


def test_trainings_of_another_candidate_are_refused() -> None:
    """With both names."""
    with pytest.raises(
        UsageError,
        match="served by another, and the results are of rewrite: `kvparity compare",
    ):
        judged(paired=[replace(SAME, candidate="another")])


@pytest.mark.parametrize("read", [ratios_of, trained_of])
@pytest.mark.parametrize("fields", [{}, {"settings": 3, "trainings": 3}, {"settings": [], "trainings": [{}] * 3}])
def test_nonsense_is_told_with_the_file(read: Callable[..., Any], fields: dict[str, Any]) -> None:
    """In one line."""
    with pytest.raises(UsageError, match=r"x\.json is no "):
        read(fields, "x.json")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), "1", None])
def test_a_ratio_that_is_no_number_is_told(number: object) -> None:
    """It would be neither above the limit nor below."""
    fields = bench((0.5, 0.6))
    fields["runs"][0]["ratios"]["rewrite"]["time"]["high"] = number
    with pytest.raises(UsageError, match=r"x\.json is no bench: "):
        ratios_of(fields, "x.json")


# ---------------------------------------------------------------- the certificate


def test_the_digest_is_over_all_that_is_certified() -> None:
    """It is the same for the same, and another for anything else."""
    proof, again, other = (judged(found).certificate for found in (result(), result(), result(gets_compared=49_999)))
    assert proof is not None
    assert other is not None
    assert proof == again
    assert proof["sha256"] == digest_of(json.loads(json.dumps(proof)))
    assert proof["sha256"] != other["sha256"]


def test_the_certificate_says_what_was_compared_and_with_what() -> None:
    """How much, versions, digests of inputs and of files, thresholds."""
    found = result(provenance=provenance(cache_rewrite="a" * 64))
    verdict = judged(found, files={"r.json": "b" * 64}, paired=[SAME])
    proof = verdict.certificate
    assert proof is not None
    assert proof["operations"] == {"get": 50_000, "set": 50_000}
    assert proof["runs"][0]["versions"] == {"torch": "2"}
    assert proof["inputs"] == {"cache rewrite": "a" * 64}
    assert proof["files"] == {"r.json": "b" * 64}
    assert proof["thresholds"]["time-ratio"] == 1.05
    assert proof["training"][0]["verdict"] == "SAME"
