"""The verdict: a NO-GO for each single reason, INCONCLUSIVE for each thing that is missing, and GO for neither."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness import CacheSpec, Comparison, KnownDifference, Result, UsageError, load_scenario, merge
from harness.compare import Tolerance
from harness.evidence import Coverage, Exercised, Provenance, Timeline
from harness.result import TrainingAccount
from harness.thresholds import Thresholds
from harness.verdict import (
    FAILED,
    GO,
    INCONCLUSIVE,
    NO_GO,
    PASSED,
    UNKNOWN,
    Check,
    Trained,
    Verdict,
    ratios_of,
    trained_of,
    verdict_of,
)
from harness.verdict.certificate import digest_of
from harness.verdict.render import as_markdown

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1 << 20
SAME = Trained(candidate="its", verdict="SAME", reason="all equal", repeats=True, failed=False)


def provenance(**inputs: str) -> Provenance:
    """Of a run of a command."""
    return Provenance(
        command="kvparity run pool-pressure",
        began="2026-01-01",
        versions={"torch": "2"},
        machine="m",
        device="cpu",
        inputs={name.replace("_", " "): digest for name, digest in inputs.items()},
    )


def timeline(*, growth: float = 0.0, own: float = 0.0, points: int = 200) -> Timeline:
    """Of 100,000 operations; memory grows by so many bytes with each."""
    at = [500 * point for point in range(1, points + 1)]
    columns: dict[str, list[int | None]] = {name: [0] * points for name in ("hits", "misses", "evictions", "length")}
    columns["size_bytes"] = [round(own * operations) for operations in at]
    return Timeline(
        operations=at,
        elapsed_s=[0.0] * points,
        corruption=[0] * points,
        behaviour=[0] * points,
        resident_bytes=[200 * MIB + round(growth * operations) for operations in at],
        sides={"candidate": {"recur": columns}},
    )


def result(**changes: Any) -> Result:
    """Of a long run that exercised everything, and found nothing."""
    families = {
        "init": Exercised(pools=2, used=2, wrapped=2, sets=9000, resets=5, hits=50, misses=5, clears=3),
        "recur": Exercised(pools=1, used=1, wrapped=1, sets=9000, resets=5, hits=50, misses=5, clears=3),
        "wm": Exercised(pools=1),
    }
    for family in families.values():
        family.evictions = {"reference": 7 * family.used, "candidate": 7 * family.used}
    fields: dict[str, Any] = {
        "workload": "pool-pressure",
        "spec": None,
        "reference": "mine",
        "candidate": "its",
        "operations": Counter(get=50_000, set=50_000),
        "gets_compared": 50_000,
        "values_compared": 40_000,
        "total": 0,
        "unexpected": Counter(),
        "by_kind": Counter(),
        "by_side": Counter(),
        "by_known": Counter(),
        "by_group": Counter(),
        "first": {},
        "kept": [],
        "stats": {},
        "elapsed_s": 1.0,
        "seed": 3,
        "coverage": Coverage(
            families=families,
            strategies={
                "reference": {"init": ["fifo"], "recur": ["fifo"], "wm": ["fifo"]},
                "candidate": {"init": ["fifo"], "recur": ["lru"], "wm": ["lru"]},
            },
            environments=2,
            environments_seen=2,
            kinds=["2 layers"],
        ),
        "timeline": timeline(),
        "provenance": provenance(),
    }
    return Result(**{**fields, **changes})


def bench(*intervals: tuple[float, float], confidence: float = 0.96, **changes: Any) -> dict[str, Any]:
    """As `kvparity bench --json` writes it, one workload for each interval."""
    return {
        "settings": {"reference": "mine", "candidates": ["its", "another"]},
        "machine": {"torch": "2"},
        "runs": [
            {
                "workload": f"workload {number}",
                "ratios": {
                    "its": {"time": {"median": (low + high) / 2, "low": low, "high": high, "confidence": confidence}},
                    "another": {"time": {"median": 9, "low": 9, "high": 9, "confidence": 1.0}},
                },
                "failures": {},
            }
            for number, (low, high) in enumerate(intervals)
        ],
        **changes,
    }


FAST = ratios_of(bench((0.5, 0.6)), "bench.json")


def judged(*results: Result, **options: Any) -> Verdict:
    """With a bench that is in order, unless it says otherwise."""
    return verdict_of(results or [result()], **{"bench": [FAST], **options})


def check(verdict: Verdict, name: str) -> Check:
    """The check of that name."""
    [found] = [each for each in verdict.checks if each.name == name]
    return found


# ---------------------------------------------------------------- the three outcomes


def test_where_all_is_shown_and_nothing_is_wrong_it_is_go() -> None:
    """With a certificate, and what was not compared named."""
    verdict = judged()
    assert verdict.outcome == GO
    assert verdict.line == "GO: 15 checks passed; not compared, and not required: training, coverage: shapes"
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
    assert (verdict.outcome, verdict.line) == (INCONCLUSIVE, "INCONCLUSIVE: not shown: speed")
    assert verdict.commands == ("kvparity bench --reference mine --candidate its --json bench.json",)


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
    with pytest.raises(UsageError, match="several pairs of caches have no sum: mine against its, mine against other"):
        judged(result(), result(candidate="other"))


# ---------------------------------------------------------------- NO-GO, each reason alone


def leaking(**slopes: float) -> Result:
    """A run in which memory grows."""
    return result(timeline=timeline(**slopes))


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
    found["runs"][0]["failures"]["its"] = "RuntimeError: no"
    return found


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
    assert (found.outcome, found.sentence) == (PASSED, "2 unexpected differences of behaviour (2 are let pass)")


def training_of(**changes: Any) -> TrainingAccount:
    """A training that was shadowed whole."""
    fields: dict[str, Any] = {
        "models": ("WorldModel 1",),
        "serve": "reference",
        "compare_every": 1,
        "passed_over": 0,
        "shadow_s": 1.0,
        "wall_s": 50.0,
        "stopped": None,
    }
    return TrainingAccount(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"interrupted": True}, "pool-pressure was interrupted after 100,000 operations"),
        ({"missing": ["rank 1", "rank 3"]}, "there is no result of rank 1, rank 3"),
        ({"training": training_of(stopped="it failed")}, "pool-pressure stopped early: it failed"),
        ({"training": training_of(compare_every=4)}, "pool-pressure compared only one lookup in 4"),
        ({"training": training_of(passed_over=9)}, "pool-pressure passed over 9 lookups"),
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
    assert verdict.lacking[0].sentence == "it was interrupted before all that was asked for had run"


def test_the_runs_of_one_file_come_from_where_it_comes_from() -> None:
    """The certificate says it of each, and a NO-GO knows the command that shows it again."""
    whole = merge([result(provenance=None), result(workload="revisit", provenance=None)])
    whole.provenance = provenance(cache_its="a" * 64)
    proof = judged(whole).certificate
    assert proof is not None
    assert [run["command"] for run in proof["runs"]] == ["kvparity run pool-pressure"] * 2
    assert [run["versions"] for run in proof["runs"]] == [{"torch": "2"}] * 2
    assert proof["inputs"] == {"cache its": "a" * 64}
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
    assert verdict.line.startswith("GO: 15 checks passed, with tensors within rtol 0.5, atol 5; not compared")
    assert verdict.certificate is not None
    assert verdict.certificate["tolerances"] == [{"rtol": 0.5, "atol": 5.0}]
    assert verdict.certificate["runs"][0]["compared"] == "within rtol 0.5, atol 5"
    text = as_markdown(verdict)
    assert text.startswith("# Certificate of parity within rtol 0.5, atol 5: its in place of mine\n")
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
    whole = replace(merge([part, result(workload="revisit")]), provenance=provenance(cache_its="a" * 64))
    again = result(elapsed_s=2.0, timeline=timeline(growth=1))
    verdict = judged(part, whole, again)
    assert check(verdict, "coverage: operations").sentence.startswith("200,000 operations")
    said = "4 runs, each to its end; what is there again counts once: pool-pressure with seed 3"
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
    assert check(cut, "completeness").sentence.endswith("; what is there again counts once: pool-pressure with seed 3")


def test_no_two_trainings_are_the_same() -> None:
    """But one may be there twice."""
    one, two = (result(training=training_of(), elapsed_s=seconds) for seconds in (1.0, 2.0))
    operations = [
        check(judged(*runs), "coverage: operations").sentence.partition(" ")[0] for runs in ([one, two], [one, one])
    ]
    assert operations == ["200,000", "100,000"]


def test_runs_of_two_versions_of_a_cache_are_not_one_claim() -> None:
    """The digests of its source tell."""
    first, second = (result(provenance=provenance(cache_its=digest)) for digest in "ab")
    verdict = judged(first, second)
    assert verdict.outcome == INCONCLUSIVE
    assert check(verdict, "completeness").sentence == "the runs are not of one version of its: its source differs"
    assert judged(first, first).outcome == GO


def test_nothing_compared_is_not_called_free_of_corruption() -> None:
    """A run without lookups."""
    assert check(judged(result(gets_compared=0)), "corruption").outcome == UNKNOWN


# ---------------------------------------------------------------- speed


@pytest.mark.parametrize(
    ("intervals", "outcome"),
    [
        ([(0.9, 1.05)], PASSED),
        ([(0.9, 1.06)], UNKNOWN),
        ([(1.04, 1.3)], UNKNOWN),
        ([(1.051, 1.3)], FAILED),
        ([(0.9, 1.0), (0.9, 1.2)], UNKNOWN),
        ([(0.9, 1.2), (1.1, 1.2)], FAILED),
        ([], UNKNOWN),
    ],
)
def test_slow_is_what_lies_above_the_limit_with_its_whole_interval(
    intervals: list[tuple[float, float]], outcome: str
) -> None:
    """In any workload; an interval that straddles the limit tells nothing."""
    assert check(judged(bench=[ratios_of(bench(*intervals), "b")]), "speed").outcome == outcome


def test_too_few_repeats_tell_nothing() -> None:
    """However far from the limit."""
    found = check(judged(bench=[ratios_of(bench((2.0, 3.0), confidence=0.5), "b")]), "speed")
    assert found.outcome == UNKNOWN
    assert "too few repeats" in found.sentence


def test_the_limit_can_be_set() -> None:
    """For a cache that may be twice as slow."""
    slow = ratios_of(bench((1.5, 1.9)), "b")
    assert check(judged(bench=[slow], thresholds=Thresholds(time_ratio=2.0)), "speed").outcome == PASSED


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"reference": "mine", "candidates": ["another"]},
            "the bench timed another; the results are of its: `kvparity",
        ),
        ({"reference": "yours", "candidates": ["its"]}, "against yours, the results against mine: `kvparity bench"),
    ],
)
def test_a_bench_of_other_caches_is_refused(settings: dict[str, Any], message: str) -> None:
    """With the command that would time the right ones."""
    with pytest.raises(UsageError, match=message):
        judged(bench=[ratios_of(bench(settings=settings), "b")])


def test_a_training_may_be_timed_against_another_original() -> None:
    """LightZero's own caches stand in its model, and cannot be timed apart from it; the sentence says against what."""
    other = ratios_of(bench((0.5, 0.6), settings={"reference": "legacy-released", "candidates": ["its"]}), "b")
    found = check(judged(result(training=training_of()), bench=[other]), "speed")
    assert found.outcome == PASSED
    assert "times the time of legacy-released" in found.sentence


