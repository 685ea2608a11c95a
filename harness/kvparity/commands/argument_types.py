"""Numbers and times, as people write them after an option."""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_UNITS = {"s": 1, "m": 60, "h": 3600}
_YEAR_S = 365 * 24 * 3600
_LEAST_PATIENCE_S = 0.01  # checks that come more often leave no time for anything else


def at_least(least: int) -> Callable[[str], int]:
    """A parser of integers from `least` to `sys.maxsize`."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least {least}")
        if number > sys.maxsize:
            raise argparse.ArgumentTypeError(f"{text!r} is too large: expected {sys.maxsize} at most")
        return number

    return parse


def seconds(text: str) -> float:
    """Seconds, from a time such as 90s, 5m or 2h."""
    unit = text[-1:]
    try:
        time = float(text[:-1]) * _UNITS[unit] if unit in _UNITS else float(text)
    except ValueError:
        time = 0.0
    if not time > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90s, 5m or 2h")
    if time > _YEAR_S:
        raise argparse.ArgumentTypeError(f"{text!r} is too long: expected a year at most")
    return time


def percent(text: str) -> float:
    """A share, from a percentage such as 10%."""
    try:
        share = float(text.removesuffix("%")) / 100 if text.endswith("%") else math.nan
    except ValueError:
        share = math.nan
    if not 0 <= share < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage such as 10%")
    return share


def seconds_or_none(text: str) -> float | None:
    """Seconds, from a time such as 90s; None from `none`."""
    if text == "none":
        return None
    time = seconds(text)
    if time < _LEAST_PATIENCE_S:
        raise argparse.ArgumentTypeError(f"{text!r} is too short: expected {_LEAST_PATIENCE_S:g}s at least, or none")
    return time
