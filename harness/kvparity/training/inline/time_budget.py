"""`TimeBudget`: how much wall time a guest may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SAVED_S = 3600.0


class TimeBudget:
    """A share of wall time, which is saved while the guest takes less, and runs out when it takes more.

    At most the share of one hour is saved.

    Args:
        share: of wall time, in (0, 1]; None for no limit.
        warm_up_s: seconds of wall time whose share may be spent in advance.
        clock: seconds of wall time.

    Attributes:
        now: the clock.
        spent_s: seconds that the guest took.
    """

    def __init__(self, *, share: float | None, warm_up_s: float, clock: Callable[[], float]) -> None:
        self.now = clock
        self.spent_s = 0.0
        self._share = share
        self._advance_s = warm_up_s * (share or 0.0)
        self._left_s = self._advance_s
        self._began = self._credited = clock()
        self._ended: float | None = None

    @property
    def is_short(self) -> bool:
        """Whether less is left than half of what may be spent in advance: time to pause."""
        share = self._share
        if share is None:
            return False
        return self._left_s + share * (self.now() - self._credited) < self._advance_s / 2

    @property
    def wall_s(self) -> float:
        """Seconds from the beginning to the end, or until now."""
        return (self.now() if self._ended is None else self._ended) - self._began

    def end(self) -> None:
        """Count no more wall time."""
        if self._ended is None:
            self._ended = self.now()

    def spend(self, seconds: float) -> None:
        """Take `seconds` off the budget."""
        self.spent_s += seconds
        self._left_s -= seconds

    def spend_since(self, began: float) -> str | None:
        """Take the time since `began` off the budget; the reason to stop the guest if nothing is left."""
        now, share = self.now(), self._share
        if share is None:
            self.spend(now - began)
            return None
        self._left_s = min(self._left_s + share * (now - self._credited), share * _SAVED_S)
        self._credited = now
        self.spend(now - began)
        if self._left_s >= 0:
            return None
        return f"shadowing took {self.spent_s:.1f} s of {self.wall_s:.1f} s; {share:.0%} were allowed"
