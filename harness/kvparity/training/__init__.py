"""kvparity inside real training runs."""

from kvparity.training.attachment import Attachment, attach
from kvparity.training.guard import Limits
from kvparity.training.options import Options

__all__ = ["Attachment", "Limits", "Options", "attach"]
