"""Writing files whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from kvparity.errors import UsageError

_OUTPUTS = (1, 2)


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
