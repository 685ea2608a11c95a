"""Curves lose no bit, and the first difference of two trainings is found."""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING

import pytest

from kvparity.errors import UsageError
from kvparity.training.paired.curves import CurveLog, compare_curves, read_curves

if TYPE_CHECKING:
    from pathlib import Path

ODD = [0.1, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan, 1 / 3]


def test_every_bit_is_kept(tmp_path: Path) -> None:
    """Of any number, in order, for several curves in one file."""
    with CurveLog(tmp_path / "c.jsonl") as log:
        for number in ODD:
            log.add("loss", number)
            log.add("reward", -number)
    curves = read_curves(tmp_path / "c.jsonl")
    assert [struct.pack("<d", value) for value in curves["loss"]] == [struct.pack("<d", value) for value in ODD]
    assert list(curves) == ["loss", "reward"]
    assert len(curves["reward"]) == len(ODD)


def test_each_number_is_in_the_file_at_once(tmp_path: Path) -> None:
    """A process that is killed loses none."""
    log = CurveLog(tmp_path / "c.jsonl")
    log.add("loss", 0.5)
    assert read_curves(tmp_path / "c.jsonl") == {"loss": [0.5]}
    log.close()


def test_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    """At the end of the file only; anywhere else the file is damaged."""
    path = tmp_path / "c.jsonl"
    whole = json.dumps({"name": "loss", "value": (0.5).hex()}) + "\n"
    path.write_text(whole + whole[:-5])
    assert read_curves(path) == {"loss": [0.5]}
    path.write_text(whole[:-5] + "\n" + whole)
    with pytest.raises(UsageError, match=r"c\.jsonl is not a file of curves: line 1: "):
        read_curves(path)


def test_what_cannot_be_read_or_written_is_an_error(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(UsageError, match="none cannot be read"):
        read_curves(tmp_path / "none")
    with pytest.raises(UsageError, match="cannot be written: No such file or directory"):
        CurveLog(tmp_path / "none" / "c.jsonl")


def test_equal_curves_are_alike() -> None:
    """NaN equals NaN, because the bits are equal."""
    likeness = compare_curves({"loss": ODD}, {"loss": list(ODD)})
    assert likeness.alike
    assert (likeness.curves, likeness.numbers) == (1, len(ODD))


def test_the_first_difference_is_found() -> None:
    """Of each curve that differs, the earliest first, with the greatest difference."""
    first = {"loss": [1.0, 2.0, 3.0, 4.0], "reward": [1.0, 1.0], "same": [7.0]}
    second = {"loss": [1.0, 2.0, 3.5, 2.0], "reward": [1.0, -1.0], "same": [7.0]}
    likeness = compare_curves(first, second)
    assert not likeness.alike
    assert [(each.curve, each.step, each.values, each.greatest) for each in likeness.partings] == [
        ("reward", 1, (1.0, -1.0), 2.0),
        ("loss", 2, (3.0, 3.5), 2.0),
    ]
    assert str(likeness.partings[0]) == "reward differs from step 1 on: 1.0 and -1.0"


def test_one_bit_is_a_difference() -> None:
    """As is the sign of zero."""
    assert not compare_curves({"loss": [1.0]}, {"loss": [math.nextafter(1.0, 2.0)]}).alike
    assert not compare_curves({"loss": [0.0]}, {"loss": [-0.0]}).alike


def test_the_greatest_difference_to_nan_is_nan() -> None:
    """The difference to NaN is NaN."""
    [parting] = compare_curves({"loss": [1.0, 5.0]}, {"loss": [math.nan, 4.0]}).partings
    assert math.isnan(parting.greatest)


def test_a_curve_that_ends_early_differs_there() -> None:
    """And one that only one training has differs from its beginning."""
    [parting] = compare_curves({"loss": [1.0, 2.0]}, {"loss": [1.0]}).partings
    assert str(parting) == "loss differs from step 1 on: 2.0 and has ended"
    [parting] = compare_curves({}, {"loss": [1.0]}).partings
    assert (parting.step, parting.values) == (0, (None, 1.0))


def test_nothing_is_not_alike() -> None:
    """If nothing was logged, nothing was compared."""
    assert not compare_curves({}, {}).alike
    assert not compare_curves({"loss": []}, {"loss": []}).alike
