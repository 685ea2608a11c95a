"""`verdict_of`: applies the roll-back rule to results, benches and trainings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kvparity.settings import Thresholds
from kvparity.verdict.certificate import certificate
from kvparity.verdict.checks import GO, Verdict, outcome_of
from kvparity.verdict.coverage import coverage
from kvparity.verdict.findings import behaviour, completeness, corruption
from kvparity.verdict.memory import memory
from kvparity.verdict.speed import speed
from kvparity.verdict.subject import Subject
from kvparity.verdict.training import training

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kvparity.results.result import Result
    from kvparity.verdict.checks import Check
    from kvparity.verdict.speed import Ratios
    from kvparity.verdict.training import Trained


def verdict_of(
    results: Sequence[Result],
    *,
    bench: Sequence[Ratios] = (),
    paired: Sequence[Trained] = (),
    thresholds: Thresholds | None = None,
    files: Mapping[str, str] | None = None,
) -> Verdict:
    """GO, NO-GO or INCONCLUSIVE.

    Args:
        results: at least one, all of the same two caches.
        bench: how the two caches were timed.
        paired: how trainings with the two caches compare.
        thresholds: None for the defaults.
        files: sha256 of the files that were read, by name, for the certificate.

    Raises:
        UsageError: the results, benches or trainings are of different caches.
    """
    thresholds = thresholds or Thresholds()
    subject = Subject.of(results)
    checks = (
        *(_weighed(check, thresholds) for check in _rule(subject, bench, thresholds)),
        training(subject, paired, thresholds),
        *coverage(subject, thresholds),
    )
    outcome = outcome_of(checks)
    if outcome != GO:
        return Verdict(outcome=outcome, checks=checks)
    proof = certificate(subject, checks, thresholds, benches=bench, trainings=paired, files=files or {})
    return Verdict(outcome=outcome, checks=checks, certificate=proof, within=subject.result.within)


def _rule(subject: Subject, bench: Sequence[Ratios], thresholds: Thresholds) -> tuple[Check, ...]:
    return (
        corruption(subject),
        behaviour(subject, thresholds),
        completeness(subject),
        speed(subject, bench, thresholds),
        memory(subject, thresholds),
    )


def _weighed(check: Check, thresholds: Thresholds) -> Check:
    return replace(check, required=thresholds.requires(check.group))
