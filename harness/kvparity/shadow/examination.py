"""`Examination`: takes the fingerprints of entries, and has events examined, at once or in batches.

Where the entries are decides which: the first entry's device is the choice for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvparity.shadow.queue import ExaminationQueue
from kvparity.values.device_fingerprints import DeviceFingerprints, fingerprints_for
from kvparity.values.fingerprints import HostFingerprints, Undecided

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    import torch

    from kvparity.judging.events import Event
    from kvparity.judging.examiner import Examiner
    from kvparity.shadow.side import Side
    from kvparity.values.fingerprints import Fingerprints, Look


class Examination:
    """On the CPU events are examined at once; on a GPU they wait in a queue for their fingerprints.

    Args:
        at_once: take fingerprints on the CPU wherever entries are. A tolerance needs that: whether numbers are close
            can only be told from the numbers, before their memory is used again.

    Attributes:
        look: takes the fingerprint of an entry.
        look_at_row: takes the fingerprint of an entry whose tensors are the slices of a row `[2 * L, N, H, T, D]`.
        submit: has an event examined in its turn.
    """

    def __init__(self, *, at_once: bool) -> None:
        undecided = Undecided(self._decide)
        self._at_once = at_once
        self._queue: ExaminationQueue | None = None
        self._sides: tuple[Side, ...] = ()
        self.look: Callable[[Any], Look] = undecided.look
        self.look_at_row: Callable[[torch.Tensor, Sequence[int]], Look] = undecided.look_at_row

    def start(self, examiner: Examiner, sides: tuple[Side, ...]) -> None:
        """Have events examined by `examiner`, and entries looked at by `sides` as is decided."""
        self.submit: Callable[[Event], None] = examiner.examine
        self._sides = sides

    def report(self, event: Event) -> None:
        """Submit `event`. Unlike `submit` itself, which is replaced when it is decided, this may be kept."""
        self.submit(event)

    def settle(self) -> None:
        """Have everything examined that waits."""
        if self._queue is not None:
            self._queue.settle()

    def _decide(self, device: torch.device | None) -> Fingerprints:
        """Take fingerprints from now on where entries are: the first one came, and is on `device`."""
        fingerprints = HostFingerprints() if self._at_once else fingerprints_for(device)
        if isinstance(fingerprints, DeviceFingerprints):
            self._queue = ExaminationQueue(fingerprints, self.submit)
            self.submit = self._queue.add
        self.look, self.look_at_row = fingerprints.look, fingerprints.look_at_row
        for side in self._sides:
            side.look = fingerprints.look
        return fingerprints
