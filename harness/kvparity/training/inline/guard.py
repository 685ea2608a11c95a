"""`Guard`: keeps a candidate, and kvparity itself, from hurting the run in whose process they are guests."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kvparity.errors import warn
from kvparity.evidence.memory import Resident
from kvparity.shadow.timeout import Patience
from kvparity.training.inline.error_limit import ErrorLimit
from kvparity.training.inline.host_state import RandomStates, TorchModes, exit_if_forked
from kvparity.training.inline.memory_limit import MemoryLimit
from kvparity.training.inline.random_watch import RandomWatch
from kvparity.training.inline.time_budget import TimeBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kvparity.training.limits import Limits


class Guard:
    """A circuit breaker around a guest: once open it stays open, and the run goes on without the guest.

    Each limit has a class of its own, which returns the reason where its limit is passed. The first reason opens.

    Args:
        limits: when to open.
        clock: seconds of wall time.
        resident: reads the bytes that the process holds; None where the system does not tell.

    Attributes:
        stopped: why it is open; None while it is closed.
        stopped_after_s: seconds of wall time until it opened.
        stopped_after_operations: operations that the guest had done or tried by then.
        time: the wall time that the guest takes.
        patience: how long one call of the guest may take.
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
        self.patience = Patience(limits.patience_s, given_up=self.stop)
        self.time = TimeBudget(share=limits.share, warm_up_s=limits.warm_up_s, clock=clock)
        self._errors = ErrorLimit(limits.errors)
        self._memory = MemoryLimit(limits.size_bytes, resident=resident or Resident())
        self._random = RandomWatch()
        self._operations = 0

    def begin(self, operations: int = 1) -> Visit:
        """The guest comes for `operations` operations."""
        began, before = self.time.now(), self._operations
        after = self._operations = before + operations
        random_states = self._random.begin(before, after)
        resident = self._memory.begin(before, after)
        self.patience.begin()
        return Visit(began, operations, random_states, resident)

    def finish(self, visit: Visit, *, left: int = 0) -> None:
        """The guest leaves, with `left` operations undone: open if it took too much."""
        self.patience.end()
        exit_if_forked(visit.process)
        self._operations -= left
        if visit.modes.changed():
            visit.modes.restore()
            self.stop("it changed torch's grad mode, default dtype or number of threads, which belong to the run")
        if visit.random_states is not None:
            self._stop_if(self._random.finish(visit.random_states))
        if visit.resident is not None:
            operations = visit.operations - left
            self._stop_if(self._memory.finish(visit.resident, done=self._operations, operations=operations))
        self._stop_if(self.time.spend_since(visit.began))

    @contextmanager
    def leaving_no_trace(self) -> Iterator[None]:
        """Within, the guest does something that is no operation: it is built, or asked for its statistics.

        What it changes of the run's random states and of torch's modes is put back.
        """
        states, modes = RandomStates(), TorchModes()
        self.patience.begin()
        try:
            yield
        finally:
            self.patience.end()
            modes.restore()
            self._random.restore(states)

    def check_errors(self, errors: int) -> None:
        """Open if the guest has failed in too many operations."""
        self._stop_if(self._errors.check(errors))

    def check_held(self, size_bytes: int) -> None:
        """Open if the guest's statistics say that it holds too much."""
        self._stop_if(self._memory.check_held(size_bytes))

    def stop(self, reason: str) -> None:
        """Open, with one warning. Does nothing if it is open already."""
        if self.stopped is None:
            self.stopped = reason
            self.stopped_after_s, self.stopped_after_operations = self.time.wall_s, self._operations
            warn(f"the candidate was taken out, and the run goes on without it: {reason}")

    def end(self) -> None:
        """The training is over: count no more wall time, and watch no more calls."""
        self.patience.leave()
        self.time.end()

    def _stop_if(self, reason: str | None) -> None:
        if reason is not None:
            self.stop(reason)


class Visit:
    """How things were when the guest came.

    Attributes:
        began: the time by the guard's clock, in seconds.
        operations: for how many operations it came.
        random_states: the run's random states; None if this visit is not watched.
        resident: bytes that the process held; None if this visit is not measured.
        modes: torch's modes.
        process: the number of the process.
    """

    __slots__ = ("began", "modes", "operations", "process", "random_states", "resident")

    def __init__(self, began: float, operations: int, random_states: RandomStates | None, resident: int | None) -> None:
        self.began = began
        self.operations = operations
        self.random_states = random_states
        self.resident = resident
        self.modes = TorchModes()
        self.process = os.getpid()
