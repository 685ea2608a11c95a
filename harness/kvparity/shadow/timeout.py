"""A time-out for calls of caches: one that never comes back must not take the run with it.

A signal's handler raises in the middle of the call. Python runs handlers in the main thread only, and only between
two of its own instructions: a call that hangs inside C, or in another thread, is not ended, nor one that catches
whatever is raised in it and goes on.

Where the process belongs to the comparison, a timer sends the signal. Where kvparity is a guest, a thread of its own
does, and only to a call whose time is up: a timer would have to be set and stopped with each operation, and its
signals would come into whatever the host is doing.
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from kvparity.shadow import side as sides
from kvparity.shadow.side import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

DEFAULT_S = 60.0
_TICKS = 4  # in which a call's time is up; where a call is seen in one tick more, it took as long at least


class TookTooLongError(Exception):
    """Raised inside a call of a cache whose time is up, and by every later call of that cache."""


class Patience:
    """How long a call of a cache may take. A cache that takes longer is given up: it is not asked again.

    Where signals cannot be used, because this is not the main thread, because the program uses SIGALRM itself, or
    because the system has no timers, patience has no end.

    Args:
        seconds: that a call may take; the time-out comes within a quarter more. None for no limit.
        given_up: called with the reason where a cache is given up.
    """

    def __init__(self, seconds: float | None, *, given_up: Callable[[str], None] | None = None) -> None:
        self._seconds = seconds
        self._given_up = given_up
        self._call: FrameType | None = None
        self._ticks = 0
        self._enough = _TICKS
        self._began: float | None = None  # the visit under way, on the main thread
        self._left: threading.Event | None = None  # no visit comes any more; None before the first one
        self._main: int | None = None  # the main thread, from the first visit on

    @contextmanager
    def always(self) -> Iterator[None]:
        """Within, every call of a cache is watched: the process belongs to the comparison."""
        if self._seconds is None or not _can_be_used():
            yield
            return
        quarter = self._seconds / _TICKS
        before = signal.signal(signal.SIGALRM, self._tick)
        signal.setitimer(signal.ITIMER_REAL, quarter, quarter)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def begin(self) -> None:
        """A visit begins, in a process that belongs to somebody else."""
        if self._seconds is None or threading.get_ident() != (self._main or threading.main_thread().ident):
            return
        if self._left is None:
            if not _can_be_used() or signal.getitimer(signal.ITIMER_REAL)[0]:
                self._seconds = None
                return
            self._watch(self._seconds)
        self._began = time.monotonic()

    def end(self) -> None:
        """The visit ends."""
        self._began = None

    def leave(self) -> None:
        """No visit comes any more."""
        if self._left is not None and threading.get_ident() == threading.main_thread().ident:
            self._left.set()
            if signal.getsignal(signal.SIGALRM) == self._tick:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _watch(self, seconds: float) -> None:
        """Have a thread look now and then whether the visit under way has lasted too long."""
        left = self._left = threading.Event()
        main = self._main = threading.get_ident()
        self._call, self._ticks, self._enough = None, 0, 0
        signal.signal(signal.SIGALRM, self._tick)

        def look() -> None:
            while not left.wait(seconds / _TICKS):
                # Somebody else's handler by now: theirs it is.
                if self._is_over() and signal.getsignal(signal.SIGALRM) == self._tick:
                    signal.pthread_kill(main, signal.SIGALRM)

        threading.Thread(target=look, name="kvparity-patience", daemon=True).start()

    def _is_over(self) -> bool:
        """Whether the time of the visit under way is up."""
        began = self._began
        return began is not None and self._seconds is not None and time.monotonic() - began > self._seconds

    def _tick(self, _signal: int, frame: FrameType | None) -> None:
        """Some time has passed: in the same call as at the tick before?"""
        if self._left is not None and not self._is_over():
            return  # it ended while the signal was on its way
        call = _call_under_way(frame)
        self._ticks = self._ticks + 1 if call is self._call else 0
        self._call = call
        if call is not None and self._ticks >= self._enough:
            self._end(call.f_locals["self"])

    def _end(self, side: Side) -> NoReturn:
        self._call = None
        reason = f"it was still at work after {self._seconds:g} s, and is not asked again"
        side.cache = _GivenUp(reason)
        if self._given_up is not None:
            self._given_up(reason)
        raise TookTooLongError(reason)


class _GivenUp:
    """Stands in the place of a cache that is not asked again."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TookTooLongError(self._reason)

    set = get = checkout = clear = _refuse


def _can_be_used() -> bool:
    return (
        hasattr(signal, "setitimer")
        and hasattr(signal, "pthread_kill")
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    )


def _call_under_way(frame: FrameType | None) -> FrameType | None:
    """The frame of a `Side` that has called its cache; None where the cache is not at work."""
    interrupted = frame
    while frame is not None:
        if frame.f_code.co_filename == sides.__file__ and isinstance(frame.f_locals.get("self"), Side):
            return None if frame is interrupted else frame
        frame = frame.f_back
    return None
