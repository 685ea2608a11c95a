"""Run one target under atheris: `python fuzzing/one.py TARGET CORPUS [libFuzzer's options]`."""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["kvparity", "tomllib", "json"]):
    from readers import TARGETS


def main() -> None:
    """Run until libFuzzer's options end it, or something breaks."""
    name = sys.argv.pop(1)
    target = TARGETS[name]
    sys.argv[0] = _again(name)
    shared = Path("/dev/shm")  # noqa: S108  files in memory, if the system has that
    folder = Path(tempfile.mkdtemp(prefix="kvparity-fuzzing-", dir=shared if shared.is_dir() else None))
    atheris.Setup(sys.argv, lambda content: target(content, folder))
    atheris.Fuzz()


def _again(name: str) -> str:
    """Write a program that runs this target: libFuzzer starts itself by its own name to merge."""
    path = Path(tempfile.mkdtemp(prefix="kvparity-fuzzing-")) / name
    path.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, __file__, name])} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return str(path)


if __name__ == "__main__":
    main()
