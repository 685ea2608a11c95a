"""A run over time: columns for charts, and tables with the same numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvparity.evidence.latency import lower_ns
from kvparity.report.html.formatting import duration, number, percent, size
from kvparity.results.divergence import BEHAVIOUR, CORRUPTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kvparity.evidence import Latency, Timeline
    from kvparity.evidence.timeline import Column
    from kvparity.results.result import Result

SIDES = ("reference", "candidate")
KINDS = ("get", "checkout", "set", "clear")
_MOST_CELLS = 120_000  # numbers in the charts of a whole page: about a megabyte
_FEWEST_POINTS = 8
_ROWS = 8
_QUANTILES = (0.5, 0.9, 0.99, 0.999)


def chart_data(run: Result, *, runs: int) -> dict[str, Any]:
    """The data of the charts of one run, on a page with so many runs."""
    timeline = thinned(run.timeline, runs=runs)
    pools = _pools(timeline)
    return {
        "pace": dict(zip(("time", "operations", "corruption", "behaviour"), _pace(run, timeline), strict=True)),
        "time": [round(second, 3) for second in timeline.elapsed_s],
        "operations": timeline.operations,
        "resident": timeline.resident_bytes,
        "pools": {pool: {"slots": _slots(run, pool), **_columns(timeline, pool)} for pool in pools},
        "held": {side: _held(timeline, side) for side in SIDES},
        "latencies": {kind: _distributions(run, kind) for kind in latency_kinds(run)},
    }


def thinned(timeline: Timeline, *, runs: int) -> Timeline:
    """The timeline with fewer points, evenly chosen, if the page would be too large. Counts are sums and stay right."""
    cells = max(len(_pools(timeline)) * len(SIDES) * 3 + 7, 1) * max(runs, 1)
    most = max(_FEWEST_POINTS, _MOST_CELLS // cells)
    return timeline.rows(spread(len(timeline), most))


def spread(length: int, most: int) -> list[int]:
    """At most `most` indices, evenly spread over `length`, always including the last one."""
    if length <= most:
        return list(range(length))
    return sorted({(at + 1) * length // most - 1 for at in range(most)})


def pace_rows(run: Result) -> list[list[str]]:
    """Operations and divergences so far, at a few moments, including the end."""
    columns = _pace(run, run.timeline.rows(spread(len(run.timeline), _ROWS)))
    return [
        [f"{elapsed:,.2f} s", number(done), number(corruption), number(behaviour)]
        for elapsed, done, corruption, behaviour in zip(*columns, strict=True)
    ]


def pool_rows(run: Result, pool: str) -> list[list[str]]:
    """Hit rate, keys and evictions of both sides, at a few moments."""
    timeline = run.timeline.rows(spread(len(run.timeline), _ROWS))
    rows = [[number(done)] for done in timeline.operations]
    for name in ("rate", "length", "evictions"):
        for side in SIDES:
            column = _columns(timeline, pool)[name][side]
            for row, value in zip(rows, column, strict=True):
                row.append(
                    percent(round(value * 1e4), 10_000) if name == "rate" and value is not None else str_of(value)
                )
    return rows


def pool_names(run: Result) -> list[str]:
    """The pools of the timeline, the busiest families first."""
    return _pools(run.timeline)


def memory_rows(run: Result) -> list[list[str]]:
    """Memory of the process, and the bytes that both sides report, at a few moments."""
    timeline = run.timeline.rows(spread(len(run.timeline), _ROWS))
    held = [_held(timeline, side) for side in SIDES]
    return [
        [f"{elapsed:,.2f} s", size(resident), size(reference), size(candidate)]
        for elapsed, resident, reference, candidate in zip(
            timeline.elapsed_s, timeline.resident_bytes, *held, strict=True
        )
    ]


def latency_kinds(run: Result) -> list[str]:
    """The kinds of operations that were timed."""
    timed = {kind for kinds in run.latencies.values() for kind in kinds}
    return [kind for kind in KINDS if kind in timed] + sorted(timed - set(KINDS))


def latency_rows(run: Result) -> list[list[str]]:
    """Quantiles of durations by kind and side."""
    return [
        [
            kind,
            side,
            number(latency.samples),
            *(duration(latency.quantile_ns(q)) for q in _QUANTILES),
            duration(latency.longest_ns),
        ]
        for kind in latency_kinds(run)
        for side in SIDES
        if (latency := run.latencies.get(side, {}).get(kind)) is not None
    ]


def str_of(value: float | None) -> str:
    """A count for a table."""
    return number(None if value is None else int(value))


def _pace(run: Result, timeline: Timeline) -> tuple[list[float], list[int], list[int], list[int]]:
    """Time, operations, corruption and behaviour so far; with the end, where statistics are checked once more."""
    time, operations = [round(second, 3) for second in timeline.elapsed_s], list(timeline.operations)
    corruption, behaviour = list(timeline.corruption), list(timeline.behaviour)
    if time and run.elapsed_s >= time[-1]:
        time.append(round(run.elapsed_s, 3))
        operations.append(max(run.operations_total, operations[-1]))
        corruption.append(max(run.count(CORRUPTION), corruption[-1]))
        behaviour.append(max(run.count(BEHAVIOUR), behaviour[-1]))
    return time, operations, corruption, behaviour


def _pools(timeline: Timeline) -> list[str]:
    pools = dict.fromkeys(pool for side in SIDES for pool in timeline.sides.get(side, {}))
    return sorted(pools, key=lambda pool: (not pool.startswith("recur"), pool.startswith("wm")))


def _columns(timeline: Timeline, pool: str) -> dict[str, Any]:
    sides = {side: timeline.sides.get(side, {}).get(pool, {}) for side in SIDES}
    nothing: Column = [None] * len(timeline)
    return {
        "rate": {
            side: _rate(columns.get("hits", nothing), columns.get("misses", nothing)) for side, columns in sides.items()
        },
        "length": {side: columns.get("length", nothing) for side, columns in sides.items()},
        "evictions": {side: columns.get("evictions", nothing) for side, columns in sides.items()},
    }


def _rate(hits: Column, misses: Column) -> list[float | None]:
    """Hit rates of the lookups since the point before; None without lookups."""
    rates: list[float | None] = []
    before = (0, 0)
    for hit, miss in zip(hits, misses, strict=True):
        if hit is None or miss is None:
            rates.append(None)
            continue
        new, gone = hit - before[0], miss - before[1]
        rates.append(round(new / (new + gone), 4) if new >= 0 and gone >= 0 and new + gone else None)
        before = (hit, miss)
    return rates


def _held(timeline: Timeline, side: str) -> list[int | None]:
    """Bytes in all pools of a side; None if it does not report one of them."""
    columns = [columns["size_bytes"] for columns in timeline.sides.get(side, {}).values()]
    rows: Sequence[Sequence[int | None]] = list(zip(*columns, strict=True)) if columns else [(None,)] * len(timeline)
    return [None if None in row else sum(each for each in row if each is not None) for row in rows]


def _slots(run: Result, pool: str) -> int | None:
    """Slots of all pools of that name: a trace may have several world models."""
    family, _, one = pool.partition("[")
    exercised = run.coverage.families.get(family)
    if run.spec is None or exercised is None:
        return None
    single = {"init": run.spec.init_pool_size, "recur": run.spec.recur_pool_size, "wm": run.spec.env_num}.get(family)
    pools = exercised.pools // run.spec.env_num if one else exercised.pools
    return None if single is None else single * pools


def _distributions(run: Result, kind: str) -> dict[str, list[list[float]]]:
    """By side, the middle of each bucket in nanoseconds, and its share of all samples."""
    return {
        side: _shares(latency)
        for side in SIDES
        if (latency := run.latencies.get(side, {}).get(kind)) is not None and latency.samples
    }


def _shares(latency: Latency) -> list[list[float]]:
    lowest, highest = min(latency.counts), max(latency.counts)
    return [
        [round(lower_ns(bucket + 0.5)), round(latency.counts.get(bucket, 0) / latency.samples, 6)]
        for bucket in range(lowest, highest + 1)
    ]
