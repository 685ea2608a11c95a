"""How a line is measured: two things in turns, all lines in turns, and the median of the ratios."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

US = 1e6


class Ratio(NamedTuple):
    """One measurement: the figure, and what it is divided by, in the unit of its line."""

    over: float
    under: float


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is done for one measurement; tests do less than the defaults.

    Attributes:
        operations: after how many operations a long session is measured.
        young: after how many a short one is.
        slots: the slots of a large pool.
        traced: the operations of a trace that is replayed.
        trace_bytes: the bytes of tensors in a trace whose size is measured.
        steps: the steps of the shadow run whose memory is measured.
    """

    operations: int = 1_000_000
    young: int = 10_000
    slots: int = 100_000
    traced: int = 4_000
    trace_bytes: int = 64_000_000
    steps: int = 10_000


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table.

    Attributes:
        name: as in the table and for `--only`.
        target: the greatest ratio that meets the target, by size of entry; None if the ratio is for information only.
            Its keys are the sizes that are measured: an empty string where size does not matter.
        begin: starts to measure at a size. Returns an endless iterator that measures once for each item.
        unit: of both figures.
        most: the greatest number of repeats, for lines that take long or always come out the same.
        warm_up: measurements before the first one that counts.
    """

    name: str
    target: Mapping[str, float | None]
    begin: Callable[[str, Effort], Iterator[Ratio]] = field(repr=False)
    unit: str = "us"
    most: int = 1_000
    warm_up: int = 1


@dataclass(frozen=True, kw_only=True)
class Row:
    """The result of one line at one size.

    Attributes:
        ratio: the median over the repeats, between the quartiles `low` and `high`.
        met: whether the ratio is within its target; None if there is no target.
        over: the median of the figure.
        under: the median of what it was divided by.
    """

    line: str
    entry: str
    ratio: float
    low: float
    high: float
    target: float | None
    met: bool | None
    over: float
    under: float
    unit: str
    repeats: int


def measure(lines: Sequence[Line], effort: Effort, *, repeats: int) -> list[Row]:
    """Measure every line at every size, in turns, so that other work on the machine affects all of them alike."""
    races = [(line, entry, line.begin(entry, effort)) for line in lines for entry in line.target]
    taken: list[list[Ratio]] = [[] for _ in races]
    for turn in range(repeats + max((line.warm_up for line in lines), default=0)):
        for (line, _, race), ratios in zip(races, taken, strict=True):
            if turn < min(repeats, line.most) + line.warm_up:
                ratios.append(next(race))
    for _, _, race in races:
        race.close()  # type: ignore[attr-defined]  # they are generators, some of which have files to remove
    return [_row(line, entry, ratios[line.warm_up :]) for (line, entry, _), ratios in zip(races, taken, strict=True)]


def _row(line: Line, entry: str, ratios: list[Ratio]) -> Row:
    each = [ratio.over / ratio.under for ratio in ratios]
    low, median, high = statistics.quantiles(each, n=4, method="inclusive") if len(each) > 1 else each * 3
    target = line.target[entry]
    return Row(
        line=line.name,
        entry=entry,
        ratio=median,
        low=low,
        high=high,
        target=target,
        met=None if target is None else median <= target,
        over=statistics.median(ratio.over for ratio in ratios),
        under=statistics.median(ratio.under for ratio in ratios),
        unit=line.unit,
        repeats=len(each),
    )


def timed(work: Callable[[], object], times: int, *, clock: Callable[[], float] = time.thread_time) -> float:
    """Microseconds per part of `work`, which has `times` parts, in processor time of this thread."""
    began = clock()
    work()
    return (clock() - began) / times * US
