"""The divergences on a page: groups, which count all of them, and a list of those that are kept, of limited size."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from kvparity.report.html.formatting import clipped
from kvparity.report.html.minimize_commands import minimizing
from kvparity.results.divergence import CORRUPTION, SEVERITIES

if TYPE_CHECKING:
    from kvparity.evidence import Exhibit
    from kvparity.results.divergence import Divergence
    from kvparity.results.result import Result

LIST_BYTES = 4_000_000
EXHIBIT_BYTES = 1_500_000
COLUMNS = (
    "run",
    "number",
    "operation",
    "pool",
    "key",
    "kind",
    "wrong",
    "reference",
    "candidate",
    "explanation",
    "difference",
    "known",
    "exhibit",
)
BLAME = {
    "reference": "The reference is wrong",
    "candidate": "The candidate is wrong",
    "both": "Both are wrong",
    "neither": "Neither is wrong",
    "unknown": "It is unknown who is wrong",
}
_LONGEST_PROGRAM = 50_000
_NAMED = re.compile(r"operation (\d+)")
# Results of earlier versions name the pool before the key.
_INTRUDER = re.compile(
    r"returned the value that operation (?P<number>\d+) set"
    r"(?: in (?P<pool_before>\S+))? under key (?P<key>0x[0-9a-f]+)(?: in (?P<pool_after>[^\s;,]+))?"
)


def groups(result: Result) -> list[dict[str, Any]]:
    """All groups, corruption first, then by count: the first divergence, and a program or the command for one."""
    found = []
    for group in sorted(result.by_group, key=lambda each: (SEVERITIES[each[0]] != CORRUPTION, -result.by_group[each])):
        kind, wrong = group
        first = result.first[group]
        run = next((each for each in result.single_runs if each.first.get(group) == first), result)
        program = result.programs.get(group)
        if program is not None and len(program) > _LONGEST_PROGRAM:
            program = None
        found.append(
            {
                "kind": kind,
                "wrong": wrong,
                "severity": SEVERITIES[kind],
                "count": result.by_group[group],
                "run": run.workload,
                "first": shown(first),
                "exhibit": None if first.exhibit is None else exhibit(first, first.exhibit),
                "program": program,
                "command": None if program is not None or result.examples is not None else minimizing(result, run),
                "cases": [case for case in result.cases if (case.kind, case.wrong) == group],
            }
        )
    return found


def listing(result: Result) -> dict[str, Any]:
    """The list for the browser: rows of `COLUMNS`, and histories of some of them."""
    runs = result.single_runs
    rows: list[list[Any]] = []
    candidates: list[tuple[int, int, Divergence]] = []
    for at, run in enumerate(runs):
        left = LIST_BYTES // len(runs)
        rank: dict[tuple[str, str], int] = {}
        for divergence in run.kept:
            row = _row(at, divergence)
            left -= len(dumped(row))
            if left < 0:
                break
            group = (divergence.kind, divergence.wrong)
            rank[group] = rank.get(group, 0) + 1
            if divergence.exhibit is not None:
                candidates.append((rank[group], len(rows), divergence))
            rows.append(row)
    exhibits: list[dict[str, Any]] = []
    left = EXHIBIT_BYTES
    for _, at, divergence in sorted(candidates, key=lambda each: each[:2]):
        assert divergence.exhibit is not None
        whole = exhibit(divergence, divergence.exhibit)
        left -= len(dumped(whole))
        if left < 0:
            break
        rows[at][-1] = len(exhibits)
        exhibits.append(whole)
    return {
        "columns": COLUMNS,
        "rows": rows,
        "exhibits": exhibits,
        "total": result.total,
        "histories_left_out": len(candidates) - len(exhibits),
    }


def dumped(data: Any) -> str:
    """JSON that is safe inside an HTML script element, whatever it holds."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)  # ASCII only: no U+2028 and no U+2029
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def shown(divergence: Divergence) -> dict[str, Any]:
    """One divergence as texts."""
    return {
        "number": divergence.number,
        "operation": divergence.operation,
        "pool": clipped(divergence.pool),
        "key": None if divergence.key is None else f"{divergence.key:#018x}",
        "reference": clipped(divergence.reference),
        "candidate": clipped(divergence.candidate),
        "explanation": clipped(divergence.explanation),
        "difference": clipped(divergence.difference),
        "known": None if divergence.known is None else clipped(divergence.known),
    }


def exhibit(divergence: Divergence, kept: Exhibit) -> dict[str, Any]:
    """The history of its key, with the moment that caused the divergence, and the heat maps."""
    history = [
        [moment.number, moment.operation, moment.pool, clipped(moment.reference), clipped(moment.candidate)]
        for moment in kept.history
    ]
    return {
        "history": history,
        "broke": _broke(divergence, history),
        "earlier": kept.earlier,
        "complete": kept.complete,
        "heat": [
            [where, [[each if each is not None and math.isfinite(each) else None for each in row] for row in heads]]
            for where, heads in kept.heat
        ],
    }


def _broke(divergence: Divergence, history: list[list[Any]]) -> int | None:
    """The index of the moment that caused the divergence, which the explanation names.

    If that is the set of another key whose bytes came back, that set is inserted into the history.
    """
    named = {int(match) for match in _NAMED.findall(divergence.explanation)}
    before = list(enumerate(history[:-1]))
    at: int
    for operation in ("drop", "clear"):
        found = [at for at, moment in before if moment[1] == operation and moment[0] in named]
        if found:
            return found[-1]
    other = _INTRUDER.search(divergence.explanation)
    if other is not None and divergence.key is not None and int(other["key"], 16) != divergence.key:
        words = dict.fromkeys(("reference", "candidate"), f"key {other['key']} was set")
        words[divergence.wrong] = f"key {other['key']} was set, and its bytes came back"
        pool = other["pool_before"] or other["pool_after"] or ""
        own = [int(other["number"]), "set", pool, words["reference"], words["candidate"]]
        at = sum([each[0] <= own[0] for each in history[:-1]])
        history.insert(at, own)
        return at
    sets = [at for at, moment in before if moment[1] == "set" and moment[0] in named]
    return max(sets, default=None)


def _row(run: int, divergence: Divergence) -> list[Any]:
    words = {**shown(divergence), "kind": divergence.kind, "wrong": divergence.wrong, "run": run, "exhibit": None}
    return [words[column] for column in COLUMNS]
