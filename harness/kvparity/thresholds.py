"""`Thresholds`: how much is too much, and what must be known; `[verdict]` in kvparity.toml."""

from __future__ import annotations

import reprlib
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from kvparity.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUPS = ("corruption", "behaviour", "completeness", "speed", "memory", "training", "coverage")
REQUIRED = ("corruption", "behaviour", "completeness", "coverage", "speed", "memory")
_MOST = 1 << 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What the checks hold findings against.

    Attributes:
        require: the checks without which there is no GO; `shapes` asks for entries of a second kind.
        behaviour: unexpected differences of behaviour that are let pass.
        time_ratio: the candidate's time by the reference's.
        memory_growth: bytes in 1,000 operations.
        memory_floor: bytes; less growth than this is nobody's leak.
        memory_operations: that a run must have for its memory to be judged.
        operations: in all; `lookups` that were compared likewise.
        wraps: pools, of each family that is used, that were filled beyond their slots.
        evictions: by each eviction strategy that a side declares.
        resets: sets of a key that was held.
        clears: of a pool that held something.
        misses: lookups of a key that was not held.
    """

    require: tuple[str, ...] = REQUIRED
    behaviour: int = 0
    time_ratio: float = 1.05
    memory_growth: int = 256 * 1024
    memory_floor: int = 16 * 1024 * 1024
    memory_operations: int = 50_000
    operations: int = 10_000
    lookups: int = 2_000
    wraps: int = 1
    evictions: int = 1
    resets: int = 1
    clears: int = 1
    misses: int = 1

    def requires(self, group: str) -> bool:
        """Whether there is no GO without it."""
        return group in self.require

    def as_dict(self) -> dict[str, Any]:
        """For JSON, and as the settings spell it."""
        return {name.replace("_", "-"): value for name, value in asdict(self).items()} | {"require": list(self.require)}

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> Thresholds:
        """From the `[verdict]` table of `kvparity.toml`.

        Raises:
            UsageError: a name is unknown, or a value is none of its kind.
        """
        names = {field.name.replace("_", "-"): field.name for field in fields(cls)}
        for name, value in table.items():
            if name not in names:
                raise UsageError(f"[verdict]: there is no {name!r}; there are {', '.join(names)}")
            if name == "require":
                _check_required(value)
            elif name == "time-ratio":
                _check_ratio(value)
            elif type(value) is not int or not 0 <= value <= _MOST:
                raise UsageError(f"[verdict]: {name} must be an integer from 0 to 2**63, got {reprlib.repr(value)}")
        given: dict[str, Any] = {names[name]: value for name, value in table.items()}
        return cls(**{**given, "require": tuple(given.get("require", REQUIRED))})


def _check_required(value: Any) -> None:
    known = (*GROUPS, "shapes")
    if not isinstance(value, list) or not all(isinstance(name, str) and name in known for name in value):
        raise UsageError(f"[verdict]: require must be a list out of {', '.join(known)}; got {value!r}")


def _check_ratio(value: Any) -> None:
    if type(value) not in (int, float) or not 0 < value <= _MOST:
        raise UsageError(f"[verdict]: time-ratio must be a number above 0 such as 1.05, got {reprlib.repr(value)}")
