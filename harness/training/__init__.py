"""kvparity inside real training runs."""

from harness.training.attachment import Attachment, attach
from harness.training.guard import Limits
from harness.training.options import Options

__all__ = ["Attachment", "Limits", "Options", "attach"]
