"""The conditions in which times can be compared: one thread, one core, no garbage collection, no gradients."""

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
    """Use one torch thread and one core, and restore all of it afterwards.

    Gradients are off, as in LightZero's inference. The garbage collector runs between repeats only.

    Yields:
        The core, or None if the system does not allow to choose one.
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
    """Collect garbage, then freeze what is left, so that later collections do not look at it again."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def interruptions() -> int:
    """How often the system has taken the core away from this thread; always 0 if the system does not count that."""
    if not sys.platform.startswith("linux"):
        return 0
    import resource  # noqa: PLC0415  Windows has no such module

    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


def _pin() -> tuple[set[int], int | None]:
    """Stay on the last core that this process may use, because interrupts tend to go to the first.

    Returns:
        The cores that were allowed before, and the chosen one; an empty set and None if that is not possible.
    """
    try:
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(allowed)})
    except (AttributeError, OSError):
        return set(), None
    return allowed, max(allowed)
