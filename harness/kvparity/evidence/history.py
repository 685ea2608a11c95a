"""What happened to a key on both sides before they differed."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import torch

if TYPE_CHECKING:
    from kvparity.operations import PoolId

_REMEMBERED = 32_768  # operations
_SHOWN = 24
_DIMENSIONS = 4  # [N, H, T, D]

Heat: TypeAlias = tuple[tuple[str, tuple[tuple[float | None, ...], ...]], ...]
Did: TypeAlias = "bytes | str | None"


class Event(NamedTuple):
    """What both sides did in one operation: a fingerprint, None for a miss, or words."""

    number: int
    verb: str
    pool: PoolId
    key: int | None
    reference: Did
    candidate: Did


class Moment(NamedTuple):
    """One operation in the history of a key.

    Attributes:
        number: of the operation.
        operation: `set`, `get`, `checkout`, `clear`, or `drop`: a side dropped the key by itself, or, if it does not
            report that, its strategy would have.
        pool: the pool.
        reference: what the reference did: `set 1a2b..`, `hit 1a2b..`, `miss`, `raised TypeError: ..`, `cleared`, or why
            it dropped the key; empty if it did nothing.
        candidate: what the candidate did.
    """

    number: int
    operation: str
    pool: str
    reference: str
    candidate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """What shows how a divergence came about.

    Attributes:
        history: the last moments of its key; the divergence is the last one.
        earlier: the number of moments before those, which are left out.
        complete: whether the history begins with the first operation of the run.
        heat: by tensor, such as `layer 0, K`: the greatest absolute difference for each head (row) and token (column).
            None stands for a difference that is no finite number.
    """

    history: tuple[Moment, ...]
    earlier: int = 0
    complete: bool = True
    heat: Heat = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "history": [moment._asdict() for moment in self.history],
            "earlier": self.earlier,
            "complete": self.complete,
            "heat": [{"where": where, "heads": [list(row) for row in rows]} for where, rows in self.heat],
        }


class History:
    """The last operations. `of` returns those of one key.

    Attributes:
        note: remembers an event. It is the queue's own method, because it is called for each operation.
    """

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=_REMEMBERED)
        self.note = self._events.append

    def of(self, key: int | None) -> tuple[tuple[Moment, ...], int, bool]:
        """The last moments of `key`, the number of moments before them, and whether no operation was forgotten."""
        own: list[Event] = []
        cleared: set[PoolId] = set()  # since the key was last used
        for event in self._events:
            if event.key == key:
                own.append(event)
                cleared.clear()
            elif event.key is None and event.pool not in cleared and _clears(event.pool, own):
                own.append(event)
                cleared.add(event.pool)
        shown = tuple(_moment(event) for event in own[-_SHOWN:])
        return shown, len(own) - len(shown), len(self._events) < _REMEMBERED


def _clears(pool: PoolId, events: list[Event]) -> bool:
    """Whether a clear of `pool` removes what one of these events may have found or set."""
    return any(
        [
            pool.family == "all"
            or (pool.family == each.pool.family and pool.env in (None, each.pool.env))
            or (pool.family == "recur" and each.verb == "checkout")
            for each in events
        ]
    )


def _moment(event: Event) -> Moment:
    return Moment(
        number=event.number,
        operation=event.verb,
        pool=str(event.pool),
        reference=_words(event.verb, event.reference),
        candidate=_words(event.verb, event.candidate),
    )


def _words(verb: str, did: Did) -> str:
    if isinstance(did, str):
        return did
    if did is None:
        return "miss"
    return f"{'set' if verb == 'set' else 'hit'} {did.hex()[:12]}"


def heat_of(tensors: list[Any], others: list[Any]) -> Heat:
    """See `Exhibit.heat`. Pairs of tensors that do not both have the same shape `[N, H, T, D]` are left out."""
    maps = []
    for index, (tensor, other) in enumerate(zip(tensors, others, strict=False)):
        if tensor.shape != other.shape or tensor.dim() != _DIMENSIONS or tensor.numel() == 0:
            continue
        wide = torch.complex128 if tensor.is_complex() or other.is_complex() else torch.float64
        apart = (tensor.detach().to("cpu", wide) - other.detach().to("cpu", wide)).abs().amax(dim=(0, 3))
        rows = tuple(
            tuple(float(f"{number:.3g}") if math.isfinite(number) else None for number in row) for row in apart.tolist()
        )
        maps.append((f"layer {index // 2}, {'KV'[index % 2]}", rows))
    return tuple(maps)
