"""Reading JSON results, to merge, show or judge them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from kvparity.caches.protocol import CacheSpec
from kvparity.errors import UsageError
from kvparity.evidence import Coverage, Exercised, Exhibit, Latency, Moment, Provenance, Timeline
from kvparity.evidence.timeline import COUNTED
from kvparity.results.divergence import SEVERITIES, SIDES, Divergence
from kvparity.results.result import SCHEMA, KeptCase, RecordedAnswers, Result, TrainingAccount
from kvparity.results.type_check import check
from kvparity.values.difference import Tolerance

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_DIVERGENCE = (
    "number",
    "operation",
    "pool",
    "kind",
    "reference",
    "candidate",
    "wrong",
    "explanation",
    "difference",
    "known",
)
_MOST_BYTES = 64 * 1024 * 1024


def read_result(path: Path) -> Result:
    """The result in a file that `write_json` wrote.

    Raises:
        UsageError: the file cannot be read, is no result, or needs a newer kvparity.
    """
    return result_of(read_json(path, "result"), path)


def read_json(path: Path, noun: str) -> Any:
    """The content of a JSON file.

    Args:
        path: the file.
        noun: what the file should be, for the error message.

    Raises:
        UsageError: the file cannot be read, or is no JSON.
    """
    return read_hashed(path, noun)[0]


def read_hashed(path: Path, noun: str) -> tuple[Any, str]:
    """The content of a JSON file and its sha256. The file is read once, because it may be a pipe.

    Args:
        path: the file.
        noun: what the file should be, for the error message.

    Raises:
        UsageError: the file cannot be read, or is no JSON.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise UsageError(f"{path} is no {noun}: it has more than {_MOST_BYTES:,} bytes")
        return json.loads(content.decode("utf-8")), hashlib.sha256(content).hexdigest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no {noun}: {error}") from None


def result_of(fields: Any, path: Path) -> Result:
    """The result in `fields`, the content of the file `path`.

    Raises:
        UsageError: it is no result, or needs a newer kvparity.
    """
    schema = fields.get("schema") if isinstance(fields, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool):
        raise UsageError(f"{path} is no result: it has no schema number")
    if schema > SCHEMA:
        raise UsageError(f"{path} has result schema {schema}; this kvparity reads up to {SCHEMA}: upgrade kvparity")
    try:
        result = _result(fields)
        check(result)
    except KeyError as error:
        raise UsageError(f"{path} is no result: {error} is missing") from None
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise UsageError(f"{path} is no result: {error}") from None
    return result


def _result(fields: dict[str, Any]) -> Result:
    divergences, fuzzing = fields["divergences"], fields.get("fuzzing")
    first = [(_divergence(each), _count(each["count"])) for each in fields["first"]]
    recorded = fields.get("recorded_answers")
    runs = [_result(run) for run in fields.get("runs", [])]
    return Result(
        workload=_text(fields["workload"]),
        spec=None if fields["spec"] is None else CacheSpec(**fields["spec"]),
        reference=_text(fields["reference"]),
        candidate=_text(fields["candidate"]),
        operations=_counter(fields["operations"]),
        gets_compared=_count(fields["gets_compared"]),
        values_compared=_count(fields["values_compared"]),
        total=_count(divergences["total"]),
        unexpected=_counter(divergences["unexpected_by_severity"], names=set(SEVERITIES.values())),
        by_kind=_counter(divergences["by_kind"], names=set(SEVERITIES)),
        by_side=_counter(divergences["by_side"], names=set(SIDES)),
        by_known=_counter(divergences["known"]),
        by_group=Counter({(each.kind, each.wrong): count for each, count in first}),
        first={(each.kind, each.wrong): each for each, _ in first},
        kept=[each for run in runs for each in run.kept] or [_divergence(each) for each in fields.get("kept", [])],
        stats=_stats(fields["stats"]),
        elapsed_s=float(fields["timing"]["elapsed_s"]),
        seed=fields["seed"],
        interrupted=bool(fields["interrupted"]),
        ended_early=bool(fields.get("recording_ended_early", False)),
        recorded=None if recorded is None else RecordedAnswers(**recorded),
        examples=None if fuzzing is None else _count(fuzzing["examples"]),
        cases=[] if fuzzing is None else [KeptCase(**case) for case in fuzzing["cases"]],
        training=None if "training" not in fields else _training(fields["training"]),
        missing=[_text(part) for part in fields.get("missing", [])],
        coverage=_coverage(fields["coverage"]),
        timeline=Timeline() if runs else _timeline(fields["timeline"]),
        latencies={} if runs else _latencies(fields["latencies"]),
        provenance=None if "provenance" not in fields else Provenance(**fields["provenance"]),
        programs={
            (each["kind"], each["wrong"]): _text(each["program"])
            for each in fields["first"]
            if each.get("program") is not None
        },
        tolerances=[_tolerance(each) for each in fields.get("tolerances", [])],
        runs=runs,
    )


