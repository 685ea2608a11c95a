"""What both sides did, operation by operation, as plain records: all that the examiner ever sees of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import torch

    from kvparity.judging.outcome import Outcome
    from kvparity.judging.side_record import SeenDrop
    from kvparity.operations import PoolId


new = tuple.__new__  # makes an event in half the time of its class: one is made for each operation


class SetDone(NamedTuple):
    """Both sides were given a value to store.

    Attributes:
        fingerprint: of the value.
        device: of the value.
        reference_error: what the reference raised.
        candidate_error: what the candidate raised.
        source: the object that the candidate was to copy, looked at again after the set; None where nobody looked.
    """

    number: int
    pool: PoolId
    key: int
    priority: float | None
    fingerprint: bytes
    device: torch.device | None
    reference_error: BaseException | None
    candidate_error: BaseException | None
    source: Outcome | None


class GetDone(NamedTuple):
    """Both sides answered a get, and both answers were looked at."""

    number: int
    pool: PoolId
    key: int
    reference: Outcome
    candidate: Outcome


class CheckoutDone(NamedTuple):
    """Both sides answered a checkout, and both answers were looked at."""

    number: int
    env: int
    key: int
    reference: Outcome
    candidate: Outcome


class LookupNotCompared(NamedTuple):
    """Both sides answered a `get` or a `checkout` (the `verb`), and nobody looked at the tensors."""

    number: int
    verb: str
    pool: PoolId
    key: int
    reference: Outcome
    candidate: Outcome


class ClearDone(NamedTuple):
    """Both sides cleared `pool`, which covers `pools`."""

    number: int
    pool: PoolId
    pools: list[PoolId]
    reference_error: BaseException | None
    candidate_error: BaseException | None


class LoanEnded(NamedTuple):
    """A get of the candidate lent `lent` at operation `number`; `now` is the same object at the end of the loan."""

    number: int
    pool: PoolId
    key: int
    lent: Outcome
    now: Outcome


class WorkingCopyReturned(NamedTuple):
    """The consumer wrote `written` into a working copy of the candidate; `now` is the same object at its return."""

    number: int
    env: int
    key: int
    written: Outcome
    now: Outcome


class SourceReleased(NamedTuple):
    """The next set overwrites the object that the candidate was given to copy at operation `number`.

    Attributes:
        fingerprint: of the value at that set.
        now: the same object at the end.
    """

    number: int
    pool: PoolId
    key: int
    fingerprint: bytes
    now: Outcome


class WriteDone(NamedTuple):
    """The consumer wrote a token into one tensor of a working copy of the candidate.

    Attributes:
        where: the tensor: `layer 1, V`.
        expected: a copy that was made before the write, with the same token written into it.
        found: the working copy when it was read again.
    """

    number: int
    env: int
    key: int
    where: str
    expected: Outcome
    found: Outcome


class WriteFailed(NamedTuple):
    """The consumer could not write into a working copy of the candidate."""

    number: int
    env: int
    error: BaseException


class KeyDropped(NamedTuple):
    """A side, by its role, reported that it dropped a key by itself."""

    role: str
    seen: SeenDrop


Event: TypeAlias = (
    SetDone
    | GetDone
    | CheckoutDone
    | LookupNotCompared
    | ClearDone
    | LoanEnded
    | WorkingCopyReturned
    | SourceReleased
    | WriteDone
    | WriteFailed
    | KeyDropped
)
