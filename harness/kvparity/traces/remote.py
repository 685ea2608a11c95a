"""Traces at any URL that fsspec reads (`s3://`, `gs://`, `https://`): they are copied to a temporary file.

A trace is an SQLite database, and SQLite reads local files only.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import fsspec

from kvparity.errors import UsageError
from kvparity.registry import trace_path

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 1 << 22


def is_url(name: str) -> bool:
    """Whether `name` is a URL."""
    return "://" in name


@contextmanager
def local_trace(name: str, *, most_bytes: int | None = None) -> Iterator[Path]:
    """The file of a trace. What is at a URL is copied, and the copy removed afterwards.

    Args:
        name: a bundled trace, a path or a URL.
        most_bytes: the most that a copy may have; None for the free space of the temporary folder.

    Raises:
        UsageError: the trace does not exist, cannot be read, or is too large.
    """
    if not is_url(name):
        yield trace_path(name)
        return
    with tempfile.TemporaryDirectory(prefix="kvparity-") as folder:
        path = Path(folder) / (PurePosixPath(name).name or "trace")
        free = shutil.disk_usage(folder).free
        _copy(name, path, most_bytes=free if most_bytes is None else min(free, most_bytes))
        yield path


def identity(name: str) -> str:
    """A text that changes when the trace changes, from what its file system reports without reading it.

    Raises:
        UsageError: the trace does not exist or cannot be reached.
    """
    url = name if is_url(name) else f"file://{trace_path(name).resolve()}"
    try:
        system, path = fsspec.core.url_to_fs(url)
        return str(system.ukey(path))
    except Exception as error:  # every file system of fsspec has exceptions of its own
        raise _unreadable(name, error) from error


def _copy(url: str, path: Path, *, most_bytes: int) -> None:
    copied = 0
    try:
        with fsspec.open(url, "rb") as source, path.open("wb") as target:
            while block := source.read(_BLOCK):
                copied += len(block)
                if copied > most_bytes:
                    break
                target.write(block)
    except Exception as error:  # every file system of fsspec has exceptions of its own
        raise _unreadable(url, error) from error
    if copied > most_bytes:
        raise UsageError(
            f"{url} is too large: it has more than the {most_bytes:,} bytes for which {path.parent.parent} has room;"
            " set TMPDIR to a folder on a larger disk"
        )


def _unreadable(name: str, error: Exception) -> UsageError:
    if isinstance(error, ImportError):
        return UsageError(f"{name} needs a package that is not installed: {error}")
    if isinstance(error, FileNotFoundError):
        return UsageError(f"{name} does not exist")
    return UsageError(f"{name} cannot be read: {type(error).__name__}: {error}")
