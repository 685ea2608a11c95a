"""What a candidate lends must not change: gets until the loan ends, working copies while the consumer owns them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kvparity.judging.events import Event, LoanEnded, WorkingCopyReturned
from kvparity.judging.outcome import Outcome
from kvparity.operations import WM, PoolId

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from kvparity.shadow.side import Side

WATCH_EVERY = 4  # checkouts, gets, sets


class LoanWatch:
    """Looks again, now and then, at what the candidate lent. It watches one get and one working copy at a time.

    Args:
        candidate: the lender.
        env_num: the consumer owns a working copy until so many more checkouts.
        report: is given what was lent and how it is when the loan ends.
    """

    def __init__(self, candidate: Side, *, env_num: int, report: Callable[[Event], None]) -> None:
        self._candidate = candidate
        self._env_num = env_num
        self._report = report
        self._working_copy: _WorkingCopy | None = None
        self._loan: _Loan | None = None

    def begin_loan(self, number: int, pool: PoolId, key: int, lent: Outcome) -> None:
        """A get of operation `number` lent this until the next set or clear of that pool."""
        if self._loan is None and lent.fingerprint is not None and pool != WM:
            self._loan = _Loan(number, pool, key, lent)

    def end_loans(self, pools: Collection[PoolId]) -> None:
        """A set or a clear of these pools is next: it ends the loans from them."""
        loan = self._loan
        if loan is None or loan.pool not in pools:
            return
        self._loan = None
        self._report(LoanEnded(*loan, now=self._candidate.look_at(loan.lent.value)))

    def begin_ownership(self, number: int, env: int, key: int, working_copy: Any, turn: int) -> None:
        """The consumer wrote into the working copy of checkout number `turn`; from now on it must not change.

        Raises:
            Exception: it is not a valid entry any more.
        """
        if self._working_copy is None:
            fingerprint, device = self._candidate.look(working_copy)
            written = Outcome(working_copy, fingerprint, None, device)
            self._working_copy = _WorkingCopy(number, env, key, written, turn + self._env_num)

    def end_ownership(self, turn: int) -> None:
        """Checkout number `turn` is next: the candidate may take a slot back with it."""
        watched = self._working_copy
        if watched is None or turn < watched.until:
            return
        self._working_copy = None
        number, env, key, written, _ = watched
        self._report(WorkingCopyReturned(number, env, key, written, self._candidate.look_at(written.value)))

    def forget_working_copy(self) -> None:
        """The caller itself used or cleared a slot in which the working copy may be."""
        self._working_copy = None


class _WorkingCopy(NamedTuple):
    """A working copy, lent at operation `number`: the consumer owns it until checkout number `until`."""

    number: int
    env: int
    key: int
    written: Outcome
    until: int


class _Loan(NamedTuple):
    """What a get of the candidate lent at operation `number`."""

    number: int
    pool: PoolId
    key: int
    lent: Outcome
