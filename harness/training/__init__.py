"""kvparity inside real training runs."""

from harness.training.attachment import Attachment, attach
from harness.training.guard import Limits

__all__ = ["Attachment", "Limits", "attach"]
