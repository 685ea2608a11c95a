"""Curves: the numbers that a training logged step by step, to the last bit, and where those of two trainings differ.

A file of curves is JSON lines, one number each, in the order in which they were logged: `{"name": ..., "value": ...}`.
The value is the float in hexadecimal, so that nothing is rounded. If the process dies, only the last line may be lost.
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
        path: the file; what it held before is lost.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from None

    def add(self, name: str, value: float) -> None:
        """Add the next number of the curve `name`."""
        self._file.write(json.dumps({"name": name, "value": float(value).hex()}) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> CurveLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_curves(path: Path) -> Curves:
    """The curves of a file, without a last line that was cut short.

    Raises:
        UsageError: the file cannot be read, or it holds something else.
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
            raise UsageError(f"{path} is not a file of curves: line {number}: {error}") from None
        curves.setdefault(name, []).append(value)
    return curves


def _point(line: str) -> tuple[str, float]:
    point = json.loads(line)
    return str(point["name"]), float.fromhex(point["value"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """The first step at which one curve differs between two trainings.

    Attributes:
        curve: name of the curve.
        step: the step, counted from 0.
        values: the numbers at that step in the first and in the second training; None if the curve has ended there.
        greatest: the greatest difference between two numbers of one step, in the whole curve; NaN if one of the two is
            NaN and the other is not.
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
    """How much two trainings are alike.

    Attributes:
        curves: number of curves that either training has.
        numbers: numbers that were compared.
        partings: for each curve that differs, where it differs first; the earliest step comes first.
    """

    curves: int
    numbers: int
    partings: tuple[Parting, ...]

    @property
    def alike(self) -> bool:
        """Whether something was compared, and no bit of it differs."""
        return self.numbers > 0 and not self.partings


def compare_curves(first: Mapping[str, list[float]], second: Mapping[str, list[float]]) -> Likeness:
    """Compare each curve of either training, number by number and bit by bit."""
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
