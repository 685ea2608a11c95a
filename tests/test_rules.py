"""benchmarks/rules.py takes the rules of its table out of the code one by one: here, that it would find each."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
RULES = runpy.run_path(str(ROOT / "benchmarks" / "rule_table.py"))["RULES"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_is_where_it_is_said_to_be(rule: Any) -> None:
    """Each text that is to be changed occurs once in its file, and each test that is to fail exists."""
    text = (ROOT / rule.file).read_text("utf-8")
    assert [text.count(old) for old, _ in rule.changes] == [1] * len(rule.changes)
    for node in rule.nodes:
        file, _, test = node.partition("::")
        assert f"def {test.partition('[')[0]}(" in (ROOT / file).read_text("utf-8")
