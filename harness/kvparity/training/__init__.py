"""kvparity inside real training runs."""

from kvparity.training.inline.attachment import Attachment, attach
from kvparity.training.limits import Limits
from kvparity.training.options import Options

__all__ = ["Attachment", "Limits", "Options", "attach"]
