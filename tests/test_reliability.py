"""The tables of docs/reliability.md: they are of tests that there are, and of figures that are kept and good."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from kvparity.registry import SCENARIOS, installed

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import records
import reliability
from reliability import FAULTS, FILES, PLANTED, THREADS, Row, fuzzed, scaled, soaked

TESTS = Path(__file__).parent
SOAKED = 10_000_000  # operations
_PYPROJECT = (TESTS.parent / "pyproject.toml").read_text(encoding="utf-8")
NAMES = [
    name
    for file in FILES
    for name in re.findall(r"^def (test_\w+)", (TESTS / f"{file}.py").read_text(encoding="utf-8"), re.MULTILINE)
]


class Table:
    """Remembers what it is to show."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, ...]] = []

    def __call__(self, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        """Each row has a cell for each column."""
        assert {len(row) for row in rows} <= {len(columns)}
        self.rows += rows


@pytest.mark.parametrize("row", [*FAULTS, *THREADS, *PLANTED], ids=lambda row: row.what)
def test_a_row_stands_for_tests_that_there_are(row: Row) -> None:
    """A test that is renamed does not drop out of its table."""
    assert [each for each in row.tests if not any(name.startswith(each) for name in NAMES)] == []


def test_nothing_that_fuzzing_found_is_open() -> None:
    """Whatever breaks a target is mended, and stays in its corpus."""
    table = Table()
    assert fuzzed(table) == []
    assert {row[0] for row in table.rows} == {"trace", "rows", "result", "settings"}


def test_each_scenario_was_soaked_and_none_leaks() -> None:
    """Ten million operations each, which was long enough to tell."""
    table = Table()
    assert soaked(table) == []
    assert {row[0] for row in table.rows} == set(installed(SCENARIOS))
    assert {it["verdict"] for it in records.kept("soak").values()} == {"steady"}
    assert min(it["operations"] for it in records.kept("soak").values()) >= SOAKED


def test_each_engine_came_to_the_same() -> None:
    """Two workers, bit for bit what one process comes to."""
    table = Table()
    assert scaled(table) == []
    assert {row[0] for row in table.rows} == {"two workers, local", "two workers, ray"}


def test_a_leak_and_another_result_are_not_as_they_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are named."""
    figures: dict[str, dict[str, dict[str, Any]]] = {
        "soak": {"mcts": {**records.kept("soak")["mcts"], "verdict": "LEAK"}},
        "campaign": {"ray": {**records.kept("campaign")["ray"], "same": False}},
    }
    monkeypatch.setattr(reliability, "kept", lambda name: figures[name])
    assert soaked(Table()) == ["mcts leaks"]
    assert scaled(Table()) == ["the result of ray"]


def test_figures_say_when_and_where_and_by_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept anew takes the place of the same; the rest stays."""
    monkeypatch.setattr(records, "FOLDER", tmp_path / "records")
    monkeypatch.setattr(sys, "argv", ["/somewhere/soak.py", "--keep"])
    records.keep("soak", {"one": {"operations": 1}, "two": {"operations": 2}})
    records.keep("soak", {"two": {"operations": 3}})
    kept = records.kept("soak")
    assert [(name, each["operations"], each["command"]) for name, each in kept.items()] == [
        ("one", 1, "python benchmarks/soak.py --keep"),
        ("two", 3, "python benchmarks/soak.py --keep"),
    ]
    assert all({"measured", "machine", "versions"} < set(each) for each in kept.values())


def test_the_lowest_versions_are_those_that_are_declared() -> None:
    """What CI runs with is what pyproject.toml promises; of torch only one version runs there."""
    declared = dict(re.findall(r'^ +"([\w-]+)>=([\d.]+)', _PYPROJECT, re.MULTILINE))
    extras = re.findall(r"^(?:report|test) = (\[.*\])", _PYPROJECT, re.MULTILINE)
    declared |= dict(re.findall(r'"([\w-]+)>=([\d.]+)"', "".join(extras)))
    del declared["torch"], declared["tomli"]
    pinned = dict(re.findall(r"^([\w-]+)==(.+)$", (TESTS.parent / "constraints-lowest.txt").read_text(), re.MULTILINE))
    assert pinned.pop("torch") == "2.13.0"
    assert declared.keys() == pinned.keys()
    assert [name for name, lowest in declared.items() if pinned[name] not in (lowest, f"{lowest}.0")] == []
