"""The files of reports: the folder with the HTML page, and the summary for CI."""

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

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"  # the environment variable that names the file for all commands of a step


def write_page(result: Result, folder: Path, *, fail_on: str, thresholds: Thresholds | None = None) -> None:
    """Write `result.json` and the page `index.html` into `folder`, which is made if needed.

    Raises:
        UsageError: a file cannot be written, or a package for pages is missing.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}") from None
    write_json(result, folder / "result.json")
    write_text(folder / "index.html", render_page(result, fail_on=fail_on, thresholds=thresholds))


def write_summary(path: Path, text: str) -> None:
    """Write a summary in Markdown. It replaces the file, or is added if that is the summary of a step on GitHub.

    Raises:
        UsageError: the file cannot be written.
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
