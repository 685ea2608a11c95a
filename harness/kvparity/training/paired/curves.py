"""What a training logged step by step, kept to the last bit, and where two trainings part.

A file of curves is JSON lines, one number each, in the order in which they came: `{"name": ..., "value": ...}`, where
the value is the float's hexadecimal form, so that nothing is rounded. A process that dies leaves all lines but its
last.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, TypeAlias

from kvparity.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Curves: TypeAlias = dict[str, list[float]]


class CurveLog:
    """Writes curves. Also a context manager.

    Args:
        path: the file, which is written anew.

    Raises:
        UsageError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from None

    def add(self, name: str, value: float) -> None:
        """The next number of the curve of that name."""
        self._file.write(json.dumps({"name": name, "value": float(value).hex()}) + "\n")

    def close(self) -> None:
        """Write what is left."""
        self._file.close()

    def __enter__(self) -> CurveLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_curves(path: Path) -> Curves:
    """The curves of a file; a last line that was cut short is left out.

    Raises:
        UsageError: there is no such file, or it holds something else.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    curves: Curves = {}
    whole = [line for line in lines if line.endswith("\n")]
    for number, line in enumerate(whole, start=1):
        try:
            name, value = _point(line)
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(f"{path} is no file of curves: line {number}: {error}") from None
        curves.setdefault(name, []).append(value)
    return curves


def _point(line: str) -> tuple[str, float]:
    point = json.loads(line)
    return str(point["name"]), float.fromhex(point["value"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """Where one curve of two trainings differs first.

    Attributes:
        curve: its name.
        step: its first number that differs, from 0.
        values: there, of the first and of the second training; None where that one has ended.
        greatest: difference between two numbers of the same step; NaN where one is no number and the other is.
    """

    curve: str
    step: int
    values: tuple[float | None, float | None]
    greatest: float

    def __str__(self) -> str:
        first, second = ("has ended" if value is None else f"{value!r}" for value in self.values)
        return f"{self.curve} differs from step {self.step:,} on: {first} and {second}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How far two trainings are alike.

    Attributes:
        curves: how many they have, together.
        numbers: compared.
        partings: where they differ, the earliest step first.
    """

    curves: int
    numbers: int
    partings: tuple[Parting, ...]

    @property
    def alike(self) -> bool:
        """Whether something was compared and not a bit differed."""
        return self.numbers > 0 and not self.partings


def compare_curves(first: Mapping[str, list[float]], second: Mapping[str, list[float]]) -> Likeness:
    """Each curve of either, number by number and bit by bit."""
    names = list(dict.fromkeys((*first, *second)))
    partings = [found for name in names if (found := _parting(name, first.get(name, []), second.get(name, [])))]
    return Likeness(
        curves=len(names),
        numbers=sum(min(len(first.get(name, [])), len(second.get(name, []))) for name in names),
        partings=tuple(sorted(partings, key=lambda parting: parting.step)),
    )


def _parting(name: str, first: list[float], second: list[float]) -> Parting | None:
    for step, values in enumerate(zip_longest(first, second)):
        if _bits(values[0]) != _bits(values[1]):
            differences = [
                abs(one - other) for one, other in zip(first, second, strict=False) if _bits(one) != _bits(other)
            ]
            lost = [difference for difference in differences if difference != difference]  # noqa: PLR0124  a NaN
            return Parting(
                curve=name, step=step, values=values, greatest=lost[0] if lost else max(differences, default=0.0)
            )
    return None


def _bits(value: float | None) -> bytes:
    return b"" if value is None else struct.pack("<d", value)