def test_a_bench_of_another_version_tells_nothing() -> None:
    """Neither that the cache is fast nor that it is slow; one of this version still does."""
    compared = result(provenance=provenance(cache_its="a" * 64))
    for interval in ((0.5, 0.6), (2.0, 3.0)):
        other = ratios_of(bench(interval, provenance={"inputs": {"cache its": "b" * 64, "cache another": "c"}}), "b")
        found = check(judged(compared, bench=[FAST, other]), "speed")
        assert found.outcome == UNKNOWN
        assert found.sentence == "the bench timed another version of its than the runs are of: its source differs"
        assert found.command == "kvparity bench --reference mine --candidate its --json bench.json"
    slow = ratios_of(bench((2.0, 3.0)), "b")
    assert check(judged(compared, bench=[slow, other]), "speed").outcome == FAILED
    same = ratios_of(bench((0.5, 0.6), provenance={"inputs": {"cache its": "a" * 64}}), "b")
    assert judged(compared, bench=[same]).outcome == GO


def test_a_bench_that_was_interrupted_shows_no_speed() -> None:
    """What is slow in it is slow all the same."""
    found = check(judged(bench=[ratios_of(bench((0.5, 0.6), interrupted=True), "b")]), "speed")
    assert found.outcome == UNKNOWN
    assert found.sentence == "the bench was interrupted, so that not all was timed as often as it should be"
    assert check(judged(bench=[ratios_of(bench((2.0, 3.0), interrupted=True), "b")]), "speed").outcome == FAILED


