"""Operations that were begun: what is known between the reference's part of one and the candidate's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kvparity.judging.outcome import Outcome
    from kvparity.operations import PoolId
    from kvparity.values.entry import KeysValues
    from kvparity.values.fingerprints import Look


class Witnessed(NamedTuple):
    """What the reference answered to a lookup, before the candidate does the same; and whether both are compared."""

    outcome: Outcome
    compared: bool


class BegunSet(NamedTuple):
    """A set that the reference may do now: the copy for the candidate has been made.

    Attributes:
        number: of the operation.
        copy: what the candidate is given, in an object that the next set overwrites.
        look: the fingerprint and the device of the value.
    """

    number: int
    pool: PoolId
    key: int
    copy: KeysValues
    look: Look


class BegunClear(NamedTuple):
    """A clear of `pool` that the reference may do now; it covers `pools`."""

    number: int
    pool: PoolId
    pools: list[PoolId]
