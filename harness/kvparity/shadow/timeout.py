"""A time-out for calls of caches: a call that never returns must not stop the whole run.

A signal's handler raises in the middle of the call. Python runs handlers in the main thread only, and only between two
of its own instructions. So these calls are not ended: one that hangs inside C, one in another thread, and one that
catches whatever is raised in it and goes on.

Where the process belongs to the comparison, a timer sends the signal. In a training, where kvparity is a guest, a
thread sends it, and only when a call has taken too long: a timer would have to be set and stopped for each operation,
and its signals would interrupt the training.
"""

from __future__ import annotations

import signal
import threading
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

DEFAULT_S = 60.0
_TICKS = 4  # the time of a call is up when it is seen at this many ticks in a row after the first


class TookTooLongError(Exception):
    """Raised inside a call of a cache that took too long, and by every later call of that cache."""


class Caller(Protocol):
    """Calls a cache, and says while it does.

    Attributes:
        cache: what it calls.
        calling: the thread in which a call is under way; 0 where none is. Set anew for each call.
    """

    cache: Any
    calling: int


_CALLERS: set[weakref.ref[Caller]] = set()
_MARK = -1  # in the place of a thread: a call of the main thread that a tick has met


def announce(caller: Caller) -> None:
    """From now on the calls of `caller` can be ended."""
    _CALLERS.add(weakref.ref(caller, _CALLERS.discard))


class Patience:
    """How long a call of a cache may take. A cache that takes longer is given up: it is not called again.

    There is no time-out where signals cannot be used: outside the main thread, in a program that uses SIGALRM itself,
    and on systems that have no timers.

    Args:
        seconds: the time that a call may take; it is ended within a quarter more. None for no limit.
        given_up: called with the reason when a cache is given up.
    """

    def __init__(self, seconds: float | None, *, given_up: Callable[[str], None] | None = None) -> None:
        self._seconds = seconds
        self._given_up = given_up
        self._ticks = 0
        self._enough = _TICKS
        self._began: float | None = None  # the visit under way, on the main thread
        self._left: threading.Event | None = None  # set when no more visits come; None before the first one
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
        """No more visits come."""
        if self._left is not None and threading.get_ident() == threading.main_thread().ident:
            self._left.set()
            if signal.getsignal(signal.SIGALRM) == self._tick:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _watch(self, seconds: float) -> None:
        """Start a thread that checks now and then whether the visit under way has lasted too long."""
        left = self._left = threading.Event()
        main = self._main = threading.get_ident()
        self._ticks, self._enough = 0, 0
        signal.signal(signal.SIGALRM, self._tick)

        def look() -> None:
            while not left.wait(seconds / _TICKS):
                # The program may have set a handler of its own by now: then the signal is not ours.
                if self._is_over() and signal.getsignal(signal.SIGALRM) == self._tick:
                    signal.pthread_kill(main, signal.SIGALRM)

        threading.Thread(target=look, name="kvparity-patience", daemon=True).start()

    def _is_over(self) -> bool:
        """Whether the visit under way has lasted too long."""
        began = self._began
        return began is not None and self._seconds is not None and time.monotonic() - began > self._seconds

    def _tick(self, _signal: int, _frame: FrameType | None) -> None:
        """Some time has passed: is the call still the one of the tick before?"""
        if self._left is not None and not self._is_over():
            return  # it ended while the signal was on its way
        caller = _calling_here()
        if caller is None:
            self._ticks = 0
            return
        # A call notes the thread that it runs in. The mark in its place stays there until the next call begins.
        self._ticks = self._ticks + 1 if caller.calling == _MARK else 0
        caller.calling = _MARK
        if self._ticks >= self._enough:
            self._end(caller)

    def _end(self, caller: Caller) -> NoReturn:
        self._ticks = 0
        reason = f"it was still at work after {self._seconds:g} s, and is not asked again"
        caller.cache = _GivenUp(reason)
        if self._given_up is not None:
            self._given_up(reason)
        raise TookTooLongError(reason)


class _GivenUp:
    """Stands in the place of a cache that is not called again."""

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


def _calling_here() -> Caller | None:
    """Who has a call under way in this thread; None where nobody has."""
    here = threading.get_ident()
    for each in list(_CALLERS):  # in one step: another thread may announce a caller meanwhile
        caller = each()
        if caller is not None and caller.calling in (here, _MARK):
            return caller
    return None