def test_a_cache_against_itself_has_a_speed() -> None:
    """Where the candidate is the reference, a bench calls it `(again)`."""
    fields = bench((0.9, 1.0), settings={"reference": "its", "candidates": ["its (again)"]})
    [run] = fields["runs"]
    run["ratios"] = {"its (again)": run["ratios"]["its"]}
    itself = result(reference="its (reference)", candidate="its (candidate)")
    assert check(judged(itself, bench=[ratios_of(fields, "b")]), "speed").outcome == PASSED
    run["failures"] = {"its (again)": "RuntimeError: no"}
    assert check(judged(itself, bench=[ratios_of(fields, "b")]), "speed").outcome == FAILED


# ---------------------------------------------------------------- memory


def test_growth_below_the_floor_is_not_called_a_leak() -> None:
    """It is not called sound either: a longer run tells."""
    found = check(judged(leaking(growth=1000), thresholds=Thresholds(memory_floor=64 * MIB)), "memory")
    assert found.outcome == UNKNOWN
    assert found.command.startswith("kvparity run pool-pressure --steps 400000 --seed 4 --reference mine")


def test_growth_below_the_limit_passes() -> None:
    """The comparison itself remembers keys, some 100 bytes for each operation."""
    assert check(judged(leaking(growth=100)), "memory").outcome == PASSED


