"""`Outcome`: what one side did in one operation. A result, a miss and an exception are outcomes alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kvparity.caches.exceptions import describe_failure

if TYPE_CHECKING:
    import torch


class Outcome(NamedTuple):
    """What one side did when asked.

    Attributes:
        value: the entry of a hit; None for a miss. With an `error` it is the object that is not a valid entry.
        fingerprint: of the entry; None for a miss, or where nobody looked at the entry.
        error: the exception that the side raised, or that its value is not a valid entry.
        device: of the entry's tensors; None where they are on several.
    """

    value: Any = None
    fingerprint: bytes | None = None
    error: BaseException | None = None
    device: torch.device | None = None

    def __str__(self) -> str:
        if self.error is not None:
            return describe_failure(self.error)
        return "miss" if self.fingerprint is None else f"hit {self.fingerprint.hex()[:12]}"


MISS = Outcome()


def hit(value: Any, fingerprint: bytes, device: torch.device | None) -> Outcome:
    """A hit. One is made per lookup and side, and calling the class itself takes more than twice as long."""
    return tuple.__new__(Outcome, (value, fingerprint, None, device))
