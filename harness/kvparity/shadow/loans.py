"""What a candidate lends must stay as it was lent, and what is a consumer's own must stay so: both are watched here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kvparity.operations import WM, PoolId
from kvparity.shadow.side import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection

    from kvparity.judging.examiner import Examiner
    from kvparity.shadow.side import Side

WATCH_EVERY = 4  # checkouts, gets, sets


class LendingWatch:
    """Looks again, now and then, at what the candidate lent.

    Args:
        candidate: who lends.
        env_num: for how many further checkouts a working copy is its consumer's.
        told: finds out what changed, or tells who does.
    """

    def __init__(self, candidate: Side, *, env_num: int, told: Examiner) -> None:
        self._candidate = candidate
        self._env_num = env_num
        self.told = told
        self._working_copy: _WorkingCopy | None = None
        self._loan: _Loan | None = None

    def lent(self, number: int, pool: PoolId, key: int, answer: Outcome) -> None:
        """What a get of operation `number` lent is good until the next set or clear of that pool."""
        if self._loan is None and answer.fingerprint is not None and pool != WM:
            self._loan = _Loan(number, pool, key, answer)

    def loan_ends(self, pools: Collection[PoolId]) -> None:
        """A set or a clear of these pools comes now: what was lent from them was good until here."""
        loan = self._loan
        if loan is None or loan.pool not in pools:
            return
        self._loan = None
        now = self._candidate.look_at(loan.answer.value)
        self.told.loan(*loan, now)

    def wrote_into(self, number: int, env: int, key: int, working_copy: Any, turn: int) -> None:
        """The consumer wrote into the working copy that the checkout of that count lent: it must stay as it is now.

        Raises:
            Exception: it is no entry any more.
        """
        if self._working_copy is None:
            fingerprint, device = self._candidate.look(working_copy)
            written = Outcome(working_copy, fingerprint, None, device)
            self._working_copy = _WorkingCopy(number, env, key, written, turn + self._env_num)

    def checkout_comes(self, turn: int) -> None:
        """The candidate may have a slot back with the checkout that comes now; until here it was the consumer's."""
        watched = self._working_copy
        if watched is None or turn < watched.until:
            return
        self._working_copy = None
        now = self._candidate.look_at(watched.written.value)
        self.told.working_copy(watched.number, watched.env, watched.key, watched.written, now)

    def forget_working_copy(self) -> None:
        """The caller itself took, or cleared, a slot that the working copy may be in."""
        self._working_copy = None


class _WorkingCopy(NamedTuple):
    """A working copy of the candidate: lent at operation `number`, the consumer's until the checkout of that count."""

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
    answer: Outcome
