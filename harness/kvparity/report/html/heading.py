"""The verdict of a result with its reasons, for the top of a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvparity.report.terminal import verdict_line
from kvparity.verdict import FAILED, PASSED, UNKNOWN, Verdict, verdict_of

if TYPE_CHECKING:
    from kvparity.results.result import Result
    from kvparity.settings import Thresholds
    from kvparity.verdict import Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What a result comes to.

    Attributes:
        outcome: of the run, in one word or two: PARITY, ACCEPTED, DIVERGENCE, INCONCLUSIVE, ...
        sentence: the rest of that line.
        colour: `passed`, `failed` or `unknown`.
        verdict: may the candidate take the reference's place?
    """

    outcome: str
    sentence: str
    colour: str
    verdict: Verdict

    @property
    def reasons(self) -> tuple[Check, ...]:
        """The checks that failed, and then those that are open."""
        checks = self.verdict.checks
        return tuple(check for outcome in (FAILED, UNKNOWN) for check in checks if check.outcome == outcome)

    @property
    def passed(self) -> tuple[Check, ...]:
        """The checks that passed."""
        return tuple(check for check in self.verdict.checks if check.outcome == PASSED)


def heading_of(result: Result, *, fail_on: str, thresholds: Thresholds | None) -> Heading:
    """The verdict, as the terminal's last line says it, and the one on the candidate with its reasons."""
    outcome, _, sentence = verdict_line(result, fail_on=fail_on).plain.partition(": ")
    colour = FAILED if result.fails(fail_on) else PASSED if outcome in ("PARITY", "ACCEPTED") else UNKNOWN
    verdict = verdict_of([result], thresholds=thresholds)
    return Heading(outcome=outcome, sentence=sentence, colour=colour, verdict=verdict)
