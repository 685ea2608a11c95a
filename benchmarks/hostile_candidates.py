"""Real trainings with hostile candidates: do they finish, are their losses unchanged, and what is reported?

The script trains LightZero's CartPole UniZero alone. Then it trains under `kvparity shadow` with a correct candidate,
with a wrong one, and with each of `scenarios/kvparity_scenarios/hostile.py`. Each candidate first shadows and then
serves. Run it in an environment with LightZero (`scenarios/kvparity_scenarios/recorded/requirements.txt`).

Exit status: 1 if a training did not finish, or if a training changed that its own caches served.

Example:
    cc -shared -fPIC -o still_clock.so examples/still_clock.c
    LD_PRELOAD=$PWD/still_clock.so python benchmarks/hostile_candidates.py --steps 400
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
OTHERS = ("refactored-fifo", "fault:by-reference")  # a correct cache, and a wrong one
LOSS = "learner/weighted_total_loss"
LAST_WORDS = "losses sha256"  # the example prints this at its end
UNHURRIED = ("fault:leaks",)  # no limit of time: these must be found by their memory
HEADINGS = ("candidate", "serves", "trained", "losses", "reported", "taken out")


class Training(NamedTuple):
    """One training: whether it finished, and its curves."""

    finished: bool
    curves: Curves


class Run(NamedTuple):
    """One training with a candidate: how it ended, its curves, and what was reported of the candidate."""

    candidate: str
    serve: str
    training: Training
    result: Result

    def unharmed(self, alone: Training) -> bool:
        """Whether it finished and, if its own caches served, whether its curves equal those of the training alone."""
        return self.training.finished and (
            self.serve == "candidate" or compare_curves(alone.curves, self.training.curves).alike
        )

    def row(self, alone: Training) -> tuple[str, ...]:
        """The cells of its row."""
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
    """What was found, and the first operation with a divergence."""
    if not result.total:
        return f"nothing in {result.gets_compared:,} lookups"
    first = min(result.first.values(), key=lambda divergence: divergence.number)
    kinds = ", ".join(f"{count:,} x {kind} (wrong: {wrong})" for (kind, wrong), count in result.by_group.items())
    return f"{kinds}; the first in operation {first.number:,}"


def taken_out(result: Result) -> str:
    """When the guard took the candidate out, and why."""
    training = result.training
    if training is None or training.stopped is None:
        return "no"
    return (
        f"after {training.stopped_after_s:.1f} s, {training.stopped_after_operations:,} operations: {training.stopped}"
    )


def train(folder: Path, arguments: list[str], *, steps: int) -> Training:
    """Run the example with `python ARGUMENTS`."""
    script, curves = str(ROOT / "benchmarks" / "observed_cartpole.py"), folder / "curves.jsonl"
    command = [sys.executable, *arguments, script, str(folder), str(steps)]
    with (folder / "output.log").open("w", encoding="utf-8") as output:
        subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=os.environ, check=False)  # noqa: S603
    said = (folder / "output.log").read_text(encoding="utf-8", errors="replace")
    if not curves.is_file():
        sys.exit(said[-2000:])
    return Training(LAST_WORDS in said, read_curves(curves))


def shadowed(candidate: str, serve: str, folder: Path, *, steps: int) -> Run:
    """Run the training with a candidate."""
    result = folder / "result.json"
    shadow = ["-m", "kvparity", "shadow", "--quiet", "--json", str(result), "--candidate", candidate]
    shadow += ["--max-share", "none"] if candidate in UNHURRIED else []
    training = train(folder, [*shadow, "--serve", serve], steps=steps)
    return Run(candidate, serve, training, read_result(result))


def main() -> int:
    """Measure and print. The module's docstring lists the exit statuses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("candidate", nargs="*", metavar="CANDIDATE", help="names of candidates (default all)")
    parser.add_argument("--steps", type=int, default=400, help="steps of the environment (default 400)")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = parser.parse_args()
    candidates = options.candidate or [*OTHERS, *(f"fault:{name}" for name in HOSTILE)]
    with tempfile.TemporaryDirectory() as temporary:

        def folder(name: str) -> Path:
            made = Path(temporary) / name.replace(":", "-")
            made.mkdir(parents=True)
            return made

        alone = train(folder("alone"), [], steps=options.steps)
        if not alone.finished or LOSS not in alone.curves:
            sys.exit("the training alone did not finish, so there is nothing to compare with")
        runs = [
            shadowed(candidate, serve, folder(f"{candidate}-{serve}"), steps=options.steps)
            for serve in ("reference", "candidate")
            for candidate in candidates
        ]
    show([run.row(alone) for run in runs], markdown=options.markdown)
    unharmed = [run.unharmed(alone) for run in runs]
    print(
        f"{sum(unharmed)} of {len(runs)} trainings were not harmed; alone it had {len(alone.curves[LOSS]):,} iterations"
    )
    return 0 if all(unharmed) else 1


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
