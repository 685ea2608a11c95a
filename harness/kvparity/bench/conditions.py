"""The conditions under which times can be compared: one thread, one core, no garbage collection, no gradients."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def pinned() -> Iterator[int | None]:
    """One torch thread and, where the system lets us, one core, which is given; all as it was before afterwards.

    Gradients are off, as in LightZero's inference, and the garbage collector only runs between repeats.
    """
    threads, collecting = torch.get_num_threads(), gc.isenabled()
    allowed, core = _pin()
    torch.set_num_threads(1)
    gc.disable()
    try:
        with torch.no_grad():
            yield core
    finally:
        torch.set_num_threads(threads)
        if collecting:
            gc.enable()
        if allowed:
            os.sched_setaffinity(0, allowed)


@contextmanager
def tidied() -> Iterator[None]:
    """Garbage is collected, and what is left is set apart: to collect what comes after it takes no time then."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def interruptions() -> int:
    """How often the system has taken the core away from this thread; always the same where it does not say."""
    if not sys.platform.startswith("linux"):
        return 0
    import resource  # noqa: PLC0415  there is none on Windows

    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


def _pin() -> tuple[set[int], int | None]:
    """Stay on the last core that we may use, since interrupts tend to go to the first; none where that is refused."""
    try:
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(allowed)})
    except (AttributeError, OSError):
        return set(), None
    return allowed, max(allowed)
