"""Exceptions of a cache: which are an observation like any other, and what they say."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from kvparity.errors import NotKeysValuesError

if TYPE_CHECKING:
    from types import TracebackType


def reraise_if_interrupt(error: BaseException) -> BaseException:
    """`error`, where a cache raised it: exceptions, and the exits that it may have tried.

    Raises:
        BaseException: `error` itself, where it is a Ctrl-C, or where a signal's handler raised it, to end the run.
    """
    if isinstance(error, KeyboardInterrupt) or (
        not isinstance(error, Exception) and _is_from_signal(error.__traceback__)
    ):
        raise error
    return error


def describe_error(error: BaseException) -> str:
    """Its type and what it says, whatever its `__str__` does."""
    try:
        said = str(error)
    except BaseException as unsaid:  # noqa: BLE001  a cache's exception is the cache's own code, too
        said = f"(its message raised {type(reraise_if_interrupt(unsaid)).__name__})"
    return f"{type(error).__name__}: {said}"


def drop_traceback(error: BaseException) -> BaseException:
    """`error` without its traceback, through which it would keep whatever its callers had in their hands."""
    for name in ("__traceback__", "__context__", "__cause__"):
        BaseException.__setattr__(error, name, None)  # a class of its own may allow nobody to set anything
    return error


def _is_from_signal(traceback: TracebackType | None) -> bool:
    """Whether the function of a signal's handler is among those that the exception went through."""
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()} - {None}
    while traceback is not None:
        if traceback.tb_frame.f_code in handlers:
            return True
        traceback = traceback.tb_next
    return False


def describe_failure(error: BaseException) -> str:
    """What a side did instead of answering."""
    if isinstance(error, NotKeysValuesError):
        return f"returned no entry: {error}"
    return f"raised {describe_error(error)}"
