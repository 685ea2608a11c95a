"""Figures that take too long to measure each time: stored in `benchmarks/records`, with date, machine and command."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from kvparity.evidence import provenance

FOLDER = Path(__file__).parent / "records"


def kept(name: str) -> dict[str, dict[str, Any]]:
    """The stored figures of a benchmark, by what they are about; empty if nothing is stored."""
    path = FOLDER / f"{name}.json"
    figures: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return figures


def keep(name: str, figures: dict[str, dict[str, Any]]) -> None:
    """Store figures of a benchmark. They replace earlier ones about the same; others stay."""
    origin = provenance(sys.argv[1:])
    stamp = {
        "measured": origin.began,
        "machine": origin.machine,
        "versions": {package: origin.versions[package] for package in ("python", "torch", "numpy")},
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
    }
    stamped = {about: {**stamp, **figure} for about, figure in figures.items()}
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps({**kept(name), **stamped}, indent=2)
    (FOLDER / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
