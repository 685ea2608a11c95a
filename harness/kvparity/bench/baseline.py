"""Comparing a bench with an earlier one, ratio by ratio. Times depend on the machine and the day, ratios do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvparity.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kvparity.bench.estimate import Estimate
    from kvparity.bench.result import Bench, Settings

_MUST_AGREE = ("reference", "steps", "seed", "entry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One ratio in both benches.

    Attributes:
        workload: of the ratio; `candidate` and `measure` likewise.
        earlier: its median in the earlier bench.
        now: its median in this one.
    """

    workload: str
    candidate: str
    measure: str
    earlier: float
    now: float

    @property
    def share(self) -> float:
        """By how much the ratio rose: 0.1 is 10 % worse, and below zero is better."""
        if self.earlier == self.now:
            return 0.0
        return self.now / self.earlier - 1 if self.earlier else float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All ratios that both benches have.

    Attributes:
        changes: one for each ratio.
        missing: ratios that only the earlier bench has, in words.
        tolerance: a ratio that rose by more than this share is worse.
    """

    changes: tuple[Change, ...]
    missing: tuple[str, ...]
    tolerance: float

    @property
    def worse(self) -> tuple[Change, ...]:
        """The ratios that are worse, the worst first."""
        found = [change for change in self.changes if change.share > self.tolerance]
        return tuple(sorted(found, key=lambda change: -change.share))


def check(earlier: Bench, now: Settings, workloads: Sequence[str]) -> None:
    """Raise before any work is done if the earlier bench cannot be compared with a bench of these settings.

    Raises:
        UsageError: they measure different things.
    """
    for name in _MUST_AGREE:
        then, today = getattr(earlier.settings, name), getattr(now, name)
        if then != today:
            raise UsageError(f"the earlier bench was made with {name} {then}, this one with {today}: use the same")
    if not any(workload in workloads and candidate in now.candidates for workload, candidate, _ in _ratios(earlier)):
        raise UsageError("the earlier bench has no ratio in common with this one: use the same workloads")


def compare(earlier: Bench, now: Bench, *, tolerance: float) -> Comparison:
    """Compare each ratio of the earlier bench with this one's. New workloads and candidates are ignored."""
    then, today = _ratios(earlier), _ratios(now)
    changes = tuple(
        Change(
            workload=workload,
            candidate=candidate,
            measure=measure,
            earlier=ratio.median,
            now=today[workload, candidate, measure].median,
        )
        for (workload, candidate, measure), ratio in then.items()
        if (workload, candidate, measure) in today
    )
    missing = tuple(", ".join(which) for which in then if which not in today)
    return Comparison(changes=changes, missing=missing, tolerance=tolerance)


def _ratios(bench: Bench) -> dict[tuple[str, str, str], Estimate]:
    return {
        (run.workload, candidate, measure): ratio
        for run in bench.runs
        for candidate, ratios in run.ratios.items()
        for measure, ratio in ratios.items()
    }
