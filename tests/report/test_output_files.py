"""Files that reports are written into: a summary in Markdown is added to that of a GitHub step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kvparity.errors import UsageError
from kvparity.report.output_files import STEP_SUMMARY, write_summary

if TYPE_CHECKING:
    from pathlib import Path


def test_a_summary_is_added_to_that_of_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What earlier commands of the step said stays."""
    step = tmp_path / "step"
    step.write_text("earlier")
    monkeypatch.setenv(STEP_SUMMARY, str(step))
    for text in ("first\n", "second\n"):
        write_summary(step, text)
    assert step.read_text() == "earlier\nfirst\n\nsecond\n"


@pytest.mark.parametrize("step", [None, "", "elsewhere"])
def test_any_other_summary_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str | None) -> None:
    """As every file that a command writes."""
    monkeypatch.delenv(STEP_SUMMARY, raising=False)
    if step is not None:
        monkeypatch.setenv(STEP_SUMMARY, step)
    for text in ("first\n", "second\n"):
        write_summary(tmp_path / "summary.md", text)
    assert (tmp_path / "summary.md").read_text() == "second\n"


def test_a_summary_that_cannot_be_added_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line."""
    monkeypatch.setenv(STEP_SUMMARY, str(tmp_path))
    with pytest.raises(UsageError, match="cannot be written: Is a directory"):
        write_summary(tmp_path, "text")
