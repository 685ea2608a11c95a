"""`ExaminationQueue`: events that wait until their fingerprints have been read from a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kvparity.judging.outcome import Outcome
from kvparity.values.device_fingerprints import BATCH, DeviceFingerprints, Pending

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.judging.events import Event

_MOST_EVENTS = 4 * BATCH


class ExaminationQueue:
    """Keeps events in their order, with `Pending` in the place of fingerprints, until a batch has been read.

    To read one fingerprint, the CPU would have to wait until the GPU has done everything that it was asked for before.
    If that were done at every lookup, it would take most of the time of a search.

    Args:
        fingerprints: takes the fingerprints and reads them in batches.
        examine: is given each event, complete and in order.
    """

    def __init__(self, fingerprints: DeviceFingerprints, examine: Callable[[Event], None]) -> None:
        self._fingerprints = fingerprints
        self._examine = examine
        self._events: list[Event] = []

    def add(self, event: Event) -> None:
        """Have `event` examined when its turn comes: at once, where no fingerprint is pending."""
        self._events.append(_map(_without_memory, event))
        pending = len(self._fingerprints.pending)
        if not pending or pending >= self._fingerprints.batch or len(self._events) >= _MOST_EVENTS:
            self.settle()

    def settle(self) -> None:
        """Read what is pending, in one transfer, and have all events examined."""
        events, self._events = self._events, []
        self._fingerprints.read()
        for event in events:
            self._examine(_map(_read, event))


def _map(function: Callable[[Any], Any], event: Event) -> Event:
    """The event, with `function` of each of its fields."""
    return type(event)(*map(function, event))


def _without_memory(field: Any) -> Any:
    """An outcome that does not refer to its entry: hundreds of them would keep the memory of as many entries."""
    if type(field) is not Outcome or field.value is None:
        return field
    return field._replace(value=True if field.fingerprint is None else field.fingerprint)


def _read(field: Any) -> Any:
    """The field with its fingerprint, which has been read by now."""
    if type(field) is Pending:
        return field.fingerprint
    if type(field) is Outcome and field.fingerprint is not None:
        return field._replace(fingerprint=cast("Pending", field.fingerprint).fingerprint)
    return field
