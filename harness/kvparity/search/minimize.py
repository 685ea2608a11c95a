"""`Minimizer`: makes a failing stream of operations small by delta debugging that keeps the *same* divergence.

The same divergence has the same kind, the same wrong side and the same reason (the explanation without its numbers).
`kvparity.search.passes` has the ways to make a case smaller.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kvparity.errors import UsageError
from kvparity.search.case import Case, Signature, first_divergence, first_shown
from kvparity.search.passes import FIRST, LAST, REPEATED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kvparity.driving.comparison import Comparison
    from kvparity.operations import Operation
    from kvparity.results.divergence import Divergence


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimal:
    """The smallest case that was found.

    Attributes:
        case: the case.
        divergence: what it shows.
        plain_values: whether its values are the small ones of `plain`.
        tries: how many cases were tried.
        needed: index of the last operation without which the divergence is gone; None if the search did not get there.
        interrupted: whether the search was stopped, or ran out of time, before it was done.
    """

    case: Case
    divergence: Divergence
    plain_values: bool
    tries: int
    needed: int | None
    interrupted: bool


class FlakyError(UsageError):
    """The same operations do not show the same divergence twice; the message ends with what to look for."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}. Only a cache that does the same in every run can be minimized: look for what depends on time,"
            " random numbers or addresses"
        )


class OutOfTimeError(Exception):
    """The time for a search ran out before it was done."""


class Deadline:
    """The end of the time that a search may take.

    Args:
        seconds: from now on; None for no end.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._at = None if seconds is None else time.monotonic() + seconds

    def before_each(self, operations: Iterable[Operation]) -> Iterator[Operation]:
        """The same operations while there is time.

        Raises:
            OutOfTimeError: the time ran out.
        """
        for operation in operations:
            if self._at is not None and time.monotonic() > self._at:
                raise OutOfTimeError
            yield operation


class Minimizer:
    """Makes a case smaller while its divergence stays the same. Deterministic.

    Args:
        comparison: the two caches.
        case: operations that show the divergence.
        signature: the divergence to keep.
        progress: called now and then with the current number of operations and of tries.
        deadline: when to stop.

    Attributes:
        best: the smallest case so far.
    """

    def __init__(
        self,
        comparison: Comparison,
        case: Case,
        signature: Signature,
        *,
        progress: Callable[[int, int], None] = lambda _operations, _tries: None,
        deadline: Deadline | None = None,
    ) -> None:
        self.best = case
        self._comparison = comparison
        self._signature = signature
        self._progress = progress
        self._deadline = deadline or Deadline()
        self._tries = 0
        self._plain = False
        self._needed: int | None = None

    def run(self) -> Minimal:
        """Search until nothing gets smaller. An interrupt or the deadline ends the search with the best case so far.

        Raises:
            FlakyError: the case does not show the divergence, or the best case does not show it a second time.
        """
        interrupted = False
        try:
            if not self.consider(self.best):
                raise self._flaky("the case does not show the divergence for which it should be minimized")
            self._search()
        except (KeyboardInterrupt, OutOfTimeError):
            interrupted = True
        found = first_divergence(self._comparison, self.best.spec, self.best.operations, self._signature)
        if found is None:
            raise self._flaky(f"{len(self.best)} operations showed it once, and not a second time")
        return Minimal(
            case=self.best,
            divergence=found,
            plain_values=self._plain,
            tries=self._tries,
            needed=self._needed,
            interrupted=interrupted,
        )

    def consider(self, case: Case) -> bool:
        """Make `case` the best one if it shows the divergence; whether it does."""
        self._tries += 1
        self._progress(len(self.best), self._tries)
        operations = self._deadline.before_each(case.operations)
        found = first_shown(self._comparison, case.spec, operations, self._signature)
        if found is None:
            return False
        # The operations after the divergence are not needed.
        self.best = case if found.after == len(case) else replace(case, operations=case.operations[: found.after])
        return True

    # ------------------------------------------------------------------ inside

    def _search(self) -> None:
        self._plain = self.consider(self.best.with_plain_values())
        for run_pass in FIRST:
            run_pass(self)
        before = None
        while before is not self.best:
            before = self.best
            for run_pass in REPEATED:
                run_pass(self)
        for run_pass in LAST:
            run_pass(self)
        self._needed = max(len(self.best) - 2, 0)
        if self._plain:  # values were dropped: number the others anew
            self.consider(self.best.with_plain_values())

    def _flaky(self, what: str) -> FlakyError:
        shown = f"{self._signature.kind}, wrong: {self._signature.wrong}"
        return FlakyError(f"{shown}: {what}")
