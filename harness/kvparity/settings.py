"""`kvparity.toml`, or `[tool.kvparity]` in pyproject.toml: what a project has decided once.

Above all its known differences, the options of `kvparity shadow`, and what a verdict holds findings against.
"""

from __future__ import annotations

import reprlib
import sys
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvparity.errors import UsageError
from kvparity.results.divergence import KnownDifference

if TYPE_CHECKING:
    from collections.abc import Mapping

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REGRESSIONS = "tests/regressions"  # where the pytest plugin looks for traces that once told two caches apart
_MOST_BYTES = 1 << 20
DEFAULT_PATH = Path("kvparity.toml")
PYPROJECT = Path("pyproject.toml")
SHADOW_OPTIONS: dict[str, tuple[type, ...]] = {
    "reference": (str,),
    "candidate": (str,),
    "serve": (str,),
    "on-divergence": (str,),
    "compare-every": (int,),
    "max-share": (float, int, str),
    "fail-on": (str,),
}


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the file says.

    Attributes:
        known: the differences that are accepted.
        shadow: options of `kvparity shadow`, by name.
        verdict: what a verdict holds findings against.
    """

    known: tuple[KnownDifference, ...] = ()
    shadow: dict[str, Any] = field(default_factory=dict)
    verdict: Thresholds = field(default_factory=Thresholds)


def read_settings(path: Path | None) -> Settings:
    """The settings in `path`.

    Without one, those of `kvparity.toml` in the working directory, or else of `[tool.kvparity]` in its pyproject.toml,
    as far as they are there.

    Raises:
        UsageError: the file cannot be read, or says something that is not understood.
    """
    if path is None:
        return settings_in(Path())
    return _parse(_read(path), str(path))


def settings_in(folder: Path) -> Settings:
    """Those of `kvparity.toml` there, or else of `[tool.kvparity]` in its pyproject.toml, or else none.

    Raises:
        UsageError: they are not understood.
    """
    path, pyproject = folder / DEFAULT_PATH, folder / PYPROJECT
    if path.exists():
        return _parse(_read(path), str(path))
    if not pyproject.exists():
        return Settings()
    tools = _read(pyproject).get("tool", {})
    own = tools.get("kvparity", {}) if isinstance(tools, dict) else {}
    return _parse(own, f"{pyproject} [tool.kvparity]")


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise UsageError(f"{path} has more than {_MOST_BYTES:,} bytes, which no settings have")
        fields: dict[str, Any] = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # a TOMLDecodeError, no text, a number of too many digits
        raise UsageError(f"{path} is not TOML: {error}") from None
    return fields


def _parse(fields: Any, where: str) -> Settings:
    if not isinstance(fields, dict):
        raise UsageError(f"{where}: expected a table, found {fields!r}")
    unknown = [name for name in fields if name not in ("known", "shadow", "verdict")]
    tables, shadow, verdict = fields.get("known", []), fields.get("shadow", {}), fields.get("verdict", {})
    if (
        unknown
        or not isinstance(tables, list)
        or not all(isinstance(table, dict) for table in tables)
        or not isinstance(shadow, dict)
        or not isinstance(verdict, dict)
    ):
        found = ", ".join(unknown) or "something else"
        raise UsageError(f"{where}: expected [[known]] tables, a [shadow] and a [verdict] table only, found {found}")
    try:
        return Settings(
            known=tuple(KnownDifference.parse(table) for table in tables),
            shadow=_shadow(shadow),
            verdict=Thresholds.parse(verdict),
        )
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _shadow(options: dict[str, Any]) -> dict[str, Any]:
    for name, value in options.items():
        if name not in SHADOW_OPTIONS:
            raise UsageError(f"[shadow]: there is no option {name!r}; there are {', '.join(SHADOW_OPTIONS)}")
        if isinstance(value, bool) or not isinstance(value, SHADOW_OPTIONS[name]):
            raise UsageError(f"[shadow]: {name} must be a {SHADOW_OPTIONS[name][0].__name__}, got {value!r}")
    return options
