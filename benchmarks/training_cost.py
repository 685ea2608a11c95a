"""What shadowing costs a real training: whole runs in turn, as ratios to the run alone in the same round.

    LD_PRELOAD=$PWD/still_clock.so python benchmarks/training_cost.py [--rounds 5] [--own-learner] [--side-by-side] ...

Each round trains LightZero's CartPole UniZero alone, shadowed, shadowed with the candidate doing each operation at
once, and shadowed and recorded, every other round in the opposite order. With --side-by-side each of the others runs at
the same time as one alone, on a core each, taking turns with the cores: a machine that is slower at one time than at
another is so for both. (A recording's own thread has no core to go to then.) The learner of the example has batches of
8, so that a training takes seconds and is mostly search: the worst case for a shadow. With --own-learner it has
LightZero's batches of 256 and as many updates as LightZero does.

Time is the training's own, without imports. CPU time says what shadowing costs also where others use the machine; wall
time is what is waited for. Beside the ratios stands the harness's own account: the time that it measured in its own
calls, and that without the candidate's calls, which will be the model's own after the switch. In an environment with
LightZero (`scenarios/kvparity_scenarios/recorded/requirements.txt`).
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
    """One training, in seconds; by the harness's own account, what it took of them, and what of that the candidate."""

    wall_s: float
    cpu_s: float
    account_s: float = 0.0
    candidate_s: float = 0.0


def train(kind: str, folder: Path, options: argparse.Namespace, core: int | None = None) -> Took:
    """One training in a process of its own, on that core."""
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
    """A round: one alone, and one of each kind, one after the other."""
    order = [ALONE, *kinds][:: 1 if number % 2 == 0 else -1]
    took = {kind: train(kind, folder / kind, options) for kind in order}
    return {kind: (took[ALONE], took[kind]) for kind in kinds}


def side_by_side(
    number: int, kinds: list[str], folder: Path, options: argparse.Namespace
) -> dict[str, tuple[Took, Took]]:
    """A round: one of each kind, and one alone at the same time."""
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
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument("--steps", type=int, default=400, help="of the environment (default 400)")
    parser.add_argument(OWN_LEARNER, action="store_true", help="LightZero's batches of 256, not the example's of 8")
    parser.add_argument("--side-by-side", action="store_true", help="each beside one alone, at the same time")
    parser.add_argument("--candidate", default=DEFAULT_CANDIDATE, metavar="NAME")
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
    Console(width=150).print(f"more than alone, of {options.rounds} rounds the median, least and most", table, sep="\n")
    return 0


def spread(shares: list[float]) -> str:
    """The median, and between what all lie."""
    return f"{statistics.median(shares):+.1%} ({min(shares):+.1%} to {max(shares):+.1%})"


if __name__ == "__main__":
    sys.exit(main())
