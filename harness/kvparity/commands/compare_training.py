"""`kvparity compare-training`: trains one script under one seed with each cache, and compares what it logs."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from kvparity.commands.command import Command
from kvparity.commands.conclusion import check_files
from kvparity.commands.exit_status import DIVERGENCE, PARITY
from kvparity.errors import UsageError
from kvparity.files import write_text
from kvparity.registry import DEFAULT_CANDIDATE
from kvparity.report.console import open_console
from kvparity.training.options import DEFAULT_REFERENCE
from kvparity.training.paired.observing import PATTERN
from kvparity.training.paired.one_run import Plan, read_run
from kvparity.training.paired.outcome import DIFFERENT, SAME, pair
from kvparity.training.paired.serving import LOOKUPS
from kvparity.training.script import check_target

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from kvparity.training.paired.outcome import Paired, TrainingRun

EXPLAINED = "explained"
RUNS = {"reference": "reference", "candidate": "candidate", "reference again": "reference"}
_TAIL_LINES = 20
_MIB = 1 << 20


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", dest="module", action="store_true", help="run a module, as `python -m` does")
    parser.add_argument("target", metavar="SCRIPT", help="a training script, or with -m the name of a module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="arguments of the script")
    parser.add_argument(
        "--reference",
        default=DEFAULT_REFERENCE,
        metavar="NAME",
        help=f"how the report names LightZero's own caches (default {DEFAULT_REFERENCE})",
    )
    parser.add_argument(
        "--candidate",
        default=DEFAULT_CANDIDATE,
        metavar="NAME",
        help=f"the cache under test, named as in `kvparity run --help` (default {DEFAULT_CANDIDATE})",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of all that is drawn at random (default 0)"
    )
    parser.add_argument(
        "--curves",
        type=_regex,
        default=PATTERN,
        metavar="REGEX",
        help=f"compare the logged numbers whose names match (default {PATTERN!r})",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("kvparity-trainings"),
        metavar="DIR",
        help="a new folder for the curves and the output of each training (default ./kvparity-trainings)",
    )


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a regular expression: {error}") from None
    return text


def _compare_training(options: argparse.Namespace) -> int:
    """Train, compare, write and print.

    Raises:
        UsageError: the script does not exist, a training wrote no result, or a file cannot be written.
    """
    check_files(options)
    console = open_console()
    paired = _trained(options, console)
    try:
        if options.json:
            write_text(options.json, json.dumps(paired.as_dict(), indent=2) + "\n")
    finally:
        console.print(_render(paired))
        console.print(_verdict_of(paired), soft_wrap=True)
    return PARITY if paired.verdict == SAME else DIVERGENCE


def _trained(options: argparse.Namespace, console: Console) -> Paired:
    """Train with the reference, with the candidate in its place, and with the reference once more.

    If the candidate's training differs, train once more with both caches, to see where the caches first differ.

    Raises:
        UsageError: the script does not exist, the folder cannot be used, or a training wrote no result.
    """
    check_target(options.target, module=options.module)
    paired = pair(*(_run(name, serve, options, console) for name, serve in RUNS.items()))
    if paired.verdict != DIFFERENT:
        return paired
    return replace(paired, caches_part_at=_run(EXPLAINED, "both", options, console).first_divergence)


def _run(name: str, serve: str, options: argparse.Namespace, console: Console) -> TrainingRun:
    """One training."""
    folder: Path = options.output / name.replace(" ", "-")
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(f"{folder} exists already: choose another folder with -o, or remove it") from None
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}") from None
    plan = Plan(
        name=name,
        folder=str(folder.resolve()),
        target=options.target,
        module=options.module,
        arguments=tuple(options.arguments),
        serve=serve,
        reference=options.reference,
        candidate=options.candidate,
        seed=options.seed,
        pattern=options.curves,
    )
    console.print(Text(f"training: {name}; its output goes to {folder}/output.log"), soft_wrap=True)
    return _train(plan, folder)


def _train(plan: Plan, folder: Path) -> TrainingRun:
    """Run one training in a process of its own."""
    log = folder / "output.log"
    environment = {**os.environ, "PYTHONHASHSEED": str(plan.seed % (1 << 32))}
    with log.open("w", encoding="utf-8") as output:
        command = [sys.executable, "-m", "kvparity.training.paired.one_run", str(plan.write())]
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False)  # noqa: S603
    run = read_run(folder)
    if run is None:
        tail = " | ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:])
        raise UsageError(
            f"the training {plan.name} ended with status {done.returncode} and wrote no result; its output ends: {tail}"
        )
    return run


def _render(paired: Paired) -> RenderableType:
    """The three trainings side by side, without the verdict."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    runs = (paired.reference, paired.candidate, paired.again)
    for run in runs:
        table.add_column(Text(f"{run.name}\n{run.served_by}"), justify="right")
    rows = {
        "learner iterations": [f"{run.iterations:,}" for run in runs],
        "samples per second": [f"{run.samples_per_s:,.1f}" for run in runs],
        "peak memory": [f"{run.peak_bytes / _MIB:,.0f} MiB" for run in runs],
        "mean memory": [f"{run.mean_bytes / _MIB:,.0f} MiB" for run in runs],
        "wall time": [f"{run.wall_s:.1f} s" for run in runs],
    }
    rows[f"hit rate, all {LOOKUPS}"] = [_hit_rate(run, LOOKUPS) for run in runs]
    for pool in ("init", "recur"):
        rows[f"hit rate, {pool}"] = [_hit_rate(run, pool) for run in runs]
        rows[f"evictions, {pool}"] = [_count(run, pool, "evictions") for run in runs]
    for title, cells in rows.items():
        table.add_row(title, *cells)
    return table


def _verdict_of(paired: Paired) -> Text:
    """The verdict in one line, and a second one if it is known at which operation the caches first differ."""
    text = f"{paired.verdict}: {paired.reason}"
    if paired.caches_part_at:
        text += f"\nthe two caches first differ at {paired.caches_part_at}"
    style = "bold green" if paired.verdict == SAME else "bold red"
    return Text(text, style=style)


def _hit_rate(run: TrainingRun, pool: str) -> str:
    row = run.stats.get(pool, {})
    hits, misses = row.get("hits"), row.get("misses")
    if hits is None or misses is None or not hits + misses:
        return "-"
    return f"{hits / (hits + misses):.2%}"


def _count(run: TrainingRun, pool: str, name: str) -> str:
    number = run.stats.get(pool, {}).get(name)
    return "-" if number is None else f"{number:,}"


COMMAND = Command(
    name="compare-training",
    summary="train under one seed with each cache, and compare the losses",
    details="The script is run three times: with its own caches, with the candidate in their place,\n"
    "and with its own caches again, which shows what two equal trainings differ in anyway.",
    example="kvparity compare-training --candidate my_package.my_module:MyManager train.py",
    add_options=_add_options,
    run=_compare_training,
)
