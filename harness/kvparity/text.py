"""Text from anywhere, made such that any file can hold it: names and messages of exceptions may be anything."""

from __future__ import annotations

import re

# What XML 1.0 forbids: controls, halves of surrogate pairs (which no encoding can write), and two non-characters.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def plain(text: str) -> str:
    """`text` with a replacement character for each that cannot be written."""
    return _FORBIDDEN.sub("\ufffd", text)
