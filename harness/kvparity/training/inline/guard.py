"""What keeps a candidate, and the harness itself, from hurting the run that they are guests of."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from kvparity.errors import UsageError, warn
from kvparity.evidence.memory import Resident
from kvparity.shadow.timeout import DEFAULT_S, Patience
from kvparity.training.inline.host_state import Dice, modes, others_run, put_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kvparity.training.inline.host_state import Modes

_SAVED_S = 3600.0
_SERVING = 10  # times the share: a candidate that serves does the run's own work
_GIB = 1 << 30
# Of operations, so many from the start on, and after them one in N. Whoever does a thing in many of them is found out.
_DICE_ALWAYS, _DICE_EVERY = 64, 1024
_WEIGH_ALWAYS, _WEIGH_EVERY = 1024, 31
_DRAWN = 3  # looks in a row, where it might have been another thread
_QUIET_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a candidate may cost before it is taken out.

    Attributes:
        errors: operations in which it raised, or returned what is no entry, where the reference did not.
        share: of wall time that shadowing may take; None for no limit. What is not spent is saved up, of one hour at
            most, so that bursts and pauses even out.
        warm_up_s: wall time whose share may be spent in advance.
        size_bytes: what it may hold, by its own word and by how the process grew while it was called; None for no
            limit.
        patience_s: how long one call of it may take; None for no limit. See `kvparity.shadow.timeout` for what that can
            end.
    """

    errors: int = 100
    share: float | None = 0.05
    warm_up_s: float = 60.0
    size_bytes: int | None = 4 * _GIB
    patience_s: float | None = DEFAULT_S

    def __post_init__(self) -> None:
        if self.share is not None and not 0 < self.share <= 1:
            raise UsageError(f"the share of wall time must lie in (0, 1], got {self.share!r}: 0.05 is five percent")

    def where_it_serves(self) -> Limits:
        """Those of a candidate whose answers the model gets: ten times the share, as its work is the run's own.

        To take it out changes what the model is fed, so that only one which holds the run up is worth that. What it may
        spend in advance stays as it is.
        """
        if self.share is None:
            return self
        share = min(_SERVING * self.share, 1.0)
        return replace(self, share=share, warm_up_s=self.warm_up_s * self.share / share)


