"""Names and messages from anywhere, changed so that files can hold them and terminals do not obey them."""

from __future__ import annotations

import re

# What XML 1.0 forbids: controls, halves of surrogate pairs (which no encoding can write), and two non-characters.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST_LINE = 2000


def replace_forbidden(text: str) -> str:
    """`text`, with a replacement character for each character that a file cannot hold."""
    return _FORBIDDEN.sub("\ufffd", text)


def escape_controls(text: str) -> str:
    r"""`text`, with escapes such as `\x1b` for all that moves the cursor, changes colours or reverses the line.

    Newlines stay. Halves of surrogate pairs, which cannot be encoded, are escaped too.
    """
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join([each if each.isprintable() or each == "\n" else _escaped(each) for each in text])


def one_line(text: str) -> str:
    """`text` as one line of at most 2,000 characters, with `escape_controls`."""
    line = escape_controls(" ".join(text.split()))
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}..."


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
