"""Traces that earlier versions wrote stay readable: golden files of each schema are replayed, with a known outcome."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from kvparity import Comparison, Set, Trace, fingerprint
from kvparity.traces.sqlite_file import SCHEMA

GOLDEN = Path(__file__).parents[1] / "golden"
OUTCOMES: dict[str, dict[str, Any]] = {
    "trace-1-fingerprint.kvtrace": {
        "operations": {"set": 153, "clear": 4, "checkout": 146, "write": 182, "get": 141},
        "compared": (287, 282),
        "divergences": {"error, reference": 1},
        "answers": (287, 277),
        "digest": "b445abc78273d39ebed046ad037996de7327201ecb3fd3e33287347452e465a9",
    },
    "trace-1-full.kvtrace": {
        "operations": {"set": 153, "clear": 4, "checkout": 146, "write": 182, "get": 141},
        "compared": (287, 207),
        "divergences": {"dtype, reference": 101, "error, reference": 87, "presence, reference": 15},
        "answers": (287, 101),
        "digest": "7954130557830de2b955fe9b4bc2f54af5ab414a65d209ed3b1918a33c7e0f6d",
    },
}
# Of schema 2 are the same operations, values and answers.
OUTCOMES |= {name.replace("-1-", "-2-"): each for name, each in OUTCOMES.items()}


def outcome(trace: Trace) -> dict[str, Any]:
    """What a trace says, and what its replay comes to."""
    said = hashlib.sha256()
    for each in trace:
        operation = each.operation
        value = fingerprint(operation.value).hex() if isinstance(operation, Set) else ""
        where = getattr(operation, "pool", None) or getattr(operation, "env", None)
        rest = [getattr(operation, name, None) for name in ("key", "priority", "fill")]
        said.update(
            f"{each.number} {each.stream} {type(operation).__name__} {where} {rest} {value} {each.answer}\n".encode()
        )
    result = Comparison("legacy-released", "refactored-lru").trace(trace, workload="golden")
    assert result.recorded is not None
    return {
        "operations": dict(result.operations),
        "compared": (result.gets_compared, result.values_compared),
        "divergences": {f"{kind}, {wrong}": count for (kind, wrong), count in result.by_group.items()},
        "answers": (result.recorded.given, result.recorded.reproduced),
        "digest": said.hexdigest(),
    }


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_trace_of_an_earlier_version_says_what_it_always_said(name: str) -> None:
    """Every operation, value and answer, and what comes of replaying them."""
    with Trace(GOLDEN / name) as trace:
        assert trace.header.complete
        assert (trace.header.served_by, trace.header.candidate, trace.header.seed) == (
            "legacy-evicting",
            "refactored-lru",
            3,
        )
        assert [stream.name for stream in trace.streams.values()] == ["revisit", "numeric-edge", "odd"]
        assert outcome(trace) == OUTCOMES[name]


def test_there_is_a_golden_trace_of_each_schema_and_kind() -> None:
    """Whoever makes a new schema leaves these as they are, and adds its own."""
    expected = {f"trace-{schema}-{kind}.kvtrace" for schema in range(1, SCHEMA + 1) for kind in ("full", "fingerprint")}
    assert {path.name for path in GOLDEN.glob("*.kvtrace")} == set(OUTCOMES) == expected
