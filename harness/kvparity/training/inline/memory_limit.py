"""`MemoryLimit`: how much memory a guest may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Reading the size of the process costs more than an operation: it is read in the first operations, then in one of N.
_ALWAYS, _EVERY = 1024, 31


class MemoryLimit:
    """How much memory a guest may hold, by its own statistics and by how much the process grew during its visits.

    Not every visit is measured. One that is measured stands for all operations since the one before it.

    Args:
        size_bytes: the limit; None for no limit.
        resident: reads the bytes that the process holds; None where the system does not tell.
    """

    def __init__(self, size_bytes: int | None, *, resident: Callable[[], int | None]) -> None:
        self._limit = size_bytes
        self._resident = resident
        self._first: int | None = None
        self._grown = 0
        self._measured = 0

    def begin(self, before: int, after: int) -> int | None:
        """A visit begins that takes the number of operations from `before` to `after`.

        Returns:
            The bytes that the process holds; None if this visit is not measured.
        """
        if before < _ALWAYS or after - self._measured >= _EVERY:
            return self._resident()
        return None

    def finish(self, resident: int, *, done: int, operations: int) -> str | None:
        """A visit ends that was measured; the reason to stop the guest if the process grew too much.

        Args:
            resident: what `begin` returned.
            done: operations in all visits so far.
            operations: operations in this visit.
        """
        now = self._resident() or resident
        if self._first is None:
            self._first = resident
        self._grown += round((now - resident) * (done - self._measured) / operations)
        self._measured = done
        # What the run has freed since the first visit is not held any more.
        return self._check("the process grew by", min(self._grown, now - self._first))

    def check_held(self, size_bytes: int) -> str | None:
        """The reason to stop a guest whose statistics say that it holds `size_bytes`; None if that is allowed."""
        return self._check("it holds", size_bytes)

    def _check(self, how: str, size_bytes: int) -> str | None:
        if self._limit is None or size_bytes <= self._limit:
            return None
        return f"{how} {size_bytes:,} bytes; {self._limit:,} were allowed"
