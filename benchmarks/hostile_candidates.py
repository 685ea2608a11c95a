"""Real trainings with hostile guests: do they finish, are their losses those of a training alone, what is reported?

    cc -shared -fPIC -o still_clock.so examples/still_clock.c
    LD_PRELOAD=$PWD/still_clock.so python benchmarks/hostile_candidates.py [--steps 400] [--markdown] [CANDIDATE ...]

Trains LightZero's CartPole UniZero alone, and then under `kvparity shadow` with a sound candidate, a wrong one and each
of `scenarios/kvparity_scenarios/hostile.py`, which first shadow and then serve. Ends with status 1 where a training did
not finish, or where one was changed whose own caches served it. In an environment with LightZero
(`scenarios/kvparity_scenarios/recorded/requirements.txt`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.table import Table

from kvparity.results.reading import read_result
from kvparity.training.paired.curves import Curves, compare_curves, read_curves
from kvparity_scenarios.hostile import HOSTILE

if TYPE_CHECKING:
    from kvparity.results.result import Result

ROOT = Path(__file__).resolve().parent.parent
OTHERS = ("refactored-fifo", "fault:by-reference")  # a sound one, and one that answers wrongly
LOSS = "learner/weighted_total_loss"
LAST_WORDS = "losses sha256"  # of the example, when it has trained to its end
UNHURRIED = ("fault:leaks",)  # of these time is not limited: memory is what they are to be found by
HEADINGS = ("candidate", "serves", "trained", "losses", "reported", "taken out")


class Training(NamedTuple):
    """One training: whether it came to its end, and its curves."""

    finished: bool
    curves: Curves


class Run(NamedTuple):
    """One training with a guest: how it ended, its curves, and what was reported of the guest."""

    candidate: str
    serve: str
    training: Training
    result: Result

    def bore(self, alone: Training) -> bool:
        """Whether it went on to its end and, where its own caches served, to the last bit as it does alone."""
        return self.training.finished and (
            self.serve == "candidate" or compare_curves(alone.curves, self.training.curves).alike
        )

    def row(self, alone: Training) -> tuple[str, ...]:
        """For people."""
        training = self.training
        likeness = compare_curves(alone.curves, training.curves)
        iterations = f"{len(training.curves.get(LOSS, [])):,} iterations"
        losses = f"equal: all {likeness.numbers:,} numbers, {iterations}"
        if not likeness.alike:
            first = min(likeness.partings, key=lambda parting: (parting.curve != LOSS, parting.step))
            losses = f"others of {iterations}: {first.curve} from step {first.step:,} on"
        ended = "to its end" if training.finished else "NO"
        return self.candidate, self.serve, ended, losses, reported(self.result), taken_out(self.result)


def reported(result: Result) -> str:
    """What was found, and the first of it."""
    if not result.total:
        return f"nothing in {result.gets_compared:,} lookups"
    first = min(result.first.values(), key=lambda divergence: divergence.number)
    kinds = ", ".join(f"{count:,} x {kind} (wrong: {wrong})" for (kind, wrong), count in result.by_group.items())
    return f"{kinds}; the first in operation {first.number:,}"


def taken_out(result: Result) -> str:
    """When, and why."""
    training = result.training
    if training is None or training.stopped is None:
        return "no"
    return (
        f"after {training.stopped_after_s:.1f} s, {training.stopped_after_operations:,} operations: {training.stopped}"
    )


def train(folder: Path, arguments: list[str], *, steps: int) -> Training:
    """Run the example by `python` with these arguments before it."""
    script, curves = str(ROOT / "benchmarks" / "observed_cartpole.py"), folder / "curves.jsonl"
    command = [sys.executable, *arguments, script, str(folder), str(steps)]
    with (folder / "output.log").open("w", encoding="utf-8") as output:
        subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=os.environ, check=False)  # noqa: S603
    said = (folder / "output.log").read_text(encoding="utf-8", errors="replace")
    if not curves.is_file():
        sys.exit(said[-2000:])
    return Training(LAST_WORDS in said, read_curves(curves))


def shadowed(candidate: str, serve: str, folder: Path, *, steps: int) -> Run:
    """The training with a guest."""
    result = folder / "result.json"
    shadow = ["-m", "kvparity", "shadow", "--quiet", "--json", str(result), "--candidate", candidate]
    shadow += ["--max-share", "none"] if candidate in UNHURRIED else []
    training = train(folder, [*shadow, "--serve", serve], steps=steps)
    return Run(candidate, serve, training, read_result(result))


def main() -> int:
    """Measure, print, and say whether every training bore its guest."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("candidate", nargs="*", metavar="CANDIDATE", help="all without a name")
    parser.add_argument("--steps", type=int, default=400, help="of the environment (default 400)")
    parser.add_argument("--markdown", action="store_true", help="print the table for a document")
    options = parser.parse_args()
    candidates = options.candidate or [*OTHERS, *(f"fault:{name}" for name in HOSTILE)]
    with tempfile.TemporaryDirectory() as temporary:

        def folder(name: str) -> Path:
            made = Path(temporary) / name.replace(":", "-")
            made.mkdir(parents=True)
            return made

        alone = train(folder("alone"), [], steps=options.steps)
        if not alone.finished or LOSS not in alone.curves:
            sys.exit("the training alone did not come to its end: nothing to compare with")
        runs = [
            shadowed(candidate, serve, folder(f"{candidate}-{serve}"), steps=options.steps)
            for serve in ("reference", "candidate")
            for candidate in candidates
        ]
    show([run.row(alone) for run in runs], markdown=options.markdown)
    borne = [run.bore(alone) for run in runs]
    print(
        f"{sum(borne)} of {len(runs)} trainings bore their guest; alone it had {len(alone.curves[LOSS]):,} iterations"
    )
    return 0 if all(borne) else 1


def show(rows: list[tuple[str, ...]], *, markdown: bool) -> None:
    """Print the table."""
    if markdown:
        for cells in (HEADINGS, ("---",) * len(HEADINGS), *rows):
            print(f"| {' | '.join(cells)} |")
        return
    table = Table(*HEADINGS)
    for cells in rows:
        table.add_row(*cells)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