def test_a_short_run_says_nothing_of_memory() -> None:
    """And the command makes a longer one."""
    found = check(judged(result(operations=Counter(get=400))), "memory")
    assert found.outcome == UNKNOWN
    assert found.sentence == "the longest run has 400 operations; at least 50,000 are needed"
    assert "--steps 200000" in found.command


def test_pools_that_are_still_filled_are_no_leak() -> None:
    """Slots are allocated when they are first used."""
    filling = leaking(growth=1000)
    filling.coverage.families["init"].wrapped = 1
    found = check(judged(filling), "memory")
    assert found.outcome == UNKNOWN
    assert found.sentence.endswith("while its pools were still being filled")


def test_the_memory_of_a_training_is_not_the_candidates() -> None:
    """A replay buffer grows; what the candidate says of itself still counts."""
    assert check(judged(result(timeline=timeline(growth=1000), training=training_of())), "memory").outcome == PASSED
    assert check(judged(result(timeline=timeline(own=1000), training=training_of())), "memory").outcome == FAILED


def test_one_leaking_run_among_sound_ones_is_a_leak() -> None:
    """The worst is told."""
    assert check(judged(result(), leaking(growth=1000), result()), "memory").outcome == FAILED


def test_a_system_that_does_not_tell_its_memory_is_unknown() -> None:
    """Not sound."""
    found = check(judged(result(timeline=Timeline())), "memory")
    assert (found.outcome, found.sentence) == (UNKNOWN, "too few measurements of memory were kept")


def test_slots_are_known_where_the_sizes_are() -> None:
    """A pool that was set often enough is filled, whether it was ever wrapped or not: searches clear it first."""
    searched = result(timeline=timeline(growth=1000), spec=CacheSpec(env_num=2, init_pool_size=10, num_simulations=50))
    searched.coverage.families["recur"].wrapped = 0
    assert check(judged(searched), "memory").outcome == FAILED
    searched.coverage.families["recur"].sets = 399  # of 100 slots
    assert check(judged(searched), "memory").outcome == UNKNOWN


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
    with pytest.raises(UsageError, match="were served by another; the results are of its"):
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
    fields["runs"][0]["ratios"]["its"]["time"]["high"] = number
    with pytest.raises(UsageError, match=r"x\.json is no bench: "):
        ratios_of(fields, "x.json")


# ---------------------------------------------------------------- coverage


def lacking(change: Callable[[Result], object]) -> list[str]:
    """What the coverage lacks after a change."""
    found = result()
    change(found)
    verdict = judged(found)
    assert verdict.outcome == INCONCLUSIVE
    assert len({each.command for each in verdict.lacking}) == 1  # one command supplies it all
    return [each.name.partition(": ")[2] for each in verdict.lacking]


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
            ["evictions, candidate, lru"],
        ),
        (
            everywhere("evictions", {}),
            [f"evictions, {s}" for s in ("reference, fifo", "candidate, fifo", "candidate, lru")],
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
    sides = "--reference mine --candidate its --json more.json"
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
    """They are told of in any case."""
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
    found = result(provenance=provenance(cache_its="a" * 64))
    verdict = judged(found, files={"r.json": "b" * 64}, paired=[SAME])
    proof = verdict.certificate
    assert proof is not None
    assert proof["operations"] == {"get": 50_000, "set": 50_000}
    assert proof["runs"][0]["versions"] == {"torch": "2"}
    assert proof["inputs"] == {"cache its": "a" * 64}
    assert proof["files"] == {"r.json": "b" * 64}
    assert proof["thresholds"]["time-ratio"] == 1.05
    assert proof["training"][0]["verdict"] == "SAME"
