"""How much memory this process takes."""

from __future__ import annotations

import os

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM; None on systems that do not tell."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: PTH123  twice for each operation
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return None
