"""Results as files: JSON for machines, and the HTML page."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kvparity.errors import UsageError
from kvparity.report.html import page

if TYPE_CHECKING:
    from kvparity.results.result import Result
    from kvparity.thresholds import Thresholds

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"  # names the file that all commands of a step add to
_OUTPUTS = (1, 2)


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


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; where `path` is a link, the file that it leads to.

    A pipe, a terminal and other devices are written into, and so is the file that this program prints to.

    Raises:
        UsageError: it cannot be written there.
    """
    try:
        stream = _stream(path)
        if stream is None:
            _replace(Path(os.path.realpath(path)), text)
        else:
            _write(stream, text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _stream(path: Path) -> int | None:
    """A descriptor to write to; None where there is a file to replace, or nothing yet."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return None
    for output in _OUTPUTS:
        with suppress(OSError):  # it may be closed
            if os.path.samestat(there, os.fstat(output)):
                return os.dup(output)  # which goes on where printing is, and printing goes on after it
    return None if stat.S_ISREG(there.st_mode) else os.open(path, os.O_WRONLY)


def _replace(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".kvparity-")
    try:
        _write(handle, text)
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _write(handle: int, text: str) -> None:
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
