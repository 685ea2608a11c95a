"""`Verdict`: GO, NO-GO or INCONCLUSIVE, and the checks that it rests on."""

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
        outcome: `passed`; `failed`; `unknown`, where there is too little to tell.
        sentence: what was found, held against the threshold.
        command: what would supply what is missing, or look further into what failed; empty where there is no need.
        required: whether there is no GO without it.
    """

    name: str
    outcome: str
    sentence: str
    command: str = ""
    required: bool = True

    @property
    def group(self) -> str:
        """What `require` calls it: the name up to its colon."""
        return self.name.partition(":")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the checks come to.

    Attributes:
        outcome: `NO-GO` where a check failed; else `INCONCLUSIVE` where a required one is unknown; else `GO`.
        checks: the roll-back rule's first, then those of the coverage.
        certificate: on GO, what was compared, how much of each, with what; else None.
        within: on GO, how far numbers were let lie apart, in words; empty where bits had to be equal.
    """

    outcome: str
    checks: tuple[Check, ...]
    certificate: dict[str, Any] | None = None
    within: str = ""

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that say NO-GO."""
        return tuple(check for check in self.checks if check.outcome == FAILED)

    @property
    def lacking(self) -> tuple[Check, ...]:
        """The required checks that are unknown."""
        return tuple(check for check in self.checks if check.outcome == UNKNOWN and check.required)

    @property
    def left_out(self) -> tuple[Check, ...]:
        """The checks that are unknown, and that nobody requires."""
        return tuple(check for check in self.checks if check.outcome == UNKNOWN and not check.required)

    @property
    def commands(self) -> tuple[str, ...]:
        """What would supply what is missing, or look further into what failed, each once."""
        wanted = self.failed if self.outcome == NO_GO else self.lacking
        return tuple(dict.fromkeys(check.command for check in wanted if check.command))

    @property
    def sentence(self) -> str:
        """What it comes from, in one line."""
        if self.outcome == NO_GO:
            return "; ".join(check.sentence for check in self.failed)
        if self.outcome == INCONCLUSIVE:
            return f"not shown: {', '.join(check.name for check in self.lacking)}"
        passed = sum(check.outcome == PASSED for check in self.checks)
        left_out = ", ".join(check.name for check in self.left_out)
        said = f"{passed} checks passed" + (f", with tensors within {self.within}" if self.within else "")
        return said + (f"; not compared, and not required: {left_out}" if left_out else "")

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
    """What checks come to."""
    if any(check.outcome == FAILED for check in checks):
        return NO_GO
    return INCONCLUSIVE if any(check.outcome == UNKNOWN and check.required for check in checks) else GO
