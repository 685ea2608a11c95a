"""The table of targets: every line is measured at every size that it has a target for. No test looks at a time."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import anatomy
import targets
from lines import ALL, Effort, Line, Ratio, measure

if TYPE_CHECKING:
    from collections.abc import Iterator

LITTLE = Effort(operations=64, young=32, slots=200, traced=64, trace_bytes=1_000_000, steps=64)
SIZES = {"8 KB", "98 KB", "245 KB"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the command writes of all lines, with as little work as can be."""
    path = tmp_path_factory.mktemp("targets") / "rows.json"
    status = targets.main(["--repeats", "1", "--json", str(path)], effort=LITTLE)
    found: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
    assert status == any(row["met"] is False for row in found)
    return found


def test_every_line_is_there_at_every_size(rows: list[dict[str, Any]]) -> None:
    """In the order of the table."""
    assert [(row["line"], row["entry"]) for row in rows] == [(line.name, size) for line in ALL for size in line.target]


def test_every_line_says_what_was_divided(rows: list[dict[str, Any]]) -> None:
    """Both numbers are there, and of one repeat the ratio is their quotient."""
    for row in rows:
        assert row["over"] > 0
        assert row["under"] > 0
        assert row["ratio"] == pytest.approx(row["over"] / row["under"])
        assert row["met"] == (None if row["target"] is None else row["ratio"] <= row["target"])


def test_a_line_has_all_three_sizes_or_one() -> None:
    """No size is left out because a target is missed there."""
    assert all(set(line.target) == SIZES or len(line.target) == 1 for line in ALL)


def test_names_are_unique() -> None:
    """`--only` means one line."""
    assert len({line.name for line in ALL}) == len(ALL)


def begin(_: str, __: Effort) -> Iterator[Ratio]:
    """1/1, which is to warm up, 2/1, 3/1, ..."""
    for number in range(1, 100):
        yield Ratio(number, 1)


def test_the_ratio_is_the_median_after_the_warm_up() -> None:
    """And its quartiles are of the same repeats."""
    [row] = measure([Line(name="counted", target={"": 4.0}, begin=begin)], LITTLE, repeats=5)
    assert (row.low, row.ratio, row.high, row.repeats) == (3, 4, 5, 5)
    assert row.met is True


def test_a_line_that_takes_long_is_measured_less_often() -> None:
    """The others go on without it."""
    lines = [Line(name=name, target={"": None}, begin=begin, most=most) for name, most in (("long", 2), ("short", 9))]
    assert [row.repeats for row in measure(lines, LITTLE, repeats=4)] == [2, 4]


def test_only_the_lines_asked_for_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """At every size."""
    targets.main(["--only", "get", "--repeats", "1"], effort=LITTLE)
    assert {line.split()[1] for line in capsys.readouterr().out.splitlines() if " KB " in line} == {"get"}


@pytest.mark.parametrize(("target", "status"), [(4.0, 0), (3.9, 1), (None, 0)])
def test_a_target_that_is_missed_is_a_failure(
    target: float | None, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which the exit status tells; what is for information cannot fail."""
    monkeypatch.setattr(targets, "ALL", [Line(name="counted", target={"": target}, begin=begin)])
    assert targets.main(["--repeats", "5"]) == status


def test_too_few_repeats_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, with exit status 2."""
    with pytest.raises(SystemExit, match="2"):
        targets.main(["--repeats", "0"])
    assert "--repeats 0 is too few" in capsys.readouterr().err


def test_each_part_of_a_shadowed_step_is_timed() -> None:
    """`anatomy.py` wraps parts by their names, so it must follow when they are renamed."""
    torch.set_num_threads(1)
    with torch.no_grad():
        taken = anatomy.anatomy("8 KB", 2)
    assert set(taken) == {anatomy.ALONE, anatomy.WHOLE, *anatomy.PARTS, anatomy.REST}
    assert all(us > 0 for us in taken.values())
