"""`kvparity minimize`: shortens a failing trace, and writes it as a trace, as a program and as a test."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from rich.text import Text

from kvparity.commands.command import Command
from kvparity.commands.conclusion import check_file
from kvparity.commands.exit_status import DIVERGENCE, INTERRUPTED, PARITY
from kvparity.commands.shared_options import add_cache_options, add_config_option, add_patience_option
from kvparity.driving.comparison import Comparison
from kvparity.errors import TraceError
from kvparity.report import Progress
from kvparity.report.console import open_console
from kvparity.search.case import Case, Shown, Signature, first_divergence, first_shown
from kvparity.search.case_files import copy_trace, describe_minimal, make_folder_of, test_path, write_case
from kvparity.search.minimize import FlakyError, Minimal, Minimizer
from kvparity.settings import REGRESSIONS, read_settings
from kvparity.shadow.timeout import Patience
from kvparity.text import one_line
from kvparity.traces.reader import Trace
from kvparity.traces.remote import local_trace

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from rich.console import Console

    from kvparity.operations import Operation
    from kvparity.results.divergence import Divergence


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", help="a .kvtrace file, a URL, or the name of a bundled trace")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="SMALL",
        help="the short trace to write, a new .kvtrace file",
    )
    parser.add_argument(
        "--regressions",
        type=Path,
        nargs="?",
        const=Path(REGRESSIONS),
        metavar="DIR",
        help=f"also copy it to a folder whose traces the pytest plugin replays (without DIR: {REGRESSIONS})",
    )
    add_cache_options(parser)
    add_patience_option(parser)
    add_config_option(parser)


def _minimize(options: argparse.Namespace) -> int:
    """Shorten a trace to its first unexpected divergence. The exit status is 0 if it has none.

    Raises:
        TraceError: the file is not a trace, or a file to write exists already.
        UsageError: the folder to write to does not exist, or a cache cannot be found.
        UnusableCacheError: a cache cannot be built.
        FlakyError: the trace does not show the same divergence twice.
    """
    torch.set_num_threads(1)
    known = read_settings(options.config).known
    comparison = Comparison(options.reference, options.candidate, known=known)
    console = open_console()
    with Patience(options.patience).always(), local_trace(options.trace) as path:
        found = _minimal(path, options.output, comparison, regressions=options.regressions, console=console)
    if found is None:
        names = f"{options.reference} and {options.candidate}"
        agree = "agree, except for accepted differences" if known else "agree"
        line = f"{one_line(str(path))}: {names} {agree}; there is nothing to minimize"
        console.print(Text(line), soft_wrap=True)
        return PARITY
    return INTERRUPTED if found.interrupted else DIVERGENCE


def _minimal(
    path: Path, output: Path, comparison: Comparison, *, regressions: Path | None, console: Console
) -> Minimal | None:
    """Shorten a trace, write the short one and show it. Returns None if the trace has no unexpected divergence."""
    filed = None if regressions is None else regressions / output.name
    in_place = bool(output.name) and filed is not None and os.path.realpath(filed) == os.path.realpath(output)
    if not in_place:
        check_file(output)
    for file in filter(None, (output, test_path(output), filed)):
        if os.path.lexists(file):
            raise TraceError(f"{file} exists already: choose another name or remove it")
    with Trace(path) as trace:
        stream = _first_stream(trace, comparison)
        if stream is None:
            return None
        number, (divergence, after) = stream
        spec = trace.streams[number].spec
        _make_sure_it_is_reproducible(trace, number, comparison, divergence)
        case = Case(spec=spec, operations=tuple(islice(_operations(trace, number), after)))
    with Progress(console, f"minimizing {path.name}", len(case)) as progress:
        search = Minimizer(
            comparison,
            case,
            Signature.of(divergence),
            progress=lambda left, _tries: progress(len(case) - left),
        )
        found = search.run()
    if in_place:
        make_folder_of(output)
    write_case(found.case, found.divergence, output, comparison, source=f"minimized from {path.name}")
    console.print(Text(describe_minimal(found, output, comparison, before=len(case))), soft_wrap=True)
    if filed is not None:
        if not in_place:
            copy_trace(output, filed)
        console.print(Text(f"copied to {filed}: pytest replays it from now on"), soft_wrap=True)
    return found


def _first_stream(trace: Trace, comparison: Comparison) -> tuple[int, Shown] | None:
    """The stream that diverges first, and how."""
    found = [
        (number, shown)
        for number, stream in trace.streams.items()
        if (shown := first_shown(comparison, stream.spec, _operations(trace, number))) is not None
    ]
    return min(found, key=lambda each: each[1].divergence.number, default=None)


def _make_sure_it_is_reproducible(trace: Trace, stream: int, comparison: Comparison, divergence: Divergence) -> None:
    again = first_divergence(comparison, trace.streams[stream].spec, _operations(trace, stream))
    if again is None or (again.number, Signature.of(again)) != (divergence.number, Signature.of(divergence)):
        second = "found nothing" if again is None else f"found {again.kind} at operation {again.number}"
        raise FlakyError(
            f"{trace.path} is flaky: the first run found {divergence.kind} at operation {divergence.number}, the second"
            f" {second}"
        )


def _operations(trace: Trace, stream: int) -> Iterator[Operation]:
    return (recorded.operation for recorded in trace if recorded.stream == stream)


COMMAND = Command(
    name="minimize",
    summary="shorten a trace to the fewest operations that show its first difference",
    details="The short trace is written with a pytest file beside it, and printed as a program.",
    example="kvparity minimize long.kvtrace -o short.kvtrace --candidate my_package.my_module:MyManager",
    add_options=_add_options,
    run=_minimize,
)
