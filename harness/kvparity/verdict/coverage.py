"""Whether enough was tried: a claim of parity without wrap-arounds, evictions and clears is worth little."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from kvparity.verdict.checks import PASSED, UNKNOWN, Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvparity.evidence import Coverage
    from kvparity.settings import Thresholds
    from kvparity.verdict.subject import Subject

# What shows it soonest; docs/detection.md says what each workload does.
_PRESSURE, _REVISIT, _CLEARS, _SHAPES = "pool-pressure", "revisit", "clear-storm", "multitask"


class _Aspect(NamedTuple):
    """One thing to have tried: how much of it there was, and which scenario has it."""

    name: str
    enough: bool
    sentence: str
    scenario: str


def coverage(subject: Subject, thresholds: Thresholds) -> tuple[Check, ...]:
    """Each thing to have tried as a check of its own; one command supplies all that is missing."""
    aspects = tuple(_aspects(subject, thresholds))
    wanted = dict.fromkeys(each.scenario for each in aspects if not each.enough)
    command = subject.more(*wanted) if wanted else ""
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
        f"{operations:,} operations, {thresholds.operations:,} wanted",
        _PRESSURE,
    )
    yield _Aspect(
        "lookups", lookups >= thresholds.lookups, f"{lookups:,} compared, {thresholds.lookups:,} wanted", _PRESSURE
    )
    yield _wraps(tried, thresholds.wraps)
    yield from _evictions(subject, thresholds.evictions)
    for name, wanted, scenario in (
        ("resets", thresholds.resets, _REVISIT),
        ("clears", thresholds.clears, _CLEARS),
        ("misses", thresholds.misses, _PRESSURE),
    ):
        count = sum(getattr(family, name) for family in tried.families.values())
        said = {"resets": "sets of a key that was held", "clears": "of a pool that held something", "misses": "lookups"}
        sentence = f"{count:,} {said[name]}, {wanted:,} wanted"
        yield _Aspect({"resets": "re-sets"}.get(name, name), count >= wanted, sentence, scenario)
    yield _environments(subject)


def _wraps(tried: Coverage, wanted: int) -> _Aspect:
    used = {name: family for name, family in tried.families.items() if family.used}
    never = [name for name, family in used.items() if family.wrapped < wanted]
    counted = ", ".join(f"{name} {family.wrapped:,} of {family.used:,}" for name, family in used.items())
    sentence = f"pools filled beyond their slots: {counted or 'none'}"
    if never:
        sentence += f"; too few of {' and '.join(never)}"
    scenario = _CLEARS if never == ["wm"] else _PRESSURE
    return _Aspect("wrap-arounds", bool(used) and not never, sentence, scenario)


def _evictions(subject: Subject, wanted: int) -> Iterator[_Aspect]:
    """By every strategy that a side declares, in the pools for which it declares it."""
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
            sentence = f"{count:,} by {strategy}, the {side}'s strategy ({name}), {wanted:,} wanted"
            yield _Aspect(f"evictions, {side}, {strategy}", count >= wanted, sentence, _PRESSURE)


def _environments(subject: Subject) -> _Aspect:
    """More than one in at least one run, where there is a run of more than one."""
    several = [run for run in subject.runs if run.coverage.environments > 1]
    most = max((run.coverage.environments_seen for run in several), default=1)
    sentence = f"{most:,} in one run" if several else "there is one only"
    return _Aspect("environments", not several or most > 1, sentence, _PRESSURE)


def _shapes(subject: Subject, *, required: bool) -> Check:
    kinds = subject.result.coverage.kinds
    several = len(kinds) > 1
    sentence = f"entries of {len(kinds)} kind{'s' * (len(kinds) != 1)}: {'; '.join(kinds[:3])}" if kinds else "no entry"
    if len(kinds) > 3:  # noqa: PLR2004  as many as fit in a line
        sentence += "; ..."
    changes = subject.result.coverage.kind_changes
    return Check(
        name="coverage: shapes",
        outcome=PASSED if several else UNKNOWN,
        sentence=f"{sentence}; {changes:,} changes",
        command="" if several else subject.more(_SHAPES, output="shapes.json"),
        required=required,
    )
