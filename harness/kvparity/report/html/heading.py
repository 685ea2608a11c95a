"""The top of a page: the verdict of a result, with its reasons."""

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
    """The conclusion of a result.

    Attributes:
        outcome: of the run: PARITY, ACCEPTED, DIVERGENCE, INCONCLUSIVE, ...
        sentence: the rest of the last line on the terminal.
        colour: `passed`, `failed` or `unknown`.
        verdict: whether the candidate may replace the reference.
    """

    outcome: str
    sentence: str
    colour: str
    verdict: Verdict

    @property
    def reasons(self) -> tuple[Check, ...]:
        """The checks that failed, then those that are unknown."""
        checks = self.verdict.checks
        return tuple(check for outcome in (FAILED, UNKNOWN) for check in checks if check.outcome == outcome)

    @property
    def passed(self) -> tuple[Check, ...]:
        """The checks that passed."""
        return tuple(check for check in self.verdict.checks if check.outcome == PASSED)


def heading_of(result: Result, *, fail_on: str, thresholds: Thresholds | None) -> Heading:
    """The conclusion of the last line on the terminal, and the verdict on the candidate."""
    outcome, _, sentence = verdict_line(result, fail_on=fail_on).plain.partition(": ")
    colour = FAILED if result.fails(fail_on) else PASSED if outcome in ("PARITY", "ACCEPTED") else UNKNOWN
    verdict = verdict_of([result], thresholds=thresholds)
    return Heading(outcome=outcome, sentence=sentence, colour=colour, verdict=verdict)
