"""Check whether memory grows: of the process, and the bytes that the candidate reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvparity.verdict.checks import FAILED, PASSED, UNKNOWN, Check
from kvparity.verdict.growth import growth_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvparity.evidence import Timeline
    from kvparity.results.result import Result
    from kvparity.settings import Thresholds
    from kvparity.verdict.growth import Growth
    from kvparity.verdict.subject import Subject

_KIB, _MIB = 1 << 10, 1 << 20
_SETTLED = 4  # sets for each slot: filling the slots is no leak, and must be over in the first half, which is left out
_LONGER = 4  # times as many operations, if an interval is too wide
_SEVERITY = {PASSED: 0, UNKNOWN: 1, FAILED: 2}


def memory(subject: Subject, thresholds: Thresholds) -> Check:
    """The slope over the second half of each run that is long enough; the worst one decides."""
    longest = max(run.operations_total for run in subject.runs)
    long = [run for run in subject.runs if run.operations_total >= thresholds.memory_operations]
    judged = [(*_judged(run, name, growth, thresholds), run) for run in long for name, growth in _growths(run)]
    if not judged:
        sentence = f"the longest run has {longest:,} operations; at least {thresholds.memory_operations:,} are needed"
        if long:
            sentence = "too few measurements of memory were kept"
        return Check(
            name="memory", outcome=UNKNOWN, sentence=sentence, command=_longer(subject, thresholds.memory_operations)
        )
    outcome, _, sentence, run = max(judged, key=lambda each: (_SEVERITY[each[0]], each[1]))
    commands = {PASSED: "", FAILED: subject.repeat_command([run]), UNKNOWN: _longer(subject, longest)}
    return Check(name="memory", outcome=outcome, sentence=sentence, command=commands[outcome])


def _longer(subject: Subject, operations: int) -> str:
    return subject.command_for("pool-pressure", steps=_LONGER * operations, output="long.json")


def _growths(run: Result) -> Iterator[tuple[str, Growth]]:
    """Of the process, except in a training, which allocates much else; and of the bytes that the candidate reports."""
    timeline = run.timeline
    resident = None if run.training is not None else growth_of(timeline.operations, timeline.resident_bytes)
    if resident is not None:
        yield "the process", resident
    own = growth_of(timeline.operations, _own_bytes(timeline))
    if own is not None:
        yield "what the candidate reports", own


def _own_bytes(timeline: Timeline) -> list[int | None]:
    """The bytes that the candidate reported for all its pools; None if it did not report one of them."""
    pools = [columns["size_bytes"] for columns in timeline.sides.get("candidate", {}).values()]
    rows: list[int | None] = []
    for row in range(len(timeline)):
        known = [column[row] for column in pools]
        numbers = [number for number in known if number is not None]
        rows.append(sum(numbers) if pools and len(numbers) == len(known) else None)
    return rows


def _judged(run: Result, name: str, growth: Growth, thresholds: Thresholds) -> tuple[str, float, str]:
    """The outcome, the upper end of the interval, and a sentence about both."""
    limit, far = thresholds.memory_growth, growth.high
    sentence = (
        f"{name} grew by {growth.slope / _KIB:,.1f} KiB per 1,000 operations (95 %: {growth.low / _KIB:,.1f} to"
        f" {growth.high / _KIB:,.1f}; limit {limit / _KIB:,.1f}), by {growth.total / _MIB:,.1f} MiB in the last"
        f" {growth.operations:,} operations of {run.workload}"
    )
    if growth.high <= limit:
        return PASSED, far, sentence
    if not _settled(run):
        return UNKNOWN, far, f"{sentence}; its pools were still filling up"
    if growth.low > limit and growth.total > thresholds.memory_floor:
        return FAILED, far, sentence
    return UNKNOWN, far, f"{sentence}; too little to distinguish a leak from normal allocation"


def _settled(run: Result) -> bool:
    """Whether all slots were in use before the second half of the run, as well as the counts show."""
    families = {name: family for name, family in run.coverage.families.items() if family.used}
    if run.spec is None:
        return all(family.wrapped == family.used for family in families.values())
    slots = {"init": run.spec.init_pool_size, "recur": run.spec.recur_pool_size, "wm": run.spec.env_num}
    return all(family.sets >= _SETTLED * slots[name] * family.used for name, family in families.items())
