"""Whether the same training gives the same results under either cache: what `compare-training` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kvparity.errors import UsageError
from kvparity.training.paired.outcome import DIFFERENT, SAME
from kvparity.verdict.checks import FAILED, PASSED, UNKNOWN, Check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kvparity.settings import Thresholds
    from kvparity.verdict.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Of a comparison of trainings, what a verdict needs.

    Attributes:
        candidate: the cache that served the second one.
        verdict: `SAME`, `DIFFERENT` or `INCONCLUSIVE`; `reason` for it in one sentence.
        repeats: whether the reference's training repeated itself to the last bit.
        failed: whether the candidate's training itself ended with an error.
    """

    candidate: str
    verdict: str
    reason: str
    repeats: bool
    failed: bool


def trained_of(fields: dict[str, Any], where: str) -> Trained:
    """Of what `kvparity compare-training --json` wrote.

    Raises:
        UsageError: it is nothing of the kind.
    """
    try:
        _, candidate, _ = fields["trainings"]
        return Trained(
            candidate=str(candidate["served_by"]),
            verdict=str(fields["verdict"]),
            reason=str(fields["reason"]),
            repeats=fields["noise"]["alike"] is True,
            failed=candidate["status"] != 0,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{where} is no comparison of trainings: {type(error).__name__}: {error}") from None


def training(subject: Subject, trainings: Sequence[Trained], thresholds: Thresholds) -> Check:
    """Different where the numbers part, and the reference's own do not.

    Raises:
        UsageError: a comparison is of another candidate.
    """
    command = f"kvparity compare-training --candidate {subject.candidate} --json training.json SCRIPT"
    for trained in trainings:
        if trained.candidate != subject.candidate:
            raise UsageError(
                f"the trainings compared were served by {trained.candidate}; the results are of {subject.candidate}"
            )
    if not trainings:
        required = thresholds.requires("training")
        return Check(
            name="training", outcome=UNKNOWN, sentence="no trainings were compared", command=command, required=required
        )
    judged = [(_judged(trained), trained.reason) for trained in trainings]
    worst = next(outcome for outcome in (FAILED, UNKNOWN, PASSED) if any(outcome == each for each, _ in judged))
    sentence = "; ".join(reason for outcome, reason in judged if outcome == worst)
    return Check(name="training", outcome=worst, sentence=sentence, command="" if worst == PASSED else command)


def _judged(trained: Trained) -> str:
    if trained.verdict == SAME:
        return PASSED
    return FAILED if trained.verdict == DIFFERENT and (trained.repeats or trained.failed) else UNKNOWN
