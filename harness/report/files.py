"""Results as files: JSON for machines, and the terminal's report as a page."""

from __future__ import annotations

import json
import os
import tempfile
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from harness.errors import UsageError
from harness.report.terminal import render, verdict_line

if TYPE_CHECKING:
    from harness.result import Result

_PAGE_WIDTH = 120


def write_json(result: Result, path: Path) -> None:
    """Write the JSON result to `path`, whole or not at all.

    Raises:
        UsageError: it cannot be written there.
    """
    write_text(path, json.dumps(result.as_dict(), indent=2) + "\n")


def write_page(result: Result, folder: Path, *, fail_on: str) -> None:
    """Write `result.json` and the report as `index.html` into `folder`, which is made where needed.

    Raises:
        UsageError: it cannot be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}") from None
    console = Console(record=True, width=_PAGE_WIDTH, file=StringIO(), force_terminal=False)
    console.print(render(result))
    console.print(verdict_line(result, fail_on=fail_on))
    write_json(result, folder / "result.json")
    write_text(folder / "index.html", console.export_html(inline_styles=True))


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        UsageError: it cannot be written there.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
