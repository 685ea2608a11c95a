"""What shadowing costs a real training: whole runs in turn, as ratios to the run alone in the same round.

    LD_PRELOAD=$PWD/still_clock.so python benchmarks/training_cost.py [--rounds 5] [--own-learner] ...

Each round trains LightZero's CartPole UniZero alone, shadowed, and shadowed and recorded, every other round in the
opposite order. The learner of the example has batches of 8, so that a training takes seconds and is mostly search: the
worst case for a shadow. With --own-learner it has LightZero's batches of 256 and as many updates as LightZero does.

Time is the training's own, without imports. CPU time says what shadowing costs also where others use the machine; wall
time is what is waited for. Beside the ratios stands the harness's own account: the time that it measured in its own
calls, and that without the candidate's calls, which will be the model's own after the switch. In an environment with
LightZero (`scenarios/recorded/requirements.txt`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from observed_cartpole import OWN_LEARNER
from rich.console import Console
from rich.progress import track
from rich.table import Table

from harness.loading import DEFAULT_CANDIDATE
from harness.report import read_result

SCRIPT = Path(__file__).resolve().parent / "observed_cartpole.py"
ALONE, SHADOWED, RECORDED = "alone", "shadowed", "shadowed and recorded"


class Took(NamedTuple):
    """One training, in seconds; by the harness's own account, what it took of them, and what of that the candidate."""

    wall_s: float
    cpu_s: float
    account_s: float = 0.0
    candidate_s: float = 0.0


def train(kind: str, folder: Path, options: argparse.Namespace) -> Took:
    """One training in a process of its own."""
    folder.mkdir(parents=True)
    result, trace = folder / "result.json", folder / "new.kvtrace"
    shadow = ["-m", "harness.cli", "shadow", "--quiet", "--max-share", "none", "--candidate", options.candidate]
    shadow += ["--json", str(result), *(["--record", str(trace)] if kind == RECORDED else [])]
    command = [sys.executable, *([] if kind == ALONE else shadow), str(SCRIPT), str(folder)]
    command += [*([OWN_LEARNER] if options.own_learner else []), str(options.steps)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"{kind}: status {done.returncode}\n{done.stderr[-2000:]}")
    times = json.loads((folder / "times.json").read_text(encoding="utf-8"))
    if kind == ALONE:
        return Took(times["wall_s"], times["cpu_s"])
    read = read_result(result)
    assert read.training is not None
    assert read.candidate_s is not None
    return Took(times["wall_s"], times["cpu_s"], read.training.shadow_s, read.candidate_s)


def main() -> int:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument("--steps", type=int, default=400, help="of the environment (default 400)")
    parser.add_argument(OWN_LEARNER, action="store_true", help="LightZero's batches of 256, not the example's of 8")
    parser.add_argument("--candidate", default=DEFAULT_CANDIDATE, metavar="NAME")
    options = parser.parse_args()
    kinds = (ALONE, SHADOWED, RECORDED)
    rounds: list[dict[str, Took]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for number in track(range(options.rounds), description="rounds", transient=True):
            rounds.append({})
            for kind in kinds if number % 2 == 0 else reversed(kinds):
                folder = Path(temporary) / f"{number}-{kind.replace(' ', '-')}"
                rounds[-1][kind] = train(kind, folder, options)
    heads = ("run", "wall time", "CPU time", "own account", "without the candidate's calls", "seconds alone")
    table = Table(*heads, box=None, pad_edge=False)
    for kind in (SHADOWED, RECORDED):
        table.add_row(
            kind,
            spread([took[kind].wall_s / took[ALONE].wall_s - 1 for took in rounds]),
            spread([took[kind].cpu_s / took[ALONE].cpu_s - 1 for took in rounds]),
            spread([took[kind].account_s / took[kind].wall_s for took in rounds]),
            spread([(took[kind].account_s - took[kind].candidate_s) / took[kind].wall_s for took in rounds]),
            f"{statistics.median(took[ALONE].wall_s for took in rounds):.1f}",
        )
    Console(width=150).print(f"more than alone, of {options.rounds} rounds the median, least and most", table, sep="\n")
    return 0


def spread(shares: list[float]) -> str:
    """The median, and between what all lie."""
    return f"{statistics.median(shares):+.1%} ({min(shares):+.1%} to {max(shares):+.1%})"


if __name__ == "__main__":
    sys.exit(main())
