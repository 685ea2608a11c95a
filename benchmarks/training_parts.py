"""What each part of shadowing costs a real training: the same training, with one part after the other left out.

The figures are kvparity's own account, per operation. A part that is left out in one row is left out in all rows below
it. The last row is what remains: the guard, the counts, and the way from the model to the shadow. A shadow with a part
left out finds nothing, or nonsense; the training itself is the same. Run it in an environment with LightZero, as
`benchmarks/training_cost.py`, which measures what shadowing costs in total.

Example:
    LD_PRELOAD=$PWD/still_clock.so python benchmarks/training_parts.py --rounds 3
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from kvparity import cli
from kvparity.caches.adapter import ManagerCache
from kvparity.judging.examiner import Examiner
from kvparity.results.reading import read_result
from kvparity.shadow import mirror
from kvparity.shadow.producer import Producer, ReusedEntry
from kvparity.training.inline.trail import Trail
from kvparity.values.entry import clone
from kvparity.values.fingerprints import HostFingerprints
from observed_cartpole import OWN_LEARNER

SCRIPT = Path(__file__).resolve().parent / "observed_cartpole.py"
WITHOUT = "--without"
PARTS = {
    "examiner": "checking both sides against what is right",
    "fingerprints": "fingerprints of what is set and of both answers",
    "candidate": "the candidate's own work, and writes into its working copies",
    "copies": "the copies that the candidate is given",
}


def leave_out(parts: int) -> None:
    """Make the first `parts` parts do nothing from now on."""
    leave = [_no_examiner, _no_fingerprints, _no_candidate, _no_copies]
    for each in leave[:parts]:
        each()


def nothing(*_: Any, **__: Any) -> None:
    """Do nothing."""


def _no_examiner() -> None:
    Examiner.examine = nothing  # type: ignore[method-assign]


def _no_fingerprints() -> None:
    seen = b"", torch.device("cpu")
    for name in ("look", "look_at_row"):
        setattr(HostFingerprints, name, lambda *_: seen)


def _no_candidate() -> None:
    for name in ("set", "get", "checkout"):
        setattr(ManagerCache, name, nothing)
    vars(mirror)["scribble"] = nothing


def _no_copies() -> None:
    given: list[ReusedEntry] = []

    def take(_: Producer, value: Any) -> ReusedEntry:
        if not given:
            given.append(ReusedEntry(clone(value)))
        return given[0]

    def copy(_: Trail, value: Any) -> ReusedEntry:
        return take(Producer(), value)

    Producer.take = take  # type: ignore[method-assign]
    Trail._copy = copy  # type: ignore[method-assign]


def account(parts: int, folder: Path, options: argparse.Namespace) -> tuple[float, float]:
    """Run a training without the first `parts` parts: microseconds per operation, and the share of wall time."""
    folder.mkdir(parents=True)
    result = folder / "result.json"
    command = [sys.executable, __file__, WITHOUT, str(parts), "shadow", "--quiet", "--max-share", "none"]
    command += ["--json", str(result), str(SCRIPT), str(folder)]
    command += [*([OWN_LEARNER] if options.own_learner else []), str(options.steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if not result.exists():
        sys.exit(f"status {done.returncode}\n{done.stderr[-2000:]}")
    read = read_result(result)
    assert read.training is not None
    return read.training.shadow_s / sum(read.operations.values()) * 1e6, read.training.share


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (default 3)")
    parser.add_argument(OWN_LEARNER, action="store_true", help="LightZero's batches of 256, not the example's of 8")
    parser.add_argument("--steps", type=int, default=400, help="steps of the environment (default 400)")
    options = parser.parse_args()
    seen: list[list[tuple[float, float]]] = [[] for _ in range(len(PARTS) + 1)]
    with tempfile.TemporaryDirectory() as temporary:
        for turn in track(range(options.rounds), description="rounds", transient=True):
            for parts, accounts in enumerate(seen):
                accounts.append(account(parts, Path(temporary) / f"{turn}-{parts}", options))
    table = Table("left out, one after the other", "us of an operation", "of wall time", box=None, pad_edge=False)
    for words, accounts in zip(["nothing", *(f"and {words}" for words in PARTS.values())], seen, strict=True):
        times, shares = zip(*accounts, strict=True)
        spread = f"{statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f})"
        table.add_row(words, spread, f"{statistics.median(shares):.1%}")
    Console(width=120).print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == [WITHOUT]:
        leave_out(int(sys.argv[2]))
        del sys.argv[1:3]
        sys.exit(cli.main())
    main()
