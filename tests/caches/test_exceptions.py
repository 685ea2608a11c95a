"""What a call of code under test comes to: a value, or what it raised; only an interrupt ends the run."""

from __future__ import annotations

import signal
import sys
import threading
from typing import NoReturn

import pytest

from kvparity.caches.exceptions import Raised, attempt, describe_error, drop_traceback
from kvparity.errors import NotKeysValuesError


class UnprintableError(Exception):
    """Has a message that cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError("no message")


def fail(error: BaseException) -> NoReturn:
    """Raise `error`."""
    raise error


def test_a_call_that_returns_gives_what_it_returned() -> None:
    """Even if that is an exception."""
    assert attempt(divmod, 7, 2) == (3, 1)
    assert isinstance(attempt(KeyError, 1), KeyError)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyError(1), "raised KeyError: 1"),
        (SystemExit(7), "raised SystemExit: 7"),
        (
            NotKeysValuesError("str is not a key/value cache entry"),
            "returned no entry: str is not a key/value cache entry",
        ),
        (UnprintableError(), "raised UnprintableError: (its message raised RuntimeError)"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_call_that_raises_gives_what_it_raised(error: BaseException, text: str) -> None:
    """The outcome reads as the end of a sentence."""
    outcome = attempt(fail, error)
    assert isinstance(outcome, Raised)
    assert outcome.error is error
    assert str(outcome) == text


def test_a_keyboard_interrupt_is_the_users() -> None:
    """It ends the run, whatever was called when it came."""
    with pytest.raises(KeyboardInterrupt):
        attempt(fail, KeyboardInterrupt())


def test_what_the_handler_of_a_signal_raises_is_no_outcome() -> None:
    """A scheduler ends a run with a signal, and the handler may do so with `sys.exit`."""

    def leave(*_: object) -> NoReturn:
        sys.exit(3)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        with pytest.raises(SystemExit):
            attempt(signal.raise_signal, signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_another_thread_every_exception_is_an_outcome() -> None:
    """Ctrl-C and signals come to the main thread only, so the code that was called raised it by itself."""
    outcomes: list[object] = []
    thread = threading.Thread(target=lambda: outcomes.append(attempt(fail, KeyboardInterrupt())))
    thread.start()
    thread.join()
    assert [str(each) for each in outcomes] == ["raised KeyboardInterrupt: "]


def test_a_dropped_traceback_keeps_nothing_alive() -> None:
    """Whatever the class of the error allows."""

    class SealedError(Exception):
        def __setattr__(self, name: str, value: object) -> NoReturn:
            raise AttributeError(name)

    outcome = attempt(fail, SealedError())
    assert isinstance(outcome, Raised)
    error = drop_traceback(outcome.error)
    assert (error.__traceback__, error.__context__, error.__cause__) == (None, None, None)
    assert describe_error(error) == "SealedError: "
