"""Whether memory grows: of the process, and what the candidate says that it holds."""

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
_SETTLED = 4  # times that a pool's slots were set: filling them once is no leak, and the first half is not looked at
_LONGER = 4  # times the operations, where an interval is too wide
_SEVERITY = {PASSED: 0, UNKNOWN: 1, FAILED: 2}


def memory(subject: Subject, thresholds: Thresholds) -> Check:
    """The slope over the second half of every run that is long enough; the worst one is told."""
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
    commands = {PASSED: "", FAILED: subject.again([run]), UNKNOWN: _longer(subject, longest)}
    return Check(name="memory", outcome=outcome, sentence=sentence, command=commands[outcome])


def _longer(subject: Subject, operations: int) -> str:
    return subject.more("pool-pressure", steps=_LONGER * operations, output="long.json")


def _growths(run: Result) -> Iterator[tuple[str, Growth]]:
    """Of the process, but not of a training's, which has much else to hold; and of the candidate's own account."""
    timeline = run.timeline
    resident = None if run.training is not None else growth_of(timeline.operations, timeline.resident_bytes)
    if resident is not None:
        yield "the process", resident
    own = growth_of(timeline.operations, _own_bytes(timeline))
    if own is not None:
        yield "the candidate's own account", own


def _own_bytes(timeline: Timeline) -> list[int | None]:
    """What the candidate said that it holds, in all pools; None where one did not say."""
    pools = [columns["size_bytes"] for columns in timeline.sides.get("candidate", {}).values()]
    rows: list[int | None] = []
    for row in range(len(timeline)):
        known = [column[row] for column in pools]
        numbers = [number for number in known if number is not None]
        rows.append(sum(numbers) if pools and len(numbers) == len(known) else None)
    return rows


def _judged(run: Result, name: str, growth: Growth, thresholds: Thresholds) -> tuple[str, float, str]:
    """The outcome, how bad it may be, and both in words."""
    limit, far = thresholds.memory_growth, growth.high
    said = (
        f"{name} grew by {growth.slope / _KIB:,.1f} KiB in 1,000 operations (95 %: {growth.low / _KIB:,.1f} to"
        f" {growth.high / _KIB:,.1f}; limit {limit / _KIB:,.1f}), {growth.total / _MIB:,.1f} MiB over the last"
        f" {growth.operations:,} of {run.workload}"
    )
    if growth.high <= limit:
        return PASSED, far, said
    if not _settled(run):
        return UNKNOWN, far, f"{said}, while its pools were still being filled"
    if growth.low > limit and growth.total > thresholds.memory_floor:
        return FAILED, far, said
    return UNKNOWN, far, f"{said}: too little to tell a leak from an allocator at work"


def _settled(run: Result) -> bool:
    """Whether every slot had come to be used before what is looked at, as far as can be told."""
    families = {name: family for name, family in run.coverage.families.items() if family.used}
    if run.spec is None:
        return all(family.wrapped == family.used for family in families.values())
    slots = {"init": run.spec.init_pool_size, "recur": run.spec.recur_pool_size, "wm": run.spec.env_num}
    return all(family.sets >= _SETTLED * slots[name] * family.used for name, family in families.items())
