"""What shadowing costs a real training: whole runs in turns, as ratios to the training alone in the same round.

Each round trains LightZero's CartPole UniZero four times: alone; shadowed; shadowed with the candidate doing each
operation at once; shadowed and recorded. Every second round runs in the opposite order. With `--side-by-side` each of
the last three runs at the same time as one alone, each on a core of its own, and they exchange their cores: a machine
that is slower at some times is then slower for both. (The thread of a recording has no core of its own then.)

The learner of the example has batches of 8, so a training takes seconds and consists mostly of searches. That is the
worst case for a shadow. With `--own-learner` it has LightZero's batches of 256 and as many updates as LightZero makes.

Time is the training's own, without imports. CPU time says what shadowing costs even if other programs use the machine;
wall time is what you wait for. The table also shows kvparity's own account: the time that it measured in its own calls,
and the same without the candidate's calls, which replace the model's own after the switch. Run it in an environment
with LightZero (`scenarios/kvparity_scenarios/recorded/requirements.txt`).

Example:
    LD_PRELOAD=$PWD/still_clock.so python benchmarks/training_cost.py --rounds 5 --side-by-side
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from kvparity.registry import DEFAULT_CANDIDATE
from kvparity.results.reading import read_result
from observed_cartpole import OWN_LEARNER

SCRIPT = Path(__file__).resolve().parent / "observed_cartpole.py"
ALONE, SHADOWED, AT_ONCE, RECORDED = "alone", "shadowed", "shadowed, each operation at once", "shadowed and recorded"


class Took(NamedTuple):
    """The times of one training.

    Attributes:
        wall_s: wall time.
        cpu_s: processor time.
        account_s: the time in kvparity's calls, by its own account.
        candidate_s: the part of it in the candidate's calls.
    """

    wall_s: float
    cpu_s: float
    account_s: float = 0.0
    candidate_s: float = 0.0


def train(kind: str, folder: Path, options: argparse.Namespace, core: int | None = None) -> Took:
    """Run one training in a process of its own, on core `core`."""
    folder.mkdir(parents=True)
    result, trace = folder / "result.json", folder / "new.kvtrace"
    shadow = ["-m", "kvparity", "shadow", "--quiet", "--max-share", "none", "--candidate", options.candidate]
    shadow += ["--json", str(result), *(["--record", str(trace)] if kind == RECORDED else [])]
    shadow += ["--on-divergence", "detach" if kind == AT_ONCE else "record"]
    on_core = [] if core is None else ["taskset", "-c", str(core)]
    command = [*on_core, sys.executable, *([] if kind == ALONE else shadow), str(SCRIPT), str(folder)]
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


def in_turn(number: int, kinds: list[str], folder: Path, options: argparse.Namespace) -> dict[str, tuple[Took, Took]]:
    """One round, one training after the other: the first of each pair is the one alone."""
    order = [ALONE, *kinds][:: 1 if number % 2 == 0 else -1]
    took = {kind: train(kind, folder / kind, options) for kind in order}
    return {kind: (took[ALONE], took[kind]) for kind in kinds}


def side_by_side(
    number: int, kinds: list[str], folder: Path, options: argparse.Namespace
) -> dict[str, tuple[Took, Took]]:
    """One round, each kind at the same time as one training alone: the first of each pair is the one alone."""
    cores = sorted(os.sched_getaffinity(0))[:2][:: 1 if number % 2 == 0 else -1]
    pairs = {}
    with ThreadPoolExecutor(2) as both:
        for kind in kinds:
            alone = both.submit(train, ALONE, folder / kind / "alone", options, cores[0])
            took = both.submit(train, kind, folder / kind / "not alone", options, cores[1])
            pairs[kind] = alone.result(), took.result()
    return pairs


def main() -> int:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds (default 5)")
    parser.add_argument("--steps", type=int, default=400, help="steps of the environment (default 400)")
    parser.add_argument(OWN_LEARNER, action="store_true", help="LightZero's batches of 256, not the example's of 8")
    parser.add_argument("--side-by-side", action="store_true", help="run each at the same time as one alone")
    parser.add_argument("--candidate", default=DEFAULT_CANDIDATE, metavar="NAME", help="(default %(default)s)")
    options = parser.parse_args()
    pairs: dict[str, list[tuple[Took, Took]]] = {kind: [] for kind in (SHADOWED, AT_ONCE, RECORDED)}
    with tempfile.TemporaryDirectory() as temporary:
        for number in track(range(options.rounds), description="rounds", transient=True):
            a_round = side_by_side if options.side_by_side else in_turn
            for kind, pair in a_round(number, [*pairs], Path(temporary) / str(number), options).items():
                pairs[kind].append(pair)
    heads = ("run", "wall time", "CPU time", "own account", "without the candidate's calls", "seconds alone")
    table = Table(*heads, box=None, pad_edge=False)
    for kind, both in pairs.items():
        table.add_row(
            kind,
            spread([took.wall_s / alone.wall_s - 1 for alone, took in both]),
            spread([took.cpu_s / alone.cpu_s - 1 for alone, took in both]),
            spread([took.account_s / took.wall_s for _, took in both]),
            spread([(took.account_s - took.candidate_s) / took.wall_s for _, took in both]),
            f"{statistics.median(alone.wall_s for alone, _ in both):.1f}",
        )
    Console(width=150).print(f"more than alone: median of {options.rounds} rounds, least and greatest", table, sep="\n")
    return 0


def spread(shares: list[float]) -> str:
    """The median, with the least and the greatest value."""
    return f"{statistics.median(shares):+.1%} ({min(shares):+.1%} to {max(shares):+.1%})"


if __name__ == "__main__":
    sys.exit(main())
