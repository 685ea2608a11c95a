"""Fingerprints of entries on a GPU: they stay there, and are read in batches, one transfer for hundreds of lookups.

To read one fingerprint, the CPU would have to wait until the GPU has done all that it was asked for before; done at
every lookup, that would be most of a search. So what was done and seen is written into a docket, with `Pending` in the
place of fingerprints, and examined in its order when a batch has been read.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from kvparity.shadow.side import Outcome
from kvparity.values.device_fingerprints import BATCH, DeviceFingerprints, Pending

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.judging.examiner import Examiner

_MOST_ENTRIES = 4 * BATCH


class Docket:
    """What was done and seen, in its order, until the fingerprints in it are read and it can be examined.

    Args:
        fingerprints: takes them.
    """

    def __init__(self, fingerprints: DeviceFingerprints) -> None:
        self._fingerprints = fingerprints
        self._entries: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def enter(self, examine: Callable[..., None], *facts: Any) -> None:
        """Have `examine` called with these facts, in turn. At once, where nothing is pending."""
        self._entries.append((examine, tuple([_without_memory(fact) for fact in facts])))
        pending = len(self._fingerprints.pending)
        if not pending or pending >= self._fingerprints.batch or len(self._entries) >= _MOST_ENTRIES:
            self.settle()

    def settle(self) -> None:
        """Read what is pending, and have everything examined that was entered."""
        entries, self._entries = self._entries, []
        self._fingerprints.read()
        for examine, facts in entries:
            examine(*[_settled(fact) for fact in facts])


class Later:
    """The face of an examiner: whatever it is told is entered in a docket.

    Args:
        docket: has it examined in its turn.
        examiner: examines it.
    """

    def __init__(self, docket: Docket, examiner: Examiner) -> None:
        self._docket = docket
        self._examiner = examiner

    def __getattr__(self, name: str) -> Callable[..., None]:
        return partial(self._docket.enter, getattr(self._examiner, name))


def _without_memory(fact: Any) -> Any:
    """An outcome that does not hold on to an entry: it would keep the memory of hundreds."""
    if type(fact) is not Outcome or fact.value is None:
        return fact
    return fact._replace(value=True if fact.fingerprint is None else fact.fingerprint)


def _settled(fact: Any) -> Any:
    """The fact with the fingerprint in its place."""
    if type(fact) is Pending:
        return fact.fingerprint
    if type(fact) is Outcome and fact.fingerprint is not None:
        return fact._replace(fingerprint=cast("Pending", fact.fingerprint).fingerprint)
    return fact
