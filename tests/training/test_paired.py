"""The verdict on two trainings: the same, different, or inconclusive because a training does not repeat itself."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from kvparity.training.paired.outcome import DIFFERENT, INCONCLUSIVE, SAME, TrainingRun, pair

if TYPE_CHECKING:
    from kvparity.training.paired.curves import Curves
    from kvparity.training.paired.outcome import Paired

LOSSES = [3.0, 2.0, 1.0]


def run(name: str, curves: Curves, *, status: int = 0) -> TrainingRun:
    """A training that logged those curves."""
    return TrainingRun(
        name=name,
        served_by="refactored-fifo" if name == "candidate" else "LightZero",
        status=status,
        wall_s=2.0,
        iterations=3,
        samples=24,
        peak_bytes=1_000,
        mean_bytes=900.0,
        stats={"recur": {"hits": 1, "misses": 0, "evictions": 0}},
        curves=curves,
    )


def paired(candidate: list[float], again: list[float]) -> Paired:
    """The verdict for a candidate, against a reference that logged `LOSSES`."""
    return pair(
        run("reference", {"loss": LOSSES}),
        run("candidate", {"loss": candidate}),
        run("reference again", {"loss": again}),
    )


def test_equal_trainings_are_the_same() -> None:
    """To the last bit; the reason says how many numbers are equal."""
    found = paired(list(LOSSES), list(LOSSES))
    assert (found.verdict, found.reason) == (SAME, "all 3 numbers of 1 curves are equal to the last bit")


def test_a_difference_where_the_reference_repeats_is_one() -> None:
    """The first step that differs is named."""
    found = paired([3.0, 2.0, 1.5], list(LOSSES))
    assert found.verdict == DIFFERENT
    assert found.reason == "loss differs from step 2 on: 1.0 and 1.5, where the reference repeats itself"


def test_a_difference_before_the_noise_is_one() -> None:
    """Also if the reference does not repeat itself later on."""
    found = paired([3.0, 2.5, 1.5], [3.0, 2.0, 1.1])
    assert found.verdict == DIFFERENT
    assert found.reason.endswith("where the reference repeats itself up to step 2")


def test_a_difference_within_the_noise_is_none() -> None:
    """It is not parity either."""
    found = paired([3.0, 2.0, 1.5], [3.0, 2.1, 1.0])
    assert found.verdict == INCONCLUSIVE
    assert found.reason.startswith(
        "the reference does not repeat itself, so nobody can tell what the candidate changes: loss "
    )


def test_nothing_logged_is_inconclusive() -> None:
    """Nothing was compared."""
    empty = [run(name, {}) for name in ("reference", "candidate", "reference again")]
    assert pair(*empty).verdict == INCONCLUSIVE


def test_a_candidate_that_ends_the_training_is_different() -> None:
    """Whatever it logged before."""
    curves = {"loss": LOSSES}
    found = pair(run("reference", curves), run("candidate", curves, status=1), run("reference again", curves))
    assert found.verdict == DIFFERENT
    assert "served by refactored-fifo ended with status 1" in found.reason


def test_a_reference_that_fails_shows_nothing() -> None:
    """There is nothing to compare the candidate with."""
    curves = {"loss": LOSSES}
    for failing in (0, 2):
        legs = [run(name, curves) for name in ("reference", "candidate", "reference again")]
        legs[failing] = replace(legs[failing], status=3)
        assert pair(*legs).verdict == INCONCLUSIVE


def test_a_candidate_that_did_not_serve_shows_nothing() -> None:
    """It was never asked."""
    curves = {"loss": LOSSES}
    legs = [run(name, curves) for name in ("reference", "candidate", "reference again")]
    found = pair(legs[0], replace(legs[1], stats={"recur": {"hits": 0, "misses": 9}}), legs[2])
    assert found.verdict == INCONCLUSIVE
    assert found.reason.startswith("the candidate served no hit: ")


def test_the_result_is_json() -> None:
    """With the lengths of the curves instead of their numbers."""
    result = json.loads(json.dumps(paired([3.0], list(LOSSES)).as_dict()))
    assert result["verdict"] == DIFFERENT
    assert [training["curves"] for training in result["trainings"]] == [{"loss": 3}, {"loss": 1}, {"loss": 3}]
    assert result["trainings"][0]["samples_per_s"] == 12.0
    assert result["likeness"]["partings"] == ["loss differs from step 1 on: 2.0 and has ended"]
