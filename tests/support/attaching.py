"""Attaching to a model on a machine that may be busy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvparity import training
from kvparity.training import Limits

if TYPE_CHECKING:
    from kvparity.training import Attachment

UNHURRIED = Limits(share=None)


def attach(target: Any, **options: Any) -> Attachment:
    """Like `kvparity.training.attach`, but without a limit of time unless the test says otherwise.

    On a busy machine a few operations may take more than their share, and then shadowing pauses.
    """
    return training.attach(target, **{"limits": UNHURRIED, **options})
