"""Memory that this process uses, and memory of the machine."""

from __future__ import annotations

import os
import weakref
from contextlib import suppress

_STATM = "/proc/self/statm"
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Resident:
    """Reads the resident memory of this process, in bytes, fast enough to be called often."""

    def __init__(self) -> None:
        self._file: int | None = None
        with suppress(OSError):
            self._file = os.open(_STATM, os.O_RDONLY)  # it stays open, because opening takes longer than reading
            weakref.finalize(self, os.close, self._file)

    def __call__(self) -> int | None:
        """The resident memory in bytes; None if the system does not report it."""
        try:
            return None if self._file is None else int(os.pread(self._file, 64, 0).split()[1]) * _PAGE
        except (OSError, ValueError, IndexError):
            return None


def resident_bytes() -> int | None:
    """The resident memory of this process in bytes; None if the system does not report it."""
    return Resident()()


def machine_bytes() -> int | None:
    """The memory of this machine in bytes; None if the system does not report it."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * _PAGE
    except (AttributeError, ValueError, OSError):
        return None
