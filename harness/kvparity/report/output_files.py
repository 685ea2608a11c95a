"""Results as files: JSON for machines, and the HTML page."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kvparity.errors import UsageError
from kvparity.files import write_text
from kvparity.report.html import render_page
from kvparity.results.writing import write_json

if TYPE_CHECKING:
    from pathlib import Path

    from kvparity.results.result import Result
    from kvparity.settings import Thresholds

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"  # names the file that all commands of a step add to


def write_page(result: Result, folder: Path, *, fail_on: str, thresholds: Thresholds | None = None) -> None:
    """Write `result.json` and the report as `index.html` into `folder`, which is made where needed.

    Raises:
        UsageError: it cannot be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}") from None
    write_json(result, folder / "result.json")
    write_text(folder / "index.html", render_page(result, fail_on=fail_on, thresholds=thresholds))


def write_summary(path: Path, text: str) -> None:
    """Write a summary in Markdown as `write_text` does; to the one of a step on GitHub it is added.

    Raises:
        UsageError: it cannot be written there.
    """
    step = os.environ.get(STEP_SUMMARY)
    if not step or os.path.realpath(step) != os.path.realpath(path):
        write_text(path, text)
        return
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"\n{text}" if file.tell() else text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
