"""A bench held against an earlier one, ratio by ratio: what a time is, another day or machine decides."""

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
    """One ratio, then and now.

    Attributes:
        workload, candidate, measure: which.
        earlier: its median then.
        now: its median now.
    """

    workload: str
    candidate: str
    measure: str
    earlier: float
    now: float

    @property
    def share(self) -> float:
        """By which share the ratio rose: 0.1 is 10 % worse, and below zero is better."""
        if self.earlier == self.now:
            return 0.0
        return self.now / self.earlier - 1 if self.earlier else float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All ratios that both benches have.

    Attributes:
        changes: one for each.
        missing: ratios that only the earlier one has, in words.
        tolerance: the share from which on a ratio counts as worse.
    """

    changes: tuple[Change, ...]
    missing: tuple[str, ...]
    tolerance: float

    @property
    def worse(self) -> tuple[Change, ...]:
        """The ratios that got worse by more than the tolerance, the worst first."""
        found = [change for change in self.changes if change.share > self.tolerance]
        return tuple(sorted(found, key=lambda change: -change.share))


def check(earlier: Bench, now: Settings, workloads: Sequence[str]) -> None:
    """Before much work is done: make sure that the earlier bench can be compared with one of these settings.

    Raises:
        UsageError: they measure other things.
    """
    for name in _MUST_AGREE:
        then, today = getattr(earlier.settings, name), getattr(now, name)
        if then != today:
            raise UsageError(f"the earlier bench was made with {name} {then}, this one with {today}: give it the same")
    if not any(workload in workloads and candidate in now.candidates for workload, candidate, _ in _ratios(earlier)):
        raise UsageError("the earlier bench has no ratio in common with this one: give both the same workloads")


def compare(earlier: Bench, now: Bench, *, tolerance: float) -> Comparison:
    """Each ratio of the earlier bench beside the one of now. Workloads and candidates that are new are passed over."""
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
