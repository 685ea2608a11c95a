"""What happened to a key on both sides before they parted over it."""

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
    """What both sides did in one operation: a fingerprint, nothing, or words."""

    number: int
    verb: str
    pool: PoolId
    key: int | None
    reference: Did
    candidate: Did


class Moment(NamedTuple):
    """One operation in the history of a key; what either side did in it, in words, empty where it had no part.

    Attributes:
        number: of the operation.
        operation: `set`, `get`, `checkout`, `clear`, or `drop`: a side dropped the key of its own accord, or its
            strategy would have, where the side itself does not say.
        pool: where.
        reference: `set 1a2b..`, `hit 1a2b..`, `miss`, `raised TypeError: ..`, `cleared`, or why it was dropped.
        candidate: likewise.
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
        history: the last moments of its key, the divergent one at the end.
        earlier: moments before those, which are left out.
        complete: whether the history reaches back to the first operation that was seen.
        heat: the greatest absolute difference in each token of each head, by tensor: `layer 0, K` to rows of
            heads, columns of tokens. None stands for a number against none (NaN, infinity).
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
    """The last operations, of which a key's own can be asked for."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=_REMEMBERED)

    def note(self, event: Event) -> None:
        """Remember it."""
        self._events.append(event)

    def of(self, key: int | None) -> tuple[tuple[Moment, ...], int, bool]:
        """The last moments of `key`, how many came before them, and whether nothing was forgotten."""
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
    """Whether a clear of `pool` forgets what one of these events may have found or left."""
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
    """See `Exhibit.heat`; of equally shaped tensors `[N, H, T, D]` of numbers only, others are left out."""
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
