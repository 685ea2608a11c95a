"""SIGTERM, which schedulers send to end a program: what was found so far is still reported."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@contextmanager
def termination_interrupts() -> Iterator[None]:
    """Within, SIGTERM interrupts the work as Ctrl-C does. A second one is ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    own = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, own)


@contextmanager
def termination_deferred() -> Iterator[None]:
    """Within, SIGTERM is ignored: what is done here takes seconds only."""
    own = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, own)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
