"""Writing a file completely or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from kvparity.errors import UsageError

_OUTPUTS = (1, 2)


def write_text(path: Path, text: str) -> None:
    """Write a file completely or not at all. If `path` is a link, the file that it points to is written.

    Pipes, terminals and other devices are written to directly, and so is the file that this program prints to.

    Raises:
        UsageError: the file cannot be written.
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
    """A descriptor to write to, or None if `path` is a regular file or does not exist yet."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return None
    for output in _OUTPUTS:
        with suppress(OSError):  # this output may be closed
            if os.path.samestat(there, os.fstat(output)):
                return os.dup(output)  # shares its position with what is printed before and after
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
