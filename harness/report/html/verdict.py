"""The verdict of a result with its reasons, for the top of a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.divergence import BEHAVIOUR, CORRUPTION
from harness.report.html.text import leaves, plural
from harness.report.terminal import verdict_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.result import Result

PASSED, FAILED, UNKNOWN = "passed", "failed", "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One reason.

    Attributes:
        name: what was looked at.
        outcome: `passed`, `failed`, or `unknown` where there is too little to tell.
        sentence: what was found.
        command: what to paste to find out more; empty where there is no need.
    """

    name: str
    outcome: str
    sentence: str
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a result comes to.

    Attributes:
        outcome: in one word or two: PARITY, ACCEPTED, DIVERGENCE, INCONCLUSIVE, ...
        sentence: the rest of the line.
        checks: the reasons.
    """

    outcome: str
    sentence: str
    checks: tuple[Check, ...]

    @property
    def worst(self) -> str:
        """The worst outcome of all checks."""
        outcomes = {check.outcome for check in self.checks}
        return FAILED if FAILED in outcomes else UNKNOWN if UNKNOWN in outcomes else PASSED


def verdict_of(result: Result, *, fail_on: str) -> Verdict:
    """The verdict, as the terminal's last line says it, and why."""
    outcome, _, sentence = verdict_line(result, fail_on=fail_on).plain.partition(": ")
    return Verdict(outcome=outcome, sentence=sentence, checks=tuple(_checks(result, fail_on)))


def _checks(result: Result, fail_on: str) -> Iterator[Check]:
    yield from _severity(result, CORRUPTION, fail=fail_on != "never", what="wrong tensors, crashes")
    yield from _severity(result, BEHAVIOUR, fail=fail_on == "behaviour", what="hits against misses, statistics")
    compared = f"{plural(result.gets_compared, 'lookup')} compared, {result.values_compared:,} of them tensor by tensor"
    yield Check(name="compared", outcome=PASSED if result.gets_compared else UNKNOWN, sentence=compared)
    if result.missing:
        yield Check(name="complete", outcome=FAILED, sentence=f"no result of {', '.join(result.missing)}")
    elif result.interrupted:
        yield Check(name="complete", outcome=UNKNOWN, sentence="interrupted before the end")
    else:
        yield Check(name="complete", outcome=PASSED, sentence="the workload ran to its end")
    for run in leaves(result):
        if run.training is not None and run.training.stopped:
            sentence = f"{run.workload}: the candidate was taken out early: {run.training.stopped}"
            yield Check(name="candidate stayed", outcome=UNKNOWN, sentence=sentence)


def _severity(result: Result, severity: str, *, fail: bool, what: str) -> Iterator[Check]:
    unexpected, found = result.unexpected[severity], result.count(severity)
    accepted = f"; {found - unexpected:,} known and accepted" if found != unexpected else ""
    sentence = f"{unexpected:,} unexpected ({what}){accepted}"
    if unexpected and not fail:
        sentence += "; --fail-on does not count them"
    yield Check(name=severity, outcome=FAILED if unexpected and fail else PASSED, sentence=sentence)
