"""One target under atheris: `python fuzzing/one.py TARGET CORPUS [libFuzzer's options]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["harness", "tomllib", "json"]):
    from targets import TARGETS


def main() -> None:
    """Until libFuzzer's options say that it is enough, or something breaks."""
    target = TARGETS[sys.argv.pop(1)]
    shared = Path("/dev/shm")  # noqa: S108  files in memory, where there is such a place
    folder = Path(tempfile.mkdtemp(prefix="kvparity-fuzzing-", dir=shared if shared.is_dir() else None))
    atheris.Setup(sys.argv, lambda content: target(content, folder))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
