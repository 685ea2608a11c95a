"""The options of every command."""

from __future__ import annotations

import argparse
import sys
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from kvparity.commands.argument_types import add_patience, at_least, seconds
from kvparity.commands.bench import add_options as bench_options
from kvparity.commands.campaign import add_options as campaign_options
from kvparity.commands.compare_training import add_options as training_options
from kvparity.commands.listing import SECTIONS
from kvparity.commands.session import DEFAULT_EXAMPLES, DEFAULT_STEPS
from kvparity.commands.shadow import add_options as shadow_options
from kvparity.commands.verdict import add_options as verdict_options
from kvparity.errors import UsageError
from kvparity.registry import DEFAULT_CANDIDATE, DEFAULT_REFERENCE
from kvparity.results.result import FAIL_ON
from kvparity.settings import REGRESSIONS

DEFAULT_TRACE = "cartpole-unizero"
DEFAULT_SCENARIO = "mcts"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (`{self.prog} --help` explains)")


class _Version(argparse.Action):
    """Prints the version, which is only looked up when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        sys.stdout.write(f"kvparity {metadata.version('kvparity')}\n")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; which command it was is in `command`."""
    parser = _Parser(
        prog="kvparity",
        description="Proves, or disproves, that a refactored KV cache behaves like the one it replaces.",
        epilog="exit status: 0 parity or GO, 1 divergence or NO-GO, 2 bad input, 3 interrupted, 4 INCONCLUSIVE",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print kvparity's version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="caches, scenarios, faults and bundled traces")
    listing.add_argument("section", nargs="?", choices=tuple(SECTIONS), help="only these")

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

    replay = commands.add_parser("replay", help="recorded traces through both caches")
    replay.add_argument("trace", nargs="+", metavar="TRACE", help=".kvtrace files, URLs or names of bundled ones")
    _add_common(replay)
    replay.add_argument("--steps", type=at_least(1), metavar="N", help="operations of each (default all)")
    campaign_options(replay)

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
    campaign_options(fuzzing)

    trainings = commands.add_parser(
        "compare-training", help="the same training under one seed, served by either cache: are its losses equal?"
    )
    training_options(trainings)

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
    add_patience(smaller)
    smaller.add_argument("--config", type=Path, metavar="FILE", help="settings (default ./kvparity.toml)")

    benching = commands.add_parser(
        "bench", help="what caches cost, side by side, and which pool sizes a workload needs"
    )
    bench_options(benching)
    reporting = commands.add_parser("report", help="the HTML report of results that were written with --json")
    reporting.add_argument("result", nargs="+", type=Path, metavar="RESULT", help="JSON results of one pair of caches")
    reporting.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where to write index.html")
    reporting.add_argument("--config", type=Path, metavar="FILE", help="settings (default ./kvparity.toml)")
    reporting.add_argument(
        "--fail-on", choices=FAIL_ON, default="behaviour", help="what the verdict counts (default behaviour)"
    )

    shadowing = commands.add_parser("shadow", help="a training script, with a candidate in its caches' shadow")
    shadow_options(shadowing)
    _add_output(shadowing, fail_on=None)

    judging = commands.add_parser("verdict", help="GO, NO-GO or INCONCLUSIVE: may the candidate take over?")
    verdict_options(judging)
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
    add_patience(parser)
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
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="write the report as an HTML page, and the JSON result"
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML, for CI")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write a summary in GitHub's Markdown, for CI; $GITHUB_STEP_SUMMARY is added to, another file replaced",
    )
    parser.add_argument("--quiet", action="store_true", help="print the verdict only")
