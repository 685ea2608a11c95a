"""What keeps a candidate, and the harness itself, from hurting the run that they are guests of."""

from __future__ import annotations

import random
import sys
import time
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from harness.errors import UsageError
from harness.evidence.memory import Resident
from harness.patience import DEFAULT_S, Patience

if TYPE_CHECKING:
    from collections.abc import Callable

_SAVED_S = 3600.0
_SERVING = 10  # times the share: a candidate that serves does the run's own work
_GIB = 1 << 30
# Of operations, so many from the start on, and after them one in N. Whoever does a thing in many of them is found out.
_DICE_ALWAYS, _DICE_EVERY = 64, 1024
_WEIGH_ALWAYS, _WEIGH_EVERY = 1024, 31


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
        patience_s: how long one call of it may take; None for no limit. See `harness.patience` for what that can end.
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
        if before < _DICE_ALWAYS or done - self._looked_at >= _DICE_EVERY:
            self._looked_at, dice = done, Dice()
        if before < _WEIGH_ALWAYS or done - self._weighed_at >= _WEIGH_EVERY:
            resident = self._resident()
        self.patience.begin()
        return Visit(began, operations, dice, resident)

    def finish(self, visit: Visit, *, left: int = 0) -> None:
        """The guest leaves, with so many operations left undone: open where what it took was too much."""
        self.patience.end()
        self._operations -= left
        if visit.dice is not None:
            touched = visit.dice.restore()
            if touched:
                self.stop(f"it drew random numbers from {touched}, which belongs to the run; give it its own generator")
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
    """How things were when the guest came: the time, for how many operations, the random state, the memory."""

    began: float
    operations: int
    dice: Dice | None
    resident: int | None


class Dice:
    """The random state of the run: Python's, numpy's and torch's, as it is now."""

    def __init__(self) -> None:
        self._python = random.getstate()
        self._numpy = np.random.get_state(legacy=False)  # noqa: NPY002  the run's own state is what this is about
        self._torch = torch.get_rng_state()
        self._cuda = _cuda_state()

    def restore(self) -> str:
        """Put back what was changed; whose it was, or nothing."""
        touched = []
        if random.getstate() != self._python:
            random.setstate(self._python)
            touched.append("Python's random state")
        if not _same(np.random.get_state(legacy=False), self._numpy):  # noqa: NPY002
            np.random.set_state(self._numpy)  # noqa: NPY002
            touched.append("numpy's random state")
        if not torch.equal(torch.get_rng_state(), self._torch):
            torch.set_rng_state(self._torch)
            touched.append("torch's random state")
        if not all(torch.equal(now, before) for now, before in zip(_cuda_state(), self._cuda, strict=False)):
            torch.cuda.set_rng_state_all(self._cuda)
            touched.append("the random state of CUDA")
        return " and ".join(touched)


def _same(one: Any, other: Any) -> bool:
    """Whether two states of numpy, which are dicts of dicts, numbers and arrays, are equal."""
    if isinstance(one, dict):
        return all([_same(value, other[name]) for name, value in one.items()])
    return bool(np.array_equal(one, other))


def _cuda_state() -> list[torch.Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]


def warn(message: str) -> None:
    """A warning that never becomes an exception, whatever the run's filters say."""
    try:
        warnings.warn(f"kvparity: {message}", UserWarning, stacklevel=2)
    except Exception:  # noqa: BLE001  the run's filters make it an error, or its own way to show warnings fails
        sys.stderr.write(f"kvparity: warning: {message}\n")
