"""Text from anywhere, made such that any file can hold it: names and messages of exceptions may be anything."""

from __future__ import annotations

import re

# What XML 1.0 forbids: controls, halves of surrogate pairs (which no encoding can write), and two non-characters.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def plain(text: str) -> str:
    """`text` with a replacement character for each that cannot be written."""
    return _FORBIDDEN.sub("\ufffd", text)


_LONGEST_LINE = 2000


def harmless(text: str) -> str:
    r"""`text`, in which what would move the cursor, change colours or turn the line around is spelled out, as `\x1b`.

    Newlines stay. Halves of surrogate pairs, which no terminal can be sent, are spelled out too.
    """
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join([each if each.isprintable() or each == "\n" else _spelled_out(each) for each in text])


def one_line(text: str) -> str:
    """`text` without newlines, harmless, and cut where nobody reads on."""
    line = harmless(" ".join(text.split()))
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}..."


def _spelled_out(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