class Guard:
    """A circuit breaker around what a guest does: once open it stays so, and the run goes on alone.

    Args:
        limits: when to open.
        clock: seconds of wall time.
        resident: bytes of the process; None where nobody can tell.

    Attributes:
        stopped: why it is open; None while it is closed.
        stopped_after_s: the wall time until it opened; `stopped_after_operations` how many the guest had done or tried.
        spent_s: wall time that the guest took.
        patience: with its calls.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.perf_counter,
        resident: Callable[[], int | None] | None = None,
    ) -> None:
        self.stopped: str | None = None
        self.stopped_after_s: float | None = None
        self.stopped_after_operations: int | None = None
        self.spent_s = 0.0
        self.patience = Patience(limits.patience_s, given_up=self.stop)
        self._grown = 0
        self._first_resident: int | None = None
        self._limits = limits
        self._clock = clock
        self._resident = resident or Resident()
        self._began = self._credited = clock()
        self._ended: float | None = None
        self._credit = limits.warm_up_s * (limits.share or 0.0)
        self._operations = self._weighed_at = self._looked_at = 0
        self._drawn = 0  # looks in a row at which numbers had been drawn
        self._dice_are_shared = False

    @property
    def is_short(self) -> bool:
        """Whether more than half of what may be spent in advance is spent: time to pause."""
        share = self._limits.share
        if share is None:
            return False
        return self._credit + share * (self._clock() - self._credited) < share * self._limits.warm_up_s / 2

    @property
    def wall_s(self) -> float:
        """Wall time from the beginning to the end, or until now."""
        return (self._clock() if self._ended is None else self._ended) - self._began

    def now(self) -> float:
        """By its clock."""
        return self._clock()

    def end(self) -> None:
        """Wall time counts no further."""
        self.patience.leave()
        if self._ended is None:
            self._ended = self._clock()

    def stop(self, reason: str) -> None:
        """Open, and say so, once."""
        if self.stopped is None:
            self.stopped = reason
            self.stopped_after_s, self.stopped_after_operations = self.wall_s, self._operations
            warn(f"the candidate was taken out, and the run goes on without it: {reason}")

    def begin(self, operations: int = 1) -> Visit:
        """The guest comes, for so many operations."""
        began, before = self._clock(), self._operations
        self._operations = done = before + operations
        dice = resident = None
        if (before < _DICE_ALWAYS or done - self._looked_at >= _DICE_EVERY) and not self._dice_are_shared:
            self._looked_at, dice = done, Dice()
        if before < _WEIGH_ALWAYS or done - self._weighed_at >= _WEIGH_EVERY:
            resident = self._resident()
        self.patience.begin()
        return Visit(began, operations, dice, resident, modes(), os.getpid())

    def finish(self, visit: Visit, *, left: int = 0) -> None:
        """The guest leaves, with so many operations left undone: open where what it took was too much."""
        self.patience.end()
        if os.getpid() != visit.process:
            os._exit(1)  # the guest forked: nobody waits for a second run
        self._operations -= left
        if modes() != visit.modes:
            put_back(visit.modes)
            self.stop("it changed torch's grad mode, default dtype or number of threads, which belong to the run")
        if visit.dice is not None:
            self._look_at(visit.dice)
        if visit.resident is not None:
            self._weigh(visit.resident, (self._operations - self._weighed_at) / (visit.operations - left))
            self._weighed_at = self._operations
        now = self._clock()
        share = self._limits.share
        if share is not None:
            self._credit = min(self._credit + share * (now - self._credited), share * _SAVED_S)
            self._credited = now
        self.spend(now - visit.began)
        if share is not None and self._credit < 0:
            self.stop(f"shadowing took {self.spent_s:.1f} s of {self.wall_s:.1f} s; {share:.0%} were allowed")

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Within, the guest does what is no operation: it is built, or asked what it counted. It leaves no trace."""
        dice, before = Dice(), modes()
        self.patience.begin()
        try:
            yield
        finally:
            self.patience.end()
            put_back(before)
            if dice.touched() and not self._others_draw():
                dice.restore()

    def spend(self, seconds: float) -> None:
        """Account for time that shadowing took."""
        self.spent_s += seconds
        self._credit -= seconds

    def failed(self, errors: int) -> None:
        """The guest has failed so often: open where that is too often."""
        if errors > self._limits.errors:
            self.stop(f"it failed in {errors:,} operations; {self._limits.errors:,} were allowed")

    def holds(self, size_bytes: int) -> None:
        """The guest says that it holds so much: open where that is too much."""
        self._weighed("it holds", size_bytes)

    def _look_at(self, before: Dice) -> None:
        """Whether the guest drew numbers of the run's: put back what it drew, and open.

        Where another thread might have drawn them, it takes several looks in a row.
        """
        touched = before.touched()
        if not touched:
            self._drawn = 0
        elif not self._others_draw():
            before.restore()
            self._drawn += 1
            if self._drawn >= _DRAWN or not others_run():
                self.stop(f"it drew random numbers from {touched}, which belongs to the run; give it its own generator")

    def _others_draw(self) -> bool:
        """Whether numbers are drawn while the guest does nothing: who drew which nobody can tell, then and later."""
        if others_run() and not self._dice_are_shared:
            quiet = Dice()
            time.sleep(_QUIET_S)
            self._dice_are_shared = bool(quiet.touched())
        return self._dice_are_shared

    def _weigh(self, before: int, stands_for: float) -> None:
        """How the process grew in visits of which this is one; what the run has freed since is not held any more."""
        now = self._resident() or before
        if self._first_resident is None:
            self._first_resident = before
        self._grown += round((now - before) * stands_for)
        self._weighed("the process grew by", min(self._grown, now - self._first_resident))

    def _weighed(self, how: str, size_bytes: int) -> None:
        limit = self._limits.size_bytes
        if limit is not None and size_bytes > limit:
            self.stop(f"{how} {size_bytes:,} bytes; {limit:,} were allowed")


class Visit(NamedTuple):
    """How things were when the guest came: the time, for how many operations, the random state, the memory, ..."""

    began: float
    operations: int
    dice: Dice | None
    resident: int | None
    modes: Modes
    process: int
