"""The command line: `kvparity list`, `run`, `replay`, `fuzz`, `minimize` and `shadow`.

Exit status: 0 parity, 1 a divergence that `--fail-on` counts, 2 bad input (one line says what, and how to mend it),
3 interrupted (what was found so far is reported). `shadow` ends with its script's own status where that is not 0.
"""

from __future__ import annotations

import argparse
import math
import secrets
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import torch
from rich.console import Console

from harness.commands.fuzz import database, fuzz
from harness.commands.listing import SECTIONS, show
from harness.commands.minimize import minimize
from harness.commands.options import at_least, seconds
from harness.commands.shadow import add_options, shadow
from harness.compare import Tolerance
from harness.errors import KVParityError, UsageError
from harness.fuzz import Fuzzer
from harness.loading import (
    DEFAULT_CANDIDATE,
    DEFAULT_REFERENCE,
    load_scenario,
    trace_path,
)
from harness.recording import TraceWriter
from harness.replay import Comparison
from harness.report import Progress, render, verdict_line, write_json, write_page
from harness.result import FAIL_ON, Result, merge
from harness.settings import REGRESSIONS, read_settings
from harness.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PARITY, DIVERGENCE, BAD_INPUT, INTERRUPTED = 0, 1, 2, 3
DEFAULT_TRACE = "cartpole-unizero"
DEFAULT_SCENARIO = "mcts"
DEFAULT_STEPS = 20_000
DEFAULT_EXAMPLES = 1_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    try:
        options = _parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except KVParityError as error:
        print(f"kvparity: error: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("kvparity: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return PARITY


def _run(options: argparse.Namespace) -> int:
    session = _Session(options)
    if options.record and len(options.scenario) != 1:
        raise UsageError("--record needs exactly one scenario: name it, as in `kvparity run mcts --record FILE`")
    if not options.scenario:
        session.trace(DEFAULT_TRACE, steps=None)
    for name in options.scenario or [DEFAULT_SCENARIO]:
        session.scenario(name)
    return session.finish()


def _replay(options: argparse.Namespace) -> int:
    session = _Session(options)
    for name in options.trace:
        session.trace(name, steps=options.steps)
    return session.finish()


def _fuzz(options: argparse.Namespace) -> int:
    session = _Session(options)
    session.fuzz()
    return session.finish()


def _minimize(options: argparse.Namespace) -> int:
    torch.set_num_threads(1)
    comparison = Comparison(options.reference, options.candidate)
    path = trace_path(options.trace)
    found = minimize(path, options.output, comparison, regressions=options.regressions, console=Console())
    if found is None:
        print(f"{path}: {options.reference} and {options.candidate} agree; there is nothing to minimize")
        return PARITY
    return INTERRUPTED if found.interrupted else DIVERGENCE


def _shadow(options: argparse.Namespace) -> int:
    settings = read_settings(options.config)
    options.fail_on = options.fail_on or settings.shadow.get("fail-on", "behaviour")
    if options.fail_on not in FAIL_ON:
        raise UsageError(f"fail-on must be one of {', '.join(FAIL_ON)}, got {options.fail_on!r}")
    _check_files(options)
    shadowed = shadow(options, settings)
    ours = _conclude(shadowed.result, options, Console())
    if shadowed.status:
        print(f"kvparity: {options.target} itself ended with status {shadowed.status}", file=sys.stderr)
    return shadowed.status or ours


class _Session:
    """The workloads of one command, one after the other, until one is interrupted."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.set_num_threads(1)  # the tensors are small: more threads only wait for each other
        self._options = options
        self._known = read_settings(options.config).known
        _check_files(options)
        self._console = Console()
        self._results: list[Result] = []

    def scenario(self, name: str) -> None:
        if self._interrupted:
            return
        scenario, options = load_scenario(name), self._options
        steps = DEFAULT_STEPS if options.steps is None else options.steps
        writer: TraceWriter | nullcontext[None] = nullcontext()
        if options.record:
            note = f"kvparity run {name} --seed {options.seed} --steps {steps}"
            writer = TraceWriter(
                options.record,
                tensors=options.tensors,
                served_by=options.reference,
                seed=options.seed,
                note=note,
            )
        with Progress(self._console, scenario.name, steps) as progress, writer as recording:
            comparison = self._comparison(progress)
            self._results.append(comparison.scenario(scenario, seed=options.seed, steps=steps, writer=recording))

    def trace(self, name: str, *, steps: int | None) -> None:
        if self._interrupted:
            return
        with Trace(trace_path(name)) as trace:
            total = len(trace) if steps is None else min(steps, len(trace))
            with Progress(self._console, name, total) as progress:
                self._results.append(self._comparison(progress).trace(trace, workload=name, steps=steps))

    def fuzz(self) -> None:
        options = self._options
        examples, seconds = options.examples, options.time
        if examples is None and seconds is None:
            examples = DEFAULT_EXAMPLES
        seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
        by_time = seconds is not None
        total = math.ceil(seconds) if by_time else examples
        console = Console(quiet=True) if options.quiet else self._console
        with Progress(console, "fuzzing", total, unit="s" if by_time else "ex") as progress:
            comparison = self._comparison(None)
            fuzzer = Fuzzer(
                comparison,
                seed=seed,
                examples=examples,
                seconds=seconds,
                database=database(options.output, comparison),
                progress=lambda fuzzer: progress(int(fuzzer.elapsed_s) if by_time else fuzzer.examples),
            )
            self._results.append(fuzz(fuzzer, comparison, options.output, console=console))

    def finish(self) -> int:
        return _conclude(merge(self._results), self._options, self._console)

    @property
    def _interrupted(self) -> bool:
        return bool(self._results) and self._results[-1].interrupted

    def _comparison(self, progress: Progress | None) -> Comparison:
        options = self._options
        tolerance = None
        if options.compare == "tolerance":
            tolerance = Tolerance(rtol=options.rtol, atol=options.atol)
        return Comparison(
            options.reference, options.candidate, tolerance=tolerance, known=self._known, progress=progress
        )


def _check_files(options: argparse.Namespace) -> None:
    """Before much work is done: whether what it comes to could be written."""
    if options.json and not options.json.parent.is_dir():
        raise UsageError(f"{options.json} cannot be written: there is no directory {options.json.parent}")


def _conclude(result: Result, options: argparse.Namespace, console: Console) -> int:
    """Report a result everywhere that was asked for; its exit status."""
    if not options.quiet:
        console.print(render(result))
    console.print(verdict_line(result, fail_on=options.fail_on), soft_wrap=True)
    if options.json:
        write_json(result, options.json)
    if options.report:
        write_page(result, options.report, fail_on=options.fail_on)
    if result.interrupted:
        return INTERRUPTED
    if result.fails(options.fail_on):
        return DIVERGENCE
    return INTERRUPTED if result.training is not None and result.training.stopped else PARITY


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (`{self.prog} --help` explains)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="kvparity",
        description="Proves, or disproves, that a refactored KV cache behaves like the one it replaces.",
        epilog="exit status: 0 parity, 1 divergence, 2 bad input, 3 interrupted",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="caches, scenarios, faults and bundled traces")
    listing.add_argument("section", nargs="?", choices=tuple(SECTIONS), help="only these")
    listing.set_defaults(command=lambda options: show(options.section))

    run = commands.add_parser("run", help="drive both caches with scenarios")
    run.add_argument(
        "scenario",
        nargs="*",
        metavar="SCENARIO",
        help=f"names, see `kvparity list`; without one, the trace {DEFAULT_TRACE} and then {DEFAULT_SCENARIO}",
    )
    _add_common(run)
    run.add_argument("--steps", type=at_least(1), metavar="N", help=f"operations of each (default {DEFAULT_STEPS:,})")
    run.add_argument("--seed", type=at_least(0), default=0, help="of the scenarios (default 0)")
    run.add_argument("--record", type=Path, metavar="FILE", help="write what happens to a new .kvtrace file")
    run.add_argument("--tensors", choices=("full", "fingerprint"), default="full", help="what --record keeps")
    run.set_defaults(command=_run)

    replay = commands.add_parser("replay", help="recorded traces through both caches")
    replay.add_argument("trace", nargs="+", metavar="TRACE", help=".kvtrace files or names of bundled traces")
    _add_common(replay)
    replay.add_argument("--steps", type=at_least(1), metavar="N", help="operations of each (default all)")
    replay.set_defaults(command=_replay)

    fuzzing = commands.add_parser("fuzz", help="look for operations that tell two caches apart")
    _add_common(fuzzing)
    fuzzing.add_argument(
        "--examples",
        type=at_least(1),
        metavar="N",
        help=f"streams of operations to try (default {DEFAULT_EXAMPLES:,})",
    )
    fuzzing.add_argument("--time", type=seconds, metavar="T", help="how long to try: 90s, 5m, 2h")
    fuzzing.add_argument("--seed", type=at_least(0), help="repeats a run (default: a new one each time, printed)")
    fuzzing.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("kvparity-fuzz"),
        metavar="DIR",
        help="keeps what is found, and the examples to try first the next time (default ./kvparity-fuzz)",
    )
    fuzzing.set_defaults(command=_fuzz)

    smaller = commands.add_parser("minimize", help="the shortest trace that shows a trace's first divergence")
    smaller.add_argument("trace", metavar="TRACE", help="a .kvtrace file or the name of a bundled trace")
    smaller.add_argument("-o", "--output", type=Path, required=True, metavar="SMALL", help="a new .kvtrace file")
    smaller.add_argument(
        "--regressions",
        type=Path,
        nargs="?",
        const=Path(REGRESSIONS),
        metavar="DIR",
        help=f"file it there as well, where the pytest plugin replays it (without DIR: {REGRESSIONS})",
    )
    _add_sides(smaller)
    smaller.set_defaults(command=_minimize)

    shadowing = commands.add_parser("shadow", help="a training script, with a candidate in its caches' shadow")
    add_options(shadowing)
    _add_output(shadowing, fail_on=None)
    shadowing.set_defaults(command=_shadow)
    return parser


def _add_sides(parser: argparse.ArgumentParser) -> None:
    cache = "a name from `kvparity list`, fault:NAME, or package.module:attribute"
    parser.add_argument("--reference", default=DEFAULT_REFERENCE, metavar="NAME", help=f"side that serves: {cache}")
    parser.add_argument("--candidate", default=DEFAULT_CANDIDATE, metavar="NAME", help=f"side on trial: {cache}")


def _add_common(parser: argparse.ArgumentParser) -> None:
    _add_sides(parser)
    parser.add_argument("--compare", choices=("bitwise", "tolerance"), default="bitwise")
    parser.add_argument("--rtol", type=float, help="with --compare tolerance; default as in torch.testing")
    parser.add_argument("--atol", type=float, help="with --compare tolerance; default as in torch.testing")
    _add_output(parser, fail_on="behaviour")


def _add_output(parser: argparse.ArgumentParser, *, fail_on: str | None) -> None:
    parser.add_argument(
        "--fail-on",
        choices=FAIL_ON,
        default=fail_on,
        help="exit with 1 from this severity on (default behaviour)",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (default ./kvparity.toml)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write the report as a page, and the JSON result")
    parser.add_argument("--quiet", action="store_true", help="print the verdict only")


if __name__ == "__main__":
    sys.exit(main())
