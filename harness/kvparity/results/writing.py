"""Writing results as JSON files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kvparity.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from kvparity.results.result import Result


def write_json(result: Result, path: Path) -> None:
    """Write the result to `path` as JSON, all of it or nothing.

    Raises:
        UsageError: the file cannot be written.
    """
    write_text(path, json.dumps(result.as_dict(), indent=2) + "\n")
