"""Checks that enough was tried: without wrap-arounds, evictions and clears, parity proves little."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from kvparity.verdict.checks import PASSED, UNKNOWN, Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvparity.evidence import Coverage
    from kvparity.settings import Thresholds
    from kvparity.verdict.subject import Subject

# The scenarios that supply what is missing soonest; docs/detection.md says what each does.
_PRESSURE, _REVISIT, _CLEARS, _SHAPES = "pool-pressure", "revisit", "clear-storm", "multitask"


class _Aspect(NamedTuple):
    """One thing that must be tried: whether it was tried enough, and the scenario that supplies it."""

    name: str
    enough: bool
    sentence: str
    scenario: str


def coverage(subject: Subject, thresholds: Thresholds) -> tuple[Check, ...]:
    """A check for each thing that must be tried; one command supplies everything that is missing."""
    aspects = tuple(_aspects(subject, thresholds))
    missing = dict.fromkeys(each.scenario for each in aspects if not each.enough)
    command = subject.command_for(*missing) if missing else ""
    checks = [
        Check(
            name=f"coverage: {each.name}",
            outcome=PASSED if each.enough else UNKNOWN,
            sentence=each.sentence,
            command="" if each.enough else command,
        )
        for each in aspects
    ]
    shapes = _shapes(subject, required=thresholds.requires("shapes"))
    return (*(replace(check, required=thresholds.requires("coverage")) for check in checks), shapes)


def _aspects(subject: Subject, thresholds: Thresholds) -> Iterator[_Aspect]:
    result, tried = subject.result, subject.result.coverage
    operations, lookups = result.operations_total, result.gets_compared
    yield _Aspect(
        "operations",
        operations >= thresholds.operations,
        f"{operations:,} operations ({thresholds.operations:,} required)",
        _PRESSURE,
    )
    yield _Aspect(
        "lookups",
        lookups >= thresholds.lookups,
        f"{lookups:,} lookups compared ({thresholds.lookups:,} required)",
        _PRESSURE,
    )
    yield _wraps(tried, thresholds.wraps)
    yield from _evictions(subject, thresholds.evictions)
    for name, what, required, scenario in (
        ("resets", "sets of a key that the pool held", thresholds.resets, _REVISIT),
        ("clears", "clears of a pool that held something", thresholds.clears, _CLEARS),
        ("misses", "lookups that missed", thresholds.misses, _PRESSURE),
    ):
        count = sum(getattr(family, name) for family in tried.families.values())
        sentence = f"{count:,} {what} ({required:,} required)"
        yield _Aspect({"resets": "re-sets"}.get(name, name), count >= required, sentence, scenario)
    yield _environments(subject)


def _wraps(tried: Coverage, required: int) -> _Aspect:
    used = {name: family for name, family in tried.families.items() if family.used}
    never = [name for name, family in used.items() if family.wrapped < required]
    counted = ", ".join(f"{name} {family.wrapped:,} of {family.used:,}" for name, family in used.items())
    sentence = f"pools that got more keys than they have slots: {counted or 'none'}"
    if never:
        sentence += f" ({required:,} required in {' and '.join(never)})"
    scenario = _CLEARS if never == ["wm"] else _PRESSURE
    return _Aspect("wrap-arounds", bool(used) and not never, sentence, scenario)


def _evictions(subject: Subject, required: int) -> Iterator[_Aspect]:
    """Evictions by each strategy that a side declares, in the pools for which it declares that strategy."""
    tried = subject.result.coverage
    for side in ("reference", "candidate"):
        by_strategy: dict[str, int] = {}
        for family, strategies in tried.strategies.get(side, {}).items():
            if not tried.families[family].used:
                continue
            for strategy in strategies:
                evicted = tried.families[family].evictions.get(side, 0)
                by_strategy[strategy] = by_strategy.get(strategy, 0) + evicted
        for strategy, count in by_strategy.items():
            name = getattr(subject.result, side)
            of_side = f"{side}, {strategy}" if len(by_strategy) > 1 else side
            sentence = f"{count:,} evictions by {strategy}, a strategy of the {side} {name} ({required:,} required)"
            yield _Aspect(f"evictions ({of_side})", count >= required, sentence, _PRESSURE)


def _environments(subject: Subject) -> _Aspect:
    """More than one environment in at least one run, if any run has more than one."""
    several = [run for run in subject.runs if run.coverage.environments > 1]
    most = max((run.coverage.environments_seen for run in several), default=1)
    sentence = f"{most:,} environments used in one run" if several else "no run has more than one environment"
    return _Aspect("environments", not several or most > 1, sentence, _PRESSURE)


def _shapes(subject: Subject, *, required: bool) -> Check:
    kinds = subject.result.coverage.kinds
    several = len(kinds) > 1
    sentence = f"{len(kinds)} kind{'s' * (len(kinds) != 1)} of entries: {'; '.join(kinds[:3])}" if kinds else "no entry"
    if len(kinds) > 3:  # noqa: PLR2004  as many as fit in a line
        sentence += "; ..."
    changes = subject.result.coverage.kind_changes
    return Check(
        name="coverage: shapes",
        outcome=PASSED if several else UNKNOWN,
        sentence=f"{sentence}; {changes:,} changes of kind",
        command="" if several else subject.command_for(_SHAPES, output="shapes.json"),
        required=required,
    )
