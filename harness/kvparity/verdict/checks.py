"""`Verdict`: GO, NO-GO or INCONCLUSIVE, and the checks that led to it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

GO, NO_GO, INCONCLUSIVE = "GO", "NO-GO", "INCONCLUSIVE"
PASSED, FAILED, UNKNOWN = "passed", "failed", "unknown"
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question that the verdict asks.

    Attributes:
        name: `speed`, or for a part of the coverage `coverage: re-sets`.
        outcome: `passed`, `failed`, or `unknown` if there is too little evidence.
        sentence: what was found, and the threshold.
        command: supplies the missing evidence, or investigates the failure; empty if there is no need.
        required: whether a GO needs it.
    """

    name: str
    outcome: str
    sentence: str
    command: str = ""
    required: bool = True

    @property
    def group(self) -> str:
        """Its name in `require`: the name up to the colon."""
        return self.name.partition(":")[0]

    @property
    def label(self) -> str:
        """Its name in a sentence: the part after the colon, `re-sets`."""
        return self.name.rpartition(": ")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The decision, with its checks.

    Attributes:
        outcome: `NO-GO` if a check failed; otherwise `INCONCLUSIVE` if a required check is unknown; otherwise `GO`.
        checks: those of the roll-back rule, then those of the coverage.
        certificate: of a GO; otherwise None.
        within: of a GO, how far numbers could differ, in words; empty if bits had to be equal.
    """

    outcome: str
    checks: tuple[Check, ...]
    certificate: dict[str, Any] | None = None
    within: str = ""

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.outcome == FAILED)

    @property
    def lacking(self) -> tuple[Check, ...]:
        """The required checks that are unknown."""
        return tuple(check for check in self.checks if check.outcome == UNKNOWN and check.required)

    @property
    def left_out(self) -> tuple[Check, ...]:
        """The checks that are unknown and not required."""
        return tuple(check for check in self.checks if check.outcome == UNKNOWN and not check.required)

    @property
    def commands(self) -> tuple[str, ...]:
        """Commands that supply the missing evidence, or investigate what failed; each once."""
        wanted = self.failed if self.outcome == NO_GO else self.lacking
        return tuple(dict.fromkeys(check.command for check in wanted if check.command))

    @property
    def sentence(self) -> str:
        """The reasons, in one line."""
        if self.outcome == NO_GO:
            return "; ".join(check.sentence for check in self.failed)
        if self.outcome == INCONCLUSIVE:
            return f"not yet tested: {', '.join(check.label for check in self.lacking)}"
        passed = sum(check.outcome == PASSED for check in self.checks)
        sentence = f"{passed} checks passed" + (f", with tensors within {self.within}" if self.within else "")
        left_out = ", ".join(check.label for check in self.left_out)
        return sentence + (f"; not tested and not required: {left_out}" if left_out else "")

    @property
    def line(self) -> str:
        """The verdict in one line."""
        return f"{self.outcome}: {self.sentence}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "schema": SCHEMA,
            "verdict": self.outcome,
            "checks": [asdict(check) for check in self.checks],
            "certificate": self.certificate,
        }


def outcome_of(checks: Sequence[Check]) -> str:
    """The outcome of a verdict with these checks."""
    if any(check.outcome == FAILED for check in checks):
        return NO_GO
    return INCONCLUSIVE if any(check.outcome == UNKNOWN and check.required for check in checks) else GO
