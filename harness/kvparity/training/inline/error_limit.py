"""`ErrorLimit`: how often a guest may fail."""

from __future__ import annotations


class ErrorLimit:
    """How often a guest may fail.

    Args:
        allowed: operations in which it may fail.
    """

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed

    def check(self, errors: int) -> str | None:
        """The reason to stop a guest that failed in `errors` operations; None if there is none."""
        if errors <= self._allowed:
            return None
        return f"it failed in {errors:,} operations; {self._allowed:,} were allowed"
