"""`kvparity fuzz`: searches for operations that two caches answer differently."""

from __future__ import annotations

import math
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from kvparity.commands.argument_types import at_least, seconds
from kvparity.commands.as_campaign import add_campaign_options, is_campaign
from kvparity.commands.command import Command
from kvparity.commands.session import Session
from kvparity.commands.shared_options import add_comparison_options
from kvparity.errors import UsageError
from kvparity.report import Progress
from kvparity.report.console import open_console
from kvparity.search.fuzz import Fuzzer
from kvparity.search.fuzz_folder import database_path, fuzz_into

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from kvparity.results.result import Result

DEFAULT_EXAMPLES = 1_000
_SEEDS = 1 << 32


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--examples",
        type=at_least(1),
        metavar="N",
        help=f"try N sequences of operations (default {DEFAULT_EXAMPLES:,})",
    )
    parser.add_argument("--time", type=seconds, metavar="T", help="stop after this long: 90s, 5m, 2h")
    parser.add_argument(
        "--seed",
        type=at_least(0),
        metavar="N",
        help="repeat an earlier run (default: a new seed each time; the result names it)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("kvparity-fuzz"),
        metavar="DIR",
        help="keep here what is found, and what to try first the next time (default ./kvparity-fuzz)",
    )
    add_comparison_options(parser)
    add_campaign_options(parser)


def _fuzz(options: argparse.Namespace) -> int:
    """Search in this process, or as a campaign.

    Raises:
        UsageError: a cache cannot be found, options contradict each other, or a file cannot be written.
        UnusableCacheError: a cache cannot be built.
        TraceError: a trace of what was found cannot be written.
    """
    session = Session(options)
    with session:
        console = open_console(quiet=True) if options.quiet else session.console
        session.add(_by_campaign(session, console) if is_campaign(options) else _here(session, console))
    return session.finish()


def _by_campaign(session: Session, console: Console) -> Result:
    options = session.options
    if options.time is not None:
        raise UsageError(
            "--time cannot be used in a campaign, which finds the same on any machine: give --examples instead"
        )
    seed = options.seed
    if seed is None:  # the same command must continue a campaign that is kept in a folder
        seed = 0 if options.campaign else secrets.randbelow(_SEEDS)
    return session.campaign().fuzz(count=options.examples or DEFAULT_EXAMPLES, seed=seed, console=console)


def _here(session: Session, console: Console) -> Result:
    options = session.options
    by_time = options.time is not None
    examples = DEFAULT_EXAMPLES if options.examples is None and not by_time else options.examples
    total = math.ceil(options.time) if by_time else examples
    with Progress(console, "fuzzing", total, unit="s" if by_time else "ex") as progress:
        comparison = session.comparison()
        fuzzer = Fuzzer(
            comparison,
            seed=secrets.randbelow(_SEEDS) if options.seed is None else options.seed,
            examples=examples,
            seconds=options.time,
            database=database_path(options.output, comparison),
            progress=lambda fuzzer: progress(int(fuzzer.elapsed_s) if by_time else fuzzer.examples),
        )
        return fuzz_into(options.output, fuzzer, comparison, say=lambda text: console.print(Text(text), soft_wrap=True))


COMMAND = Command(
    name="fuzz",
    summary="search for operations that both caches answer differently",
    details="Hypothesis makes up the operations. Each kind of difference is kept once, with the\n"
    "fewest operations that show it: as a trace, as a program and as a pytest file.",
    example="kvparity fuzz --candidate my_package.my_module:MyManager --time 5m",
    add_options=_add_options,
    run=_fuzz,
)
