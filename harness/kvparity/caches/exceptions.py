"""Calls of code under test: what such a call raises is an observation like what it returns.

A cache may raise anything, and may even try to end the program. `attempt` catches all of it, except what comes from
outside: a Ctrl-C, or an exception that the handler of a signal raises.
"""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from kvparity.errors import NotKeysValuesError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Raised:
    """The outcome of a call that did not return."""

    error: BaseException

    def __str__(self) -> str:
        return describe_failure(self.error)


def attempt(function: Callable[..., _T], *arguments: Any) -> _T | Raised:
    """What `function` returns for these arguments, or a `Raised` with what it raised.

    It takes no keywords, which would double its own time of 0.1 us. The error keeps its traceback, and so everything
    that its frames refer to: `drop_traceback` frees that.

    Raises:
        BaseException: the call was interrupted, see `reraise_if_interrupt`.
    """
    try:
        return function(*arguments)
    except BaseException as error:  # noqa: BLE001  observing whatever a cache does is the point
        return Raised(reraise_if_interrupt(error))


def reraise_if_interrupt(error: BaseException) -> BaseException:
    """`error`, unless it came from outside of the code that was called.

    Raises:
        BaseException: `error` itself, if it is a Ctrl-C, or if the handler of a signal raised it to end the run. Both
            come to the main thread only.
    """
    if isinstance(error, Exception) or threading.current_thread() is not threading.main_thread():
        return error
    if isinstance(error, KeyboardInterrupt) or _is_from_signal(error.__traceback__):
        raise error
    return error


def describe_error(error: BaseException) -> str:
    """The type and the message of `error`, whatever its `__str__` does."""
    message = attempt(str, error)  # an exception of a cache is code of the cache, too
    if isinstance(message, Raised):
        message = f"(its message raised {type(message.error).__name__})"
    return f"{type(error).__name__}: {message}"


def describe_failure(error: BaseException) -> str:
    """What a side did instead of answering, for a sentence that begins with its name."""
    if isinstance(error, NotKeysValuesError):
        return f"returned no entry: {error}"
    return f"raised {describe_error(error)}"


def drop_traceback(error: BaseException) -> BaseException:
    """`error` without its traceback, whose frames keep alive everything that they refer to."""
    for name in ("__traceback__", "__context__", "__cause__"):
        BaseException.__setattr__(error, name, None)  # its class may forbid to set attributes
    return error


def _is_from_signal(traceback: TracebackType | None) -> bool:
    """Whether the handler of a signal is among the functions that the exception went through."""
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()} - {None}
    while traceback is not None:
        if traceback.tb_frame.f_code in handlers:
            return True
        traceback = traceback.tb_next
    return False
