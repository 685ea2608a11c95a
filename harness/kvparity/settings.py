"""`kvparity.toml`, or `[tool.kvparity]` in pyproject.toml: what a project has decided once.

Above all its known differences, the options of `kvparity shadow`, and what a verdict holds findings against.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvparity.errors import UsageError
from kvparity.results.divergence import KnownDifference
from kvparity.thresholds import Thresholds

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
