"""`kvparity.toml`: what a project has decided once, above all its known differences."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from harness.divergence import KnownDifference
from harness.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REGRESSIONS = "tests/regressions"  # where the pytest plugin looks for traces that once told two caches apart
DEFAULT_PATH = Path("kvparity.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the file says.

    Attributes:
        known: the differences that are accepted.
    """

    known: tuple[KnownDifference, ...] = ()


def read_settings(path: Path | None) -> Settings:
    """The settings in `path`; without one, those of `kvparity.toml` in the working directory, if it is there.

    Raises:
        UsageError: the file cannot be read, or says something that is not understood.
    """
    if path is None and not DEFAULT_PATH.exists():
        return Settings()
    path = path or DEFAULT_PATH
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    unknown = [name for name in fields if name != "known"]
    tables = fields.get("known", [])
    if unknown or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{path}: expected [[known]] tables only, found {', '.join(unknown) or 'something else'}")
    try:
        return Settings(known=tuple(KnownDifference.parse(table) for table in tables))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
