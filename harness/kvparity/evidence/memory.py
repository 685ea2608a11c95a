"""How much memory this process takes, and how much there is."""

from __future__ import annotations

import os
import weakref
from contextlib import suppress

_STATM = "/proc/self/statm"
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Resident:
    """Memory of this process that is in RAM, in bytes, for those that ask often."""

    def __init__(self) -> None:
        self._file: int | None = None
        with suppress(OSError):
            self._file = os.open(_STATM, os.O_RDONLY)  # it stays open: to open it takes longer than to read it
            weakref.finalize(self, os.close, self._file)

    def __call__(self) -> int | None:
        """None on systems that do not tell."""
        try:
            return None if self._file is None else int(os.pread(self._file, 64, 0).split()[1]) * _PAGE
        except (OSError, ValueError, IndexError):
            return None


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM; None on systems that do not tell."""
    return Resident()()


def machine_bytes() -> int | None:
    """Memory of this machine; None on systems that do not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * _PAGE
    except (AttributeError, ValueError, OSError):
        return None
