"""Results as files: JSON for machines, and the HTML page."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.report.html import page

if TYPE_CHECKING:
    from harness.result import Result
    from harness.thresholds import Thresholds


def write_json(result: Result, path: Path) -> None:
    """Write the JSON result to `path`, whole or not at all.

    Raises:
        UsageError: it cannot be written there.
    """
    write_text(path, json.dumps(result.as_dict(), indent=2) + "\n")


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
    write_text(folder / "index.html", page(result, fail_on=fail_on, thresholds=thresholds))


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        UsageError: it cannot be written there.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
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
