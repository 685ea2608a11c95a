"""`kvparity minimize`: a failing trace made small, as a trace, as a program and as a test."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

from rich.text import Text

from kvparity.commands.session import check_file
from kvparity.errors import TraceError
from kvparity.report import Progress
from kvparity.search.case import Case, Shown, Signature, first_divergence, first_shown
from kvparity.search.case_files import copy_trace, describe_minimal, make_folder_of, test_path, write_case
from kvparity.search.minimize import FlakyError, Minimal, Minimizer
from kvparity.traces.reader import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from kvparity.driving.comparison import Comparison
    from kvparity.operations import Operation
    from kvparity.results.divergence import Divergence


def minimize(
    path: Path, output: Path, comparison: Comparison, *, regressions: Path | None, console: Console
) -> Minimal | None:
    """Minimize the first unexpected divergence of a trace into `output`, and print it; None where there is none.

    Args:
        path: the trace.
        output: the small trace to write; a pytest file comes beside it.
        comparison: of which caches, and what is known of them.
        regressions: a folder whose traces the pytest plugin replays; the small trace is filed there as well.
        console: where to print.

    Raises:
        TraceError: `path` is no trace, or what is to be written exists already.
        UsageError: there is no folder for it.
        FlakyError: the trace does not show the same divergence twice.
    """
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
        console.print(Text(f"filed: {filed}, which pytest replays from now on"), soft_wrap=True)
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
