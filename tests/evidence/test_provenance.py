"""Provenance: where a result comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch

from kvparity.driving.comparison import Comparison
from kvparity.evidence import Exercised, provenance
from kvparity.registry import load_scenario

if TYPE_CHECKING:
    from pathlib import Path


def test_a_result_says_where_it_comes_from(tmp_path: Path) -> None:
    """The command to paste, versions, and a digest that changes with what went in."""
    file = tmp_path / "a b.kvtrace"
    file.write_bytes(b"one")
    first = provenance(["replay", str(file)], files=[file], caches=[("fifo", Exercised)])
    file.write_bytes(b"two")
    second = provenance(["replay", str(file)], files=[file], caches=[("fifo", Exercised)])
    assert first.command == f"kvparity replay '{file}'"
    assert first.versions["torch"] == torch.__version__
    assert first.inputs["file a b.kvtrace"] != second.inputs["file a b.kvtrace"]
    assert first.inputs["cache fifo"] == second.inputs["cache fifo"]


def test_what_cannot_be_read_has_no_digest(tmp_path: Path) -> None:
    """It is left out, never made up."""
    assert provenance([], files=[tmp_path / "none"], caches=[("builtin", len)]).inputs == {}


def test_evidence_survives_json() -> None:
    """Lists and texts, nothing that JSON turns into something else."""
    result = Comparison("fault:by-reference", "refactored-fifo").scenario(load_scenario("mcts"), seed=0, steps=2000)
    whole = result.as_dict()
    assert json.loads(json.dumps(whole)) == whole
    assert any(each["exhibit"]["heat"] for each in whole["kept"] if each["exhibit"])
