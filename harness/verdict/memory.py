"""Whether memory grows: of the process, and what the candidate says that it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.verdict.growth import growth_of
from harness.verdict.outcome import FAILED, PASSED, UNKNOWN, Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence import Timeline
    from harness.result import Result
    from harness.thresholds import Thresholds
    from harness.verdict.growth import Growth
    from harness.verdict.subject import Subject

_KIB, _MIB = 1 << 10, 1 << 20
_SETTLED = 4  # times that a pool's slots were set: filling them once is no leak, and the first half is not looked at
_LONGER = 4  # times the operations, where an interval is too wide
_SEVERITY = {PASSED: 0, UNKNOWN: 1, FAILED: 2}


def memory(subject: Subject, thresholds: Thresholds) -> Check:
    """The slope over the second half of every run that is long enough."""
    long = [run for run in subject.runs if run.operations_total >= thresholds.memory_operations]
    judged = [_judged(run, name, growth, thresholds) for run in long for name, growth in _growths(run)]
    if not judged:
        longest = max(run.operations_total for run in subject.runs)
        sentence = f"the longest run has {longest:,} operations; at least {thresholds.memory_operations:,} are needed"
        if long:
            sentence = "no run of a workload kept how much memory there was"
        return Check(
            name="memory", outcome=UNKNOWN, sentence=sentence, command=_longer(subject, thresholds.memory_operations)
        )
    worst, sentence = max(judged, key=lambda each: _SEVERITY[each[0]])
    sentence = "; ".join(dict.fromkeys(said for outcome, said in judged if outcome == worst))
    command = {PASSED: "", FAILED: subject.again()}.get(worst)
    if command is None:
        command = _longer(subject, max(run.operations_total for run in long))
    return Check(name="memory", outcome=worst, sentence=sentence, command=command)


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


def _judged(run: Result, name: str, growth: Growth, thresholds: Thresholds) -> tuple[str, str]:
    limit = thresholds.memory_growth
    said = (
        f"{name} grew by {growth.slope / _KIB:,.1f} KiB in 1,000 operations (95 %: {growth.low / _KIB:,.1f} to"
        f" {growth.high / _KIB:,.1f}; limit {limit / _KIB:,.1f}), {growth.total / _MIB:,.1f} MiB over the last"
        f" {growth.operations:,} of {run.workload}"
    )
    if growth.high <= limit:
        return PASSED, said
    if not _settled(run):
        return UNKNOWN, f"{said}, while its pools were still being filled"
    if growth.low > limit and growth.total > thresholds.memory_floor:
        return FAILED, said
    return UNKNOWN, f"{said}: too little to tell a leak from an allocator at work"


def _settled(run: Result) -> bool:
    """Whether every slot had come to be used before what is looked at, as far as can be told."""
    families = {name: family for name, family in run.coverage.families.items() if family.used}
    if run.spec is None:
        return all(family.wrapped == family.used for family in families.values())
    slots = {"init": run.spec.init_pool_size, "recur": run.spec.recur_pool_size, "wm": run.spec.env_num}
    return all(family.sets >= _SETTLED * slots[name] * family.used for name, family in families.items())
