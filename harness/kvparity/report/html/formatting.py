"""Numbers as text for a page, with units; and long texts, shortened with a note about it."""

from __future__ import annotations

_LONGEST = 1_000
_KIB = 1024
UNKNOWN = "–"  # noqa: RUF001  a dash, for people


def clipped(text: str) -> str:
    """`text`, or its beginning with a note about the rest, which the JSON result has."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]} … ({len(text) - _LONGEST:,} more characters: result.json has them)"


def number(value: float | None) -> str:
    """A number with separated thousands."""
    return UNKNOWN if value is None else f"{value:,}"


def percent(part: int | None, whole: int | None) -> str:
    """A share as percentage."""
    return UNKNOWN if part is None or not whole else f"{part / whole:.1%}"


def size(size_bytes: int | None) -> str:
    """Bytes in a fitting unit."""
    if size_bytes is None:
        return UNKNOWN
    amount = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < _KIB or unit == "GiB":
            break
        amount /= _KIB
    return f"{amount:,.0f} {unit}" if unit == "B" else f"{amount:,.1f} {unit}"


def duration(nanoseconds: float | None) -> str:
    """A duration in a fitting unit."""
    if nanoseconds is None:
        return UNKNOWN
    for unit, length in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= length:
            return f"{nanoseconds / length:.3g} {unit}"
    return f"{nanoseconds:.0f} ns"


def plural(count: int, noun: str) -> str:
    """`1 key`, `2 keys`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"
