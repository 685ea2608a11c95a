"""Recording as a trace what world models do with their caches while they train."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvparity.caches.exceptions import Raised, attempt, describe_error
from kvparity.errors import warn
from kvparity.operations import RECUR, Clear, Set
from kvparity.traces.reader import Answer
from kvparity.training.lightzero.models import tap_of
from kvparity.values.fingerprints import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kvparity.operations import Operation
    from kvparity.traces.writer import TraceWriter
    from kvparity.training.lightzero.tap import OwnOutcome, Served


class Recording:
    """Records several world models into one trace, until `detach`. Also a context manager.

    The recording of a model begins when all its pools are empty, because a replay begins with empty caches. (Its ring
    pointers may stand anywhere then, which changes only slot numbers.) If recording fails, it stops with a warning. The
    model never gets the exception.

    Args:
        world_models: world models by name, see `world_models_of`.
        writer: takes the operations.
        limit: stop at the first search after this many operations of one model; None for no limit.

    Attributes:
        operations: number of operations recorded so far.

    Raises:
        UnusableCacheError: kvparity does not know one of the world models.
    """

    def __init__(self, world_models: Mapping[str, Any], writer: TraceWriter, *, limit: int | None = None) -> None:
        taps = {name: tap_of(model) for name, model in world_models.items()}
        self._streams = [
            (tap, _Stream(writer, number=writer.stream(name, tap.spec), limit=limit)) for name, tap in taps.items()
        ]
        for tap, stream in self._streams:
            tap.join(stream)

    @property
    def operations(self) -> int:
        """The number of operations recorded so far."""
        return sum(stream.operations for _, stream in self._streams)

    def detach(self) -> None:
        """Stop recording. A model to which nobody listens any more gets its own caches back."""
        for tap, stream in self._streams:
            tap.leave(stream)

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()


class _Stream:
    """Records what one world model does."""

    def __init__(self, writer: TraceWriter, *, number: int, limit: int | None) -> None:
        self.operations = 0
        self._writer = writer
        self._number = number
        self._limit = limit
        self._is_over = False

    def hear(self, operation: Operation, own: OwnOutcome) -> Served | None:
        if not self._is_over:
            recorded = attempt(self._record, operation, own)
            if isinstance(recorded, Raised):
                self.give_up(recorded.error)
        return None

    def give_up(self, error: BaseException) -> None:
        self._is_over = True
        warn(f"recording stopped: {describe_error(error)}")

    def _record(self, operation: Operation, own: OwnOutcome) -> None:
        answer = None
        if isinstance(operation, Clear):
            if operation.pool == RECUR and self._limit is not None and self.operations >= self._limit:
                self._is_over = True
                return
        elif not isinstance(operation, Set):
            answer = Answer(
                fingerprint=None if own.value is None else fingerprint(own.value),
                source=own.source,
                error=None if own.error is None else type(own.error).__name__,
            )
        self._writer.record(self._number, operation, answer)
        self.operations += 1
