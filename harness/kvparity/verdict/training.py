"""Check whether the same training gives the same results with both caches, from `kvparity compare-training`."""

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
    """What a verdict needs of a comparison of trainings.

    Attributes:
        candidate: the cache that served the second training.
        verdict: `SAME`, `DIFFERENT` or `INCONCLUSIVE`.
        reason: for it, in one sentence.
        repeats: whether the training with the reference repeated itself to the last bit.
        failed: whether the training with the candidate ended with an error.
    """

    candidate: str
    verdict: str
    reason: str
    repeats: bool
    failed: bool


def trained_of(fields: dict[str, Any], where: str) -> Trained:
    """The comparison in `fields`, which `kvparity compare-training --json` wrote to the file `where`.

    Raises:
        UsageError: `fields` is no comparison of trainings.
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
    """Fails if the numbers of the trainings differ although the reference repeats itself, or if the candidate's failed.

    Raises:
        UsageError: a comparison is of another candidate.
    """
    command = f"kvparity compare-training --candidate {subject.candidate} --json training.json SCRIPT"
    for trained in trainings:
        if trained.candidate != subject.candidate:
            raise UsageError(
                f"the trainings were served by {trained.candidate}, and the results are of {subject.candidate}:"
                f" `{command}` compares the right ones"
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