def _tolerance(fields: dict[str, Any]) -> Tolerance:
    try:
        return Tolerance(**fields)
    except UsageError as error:
        raise ValueError(error) from None


def _training(fields: dict[str, Any]) -> TrainingAccount:
    said = {name: value for name, value in fields.items() if name != "share"}
    return TrainingAccount(**{**said, "models": tuple(_text(model) for model in fields["models"])})


def _coverage(fields: dict[str, Any]) -> Coverage:
    families = {family: _exercised(exercised) for family, exercised in fields["families"].items()}
    strategies = {
        side: {family: [_text(name) for name in names] for family, names in declared.items()}
        for side, declared in fields["strategies"].items()
    }
    unknown = {family for declared in strategies.values() for family in declared} - set(families)
    if unknown:
        raise ValueError(f"strategies are declared for {', '.join(sorted(unknown))}, but no such pools exist")
    counts = ("environments", "environments_seen", "kind_changes", "working_copies")
    return Coverage(
        families=families,
        strategies=strategies,
        kinds=[_text(kind) for kind in fields["kinds"]],
        **{name: _count(fields[name]) for name in counts},
    )


def _exercised(fields: dict[str, Any]) -> Exercised:
    evictions = {side: _count(count) for side, count in fields["evictions"].items()}
    return Exercised(
        **{name: _count(count) for name, count in fields.items() if name != "evictions"}, evictions=evictions
    )


def _timeline(fields: dict[str, Any]) -> Timeline:
    timeline = Timeline(**fields)
    for pools in timeline.sides.values():
        for columns in pools.values():
            missing = set(COUNTED) - set(columns)
            if missing:
                raise ValueError(f"its timeline lacks {', '.join(sorted(missing))}")
    sides = [column for pools in timeline.sides.values() for names in pools.values() for column in names.values()]
    counted: list[Sequence[int | None]] = [timeline.corruption, timeline.behaviour, timeline.resident_bytes, *sides]
    if {len(column) for column in (timeline.elapsed_s, *counted)} - {len(timeline)}:
        raise ValueError("the columns of its timeline have different lengths")
    for number in (*timeline.operations, *(each for column in counted for each in column if each is not None)):
        _count(number)
    return timeline


def _latencies(sides: dict[str, Any]) -> dict[str, dict[str, Latency]]:
    return {
        side: {
            kind: Latency(
                counts={int(bucket): _count(count) for bucket, count in latency["counts"].items()},
                longest_ns=_count(latency["longest_ns"]),
            )
            for kind, latency in kinds.items()
        }
        for side, kinds in sides.items()
    }


def _exhibit(fields: dict[str, Any]) -> Exhibit:
    return Exhibit(
        history=tuple(Moment(**moment) for moment in fields["history"]),
        earlier=_count(fields["earlier"]),
        complete=bool(fields["complete"]),
        heat=tuple((_text(each["where"]), tuple(tuple(row) for row in each["heads"])) for each in fields["heat"]),
    )


def _divergence(fields: dict[str, Any]) -> Divergence:
    if fields["kind"] not in SEVERITIES or fields["wrong"] not in SIDES:
        raise ValueError(f"unknown kind of divergence {fields['kind']!r}, or unknown side {fields['wrong']!r}")
    key = None if fields["key"] is None else int(fields["key"], 16)
    exhibit = None if fields.get("exhibit") is None else _exhibit(fields["exhibit"])
    return Divergence(key=key, exhibit=exhibit, **{name: fields[name] for name in _DIVERGENCE})


def _stats(sides: dict[str, Any]) -> dict[str, dict[str, dict[str, int | None]]]:
    return {
        side: {
            pool: {name: None if cells[name] is None else _count(cells[name]) for name in COUNTED}
            for pool, cells in pools.items()
        }
        for side, pools in sides.items()
    }


def _counter(counts: dict[str, Any], *, names: set[str] | None = None) -> Counter[str]:
    unknown = set() if names is None else set(counts) - names
    if unknown:
        raise ValueError(f"unknown names of counts: {', '.join(map(repr, sorted(unknown)))}")
    return Counter({name: _count(count) for name, count in counts.items()})


def _count(number: Any) -> int:
    if type(number) is not int:
        raise TypeError(f"{number!r} is not a count")
    return number


def _text(text: Any) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is not a text")
    return text
