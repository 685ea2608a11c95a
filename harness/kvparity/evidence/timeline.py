"""What two caches counted, over time: a few hundred points at most, however long the run."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_POINTS = 256
_FIRST_INTERVAL = 64  # operations
_NEAR_S = 1e-9
COUNTED = ("hits", "misses", "evictions", "length", "size_bytes")

Column: TypeAlias = list[int | None]
Columns: TypeAlias = dict[str, dict[str, dict[str, Column]]]
Account: TypeAlias = dict[str, dict[str, dict[str, int | None]]]


@dataclass(slots=True, kw_only=True)
class Timeline:
    """Columns of equal length, one row for each point; all counts are sums since the beginning.

    Attributes:
        operations: done so far.
        elapsed_s: wall time since the beginning.
        corruption: divergences of that severity; `behaviour` likewise.
        resident_bytes: memory of the process; None if the system does not report it.
        sides: by side and pool (`recur`, `init[0]`, or `init` for all of many environments): hits, misses, evictions,
            length and size_bytes, each None if unknown.
    """

    operations: list[int] = field(default_factory=list)
    elapsed_s: list[float] = field(default_factory=list)
    corruption: list[int] = field(default_factory=list)
    behaviour: list[int] = field(default_factory=list)
    resident_bytes: Column = field(default_factory=list)
    sides: Columns = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.operations)

    def add(
        self,
        *,
        operations: int,
        elapsed_s: float,
        corruption: int,
        behaviour: int,
        resident_bytes: int | None,
        sides: Account,
    ) -> None:
        """Add a point."""
        self.operations.append(operations)
        self.elapsed_s.append(elapsed_s)
        self.corruption.append(corruption)
        self.behaviour.append(behaviour)
        self.resident_bytes.append(resident_bytes)
        for side, pools in sides.items():
            for pool, counted in pools.items():
                columns = self.sides.setdefault(side, {}).setdefault(pool, {name: [] for name in COUNTED})
                for name in COUNTED:
                    columns[name].append(counted.get(name))

    def rows(self, chosen: Sequence[int]) -> Timeline:
        """Only the points with these indices."""
        return Timeline(
            operations=[self.operations[i] for i in chosen],
            elapsed_s=[self.elapsed_s[i] for i in chosen],
            corruption=[self.corruption[i] for i in chosen],
            behaviour=[self.behaviour[i] for i in chosen],
            resident_bytes=[self.resident_bytes[i] for i in chosen],
            sides={
                side: {
                    pool: {name: [column[i] for i in chosen] for name, column in columns.items()}
                    for pool, columns in pools.items()
                }
                for side, pools in self.sides.items()
            },
        )


class Pace:
    """Decides when the next point is due. A full timeline loses every other point, and the interval doubles."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self._interval = _FIRST_INTERVAL
        self.next_at = _FIRST_INTERVAL

    def added(self) -> None:
        """Note that a point was added; the next one is due an interval later."""
        timeline = self.timeline
        if len(timeline) >= MOST_POINTS:
            self.timeline = timeline.rows(range(1, len(timeline), 2))
            self._interval *= 2
        self.next_at = timeline.operations[-1] + self._interval


def sum_timelines(parts: Sequence[tuple[float, Timeline]]) -> Timeline:
    """The sum of timelines of caches that ran side by side; each part has the time at which it began, in seconds."""
    parts = [(began, timeline) for began, timeline in parts if len(timeline)]
    if not parts:
        return Timeline()
    if len(parts) == 1:
        return parts[0][1]
    first = min(began for began, _ in parts)
    times = sorted({began - first + elapsed for began, timeline in parts for elapsed in timeline.elapsed_s})
    step = -(-len(times) // MOST_POINTS)
    times = times[::-1][::step][::-1]  # keeps the last one, which is the end
    result = Timeline()
    for time in times:
        standing = [
            (began + timeline.elapsed_s[row], timeline, row)
            for began, timeline in parts
            if (row := bisect_right(timeline.elapsed_s, time - (began - first) + _NEAR_S) - 1) >= 0
        ]
        _, newest, newest_row = max(standing, key=lambda each: each[0])
        result.add(
            operations=sum(timeline.operations[row] for _, timeline, row in standing),
            elapsed_s=time,
            # All parts share the log and the process: the latest count is the count of all.
            corruption=max(timeline.corruption[row] for _, timeline, row in standing),
            behaviour=max(timeline.behaviour[row] for _, timeline, row in standing),
            resident_bytes=newest.resident_bytes[newest_row],
            sides=_summed(parts, standing),
        )
    return result


def _summed(parts: Sequence[tuple[float, Timeline]], standing: list[tuple[float, Timeline, int]]) -> Account:
    """The sum of what all had counted; a cache that has not begun has counted nothing."""
    total: Account = {}
    for _, timeline in parts:
        for side, pools in timeline.sides.items():
            for pool in pools:
                total.setdefault(side, {}).setdefault(pool, dict.fromkeys(COUNTED, 0))
    for _, timeline, row in standing:
        for side, pools in timeline.sides.items():
            for pool, columns in pools.items():
                counted = total[side][pool]
                for name, column in columns.items():
                    before, number = counted[name], column[row]
                    counted[name] = None if before is None or number is None else before + number
    return total
