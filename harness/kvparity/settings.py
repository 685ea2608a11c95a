"""`kvparity.toml`, or `[tool.kvparity]` in pyproject.toml: what a project has decided once.

That is: the differences that it accepts, the options of `kvparity shadow`, and the thresholds of a verdict.
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

REGRESSIONS = "tests/regressions"  # the folder whose traces the pytest plugin replays
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
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What the checks of a verdict allow, and how much they need to have seen.

    Attributes:
        require: the checks that must pass for a GO. `shapes` asks for entries of a second shape or type.
        behaviour: at most so many unexpected differences of behaviour.
        time_ratio: at most this ratio of the candidate's time to the reference's.
        memory_growth: at most so many bytes of growth in 1,000 operations.
        memory_floor: a growth of fewer bytes than this, in all, is not called a leak.
        memory_operations: a run must have so many operations for its memory to be judged.
        operations: at least so many operations, in all.
        lookups: at least so many compared lookups, in all.
        wraps: at least so many pools filled beyond their slots, in each family of pools that is used.
        evictions: at least so many evictions by each eviction strategy that a side declares.
        resets: at least so many sets of a key that was held.
        clears: at least so many clears of a pool that held something.
        misses: at least so many lookups of a key that was not held.
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
        """Whether this check must pass for a GO."""
        return group in self.require

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with the names that the settings use."""
        return {name.replace("_", "-"): value for name, value in asdict(self).items()} | {"require": list(self.require)}

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> Thresholds:
        """From the `[verdict]` table of `kvparity.toml`.

        Raises:
            UsageError: a name is unknown, or a value is of the wrong kind.
        """
        names = {field.name.replace("_", "-"): field.name for field in fields(cls)}
        for name, value in table.items():
            if name not in names:
                raise UsageError(f"[verdict]: unknown name {name!r}, expected one of {', '.join(names)}")
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
        raise UsageError(f"[verdict]: require must be a list of names out of {', '.join(known)}; got {value!r}")


def _check_ratio(value: Any) -> None:
    if type(value) not in (int, float) or not 0 < value <= _MOST:
        raise UsageError(f"[verdict]: time-ratio must be a number above 0 such as 1.05, got {reprlib.repr(value)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the settings say.

    Attributes:
        known: the differences that are accepted.
        shadow: options of `kvparity shadow`, by name.
        verdict: the thresholds of a verdict.
    """

    known: tuple[KnownDifference, ...] = ()
    shadow: dict[str, Any] = field(default_factory=dict)
    verdict: Thresholds = field(default_factory=Thresholds)


def read_settings(path: Path | None) -> Settings:
    """The settings in the file `path`; without a path, those of the working directory, as `settings_in` finds them.

    Raises:
        UsageError: the file cannot be read, or holds something that is not a setting.
    """
    if path is None:
        return settings_in(Path())
    return _parse(_read(path), str(path))


def settings_in(folder: Path) -> Settings:
    """The settings in `kvparity.toml` of that folder, or else in `[tool.kvparity]` of its pyproject.toml, or else none.

    Raises:
        UsageError: the file cannot be read, or holds something that is not a setting.
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
            raise UsageError(f"{path} is too large: settings may have {_MOST_BYTES:,} bytes at most")
        fields: dict[str, Any] = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, UnicodeDecodeError, a number with too many digits
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
            raise UsageError(f"[shadow]: unknown option {name!r}, expected one of {', '.join(SHADOW_OPTIONS)}")
        if isinstance(value, bool) or not isinstance(value, SHADOW_OPTIONS[name]):
            raise UsageError(f"[shadow]: {name} must be a {SHADOW_OPTIONS[name][0].__name__}, got {value!r}")
    return options
