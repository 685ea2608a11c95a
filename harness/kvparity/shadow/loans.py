"""What a candidate lends must not change: gets until the loan ends, working copies while the consumer owns them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kvparity.judging.events import Event, LoanEnded, WorkingCopyReturned, WriteDone
from kvparity.operations import WM, PoolId
from kvparity.values.difference import tensor_name
from kvparity.values.entry import KeysValues, read, write_token

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from kvparity.judging.outcome import Outcome
    from kvparity.shadow.side import Side

WATCH_EVERY = 4  # checkouts, gets, sets
_READ_BACK_ALWAYS, _READ_BACK_EVERY = 16, 64
_FILLS = 113


def reads_back(turn: int) -> bool:
    """Whether a watched set or checkout, which is number `turn`, is read back, too: that takes as long as ten others.

    A cache that loses writes loses them from the start on, so the first ones are, and then few.
    """
    return turn < _READ_BACK_ALWAYS or turn % _READ_BACK_EVERY == 0


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

    def write(self, number: int, env: int, key: int, working_copy: Any, turn: int) -> None:
        """Write a token into the working copy of checkout number `turn`, as its consumer does, and read it again.

        From now on it must not change until the consumer's ownership ends.

        Raises:
            Exception: it is not a valid entry, or cannot be written into.
        """
        tensors, sizes = read(working_copy)
        index, fill = turn // WATCH_EVERY % len(tensors), turn % _FILLS + 1
        model = KeysValues([tensor.detach().clone() for tensor in tensors], sizes)
        for entry in (model, working_copy):
            layer = entry._keys_values[index // 2]
            write_token(layer._v_cache if index % 2 else layer._k_cache, fill)
        expected, found = self._candidate.look_at(model), self._candidate.look_at(working_copy)
        self._report(WriteDone(number, env, key, tensor_name(index), expected, found))
        self._own(number, env, key, found, turn)

    def begin_ownership(self, number: int, env: int, key: int, working_copy: Any, turn: int) -> None:
        """The consumer wrote into the working copy of checkout number `turn`; from now on it must not change."""
        if self._working_copy is None:
            self._own(number, env, key, self._candidate.look_at(working_copy), turn)

    def end_ownership(self, turn: int) -> None:
        """Checkout number `turn` is next: the candidate may take a slot back with it."""
        watched = self._working_copy
        if watched is None or turn < watched.until:
            return
        self._working_copy = None
        number, env, key, written, _ = watched
        self._report(WorkingCopyReturned(number, env, key, written, self._candidate.look_at(written.value)))

    def _own(self, number: int, env: int, key: int, written: Outcome, turn: int) -> None:
        if self._working_copy is None:
            self._working_copy = _WorkingCopy(number, env, key, written, turn + self._env_num)

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
