"""A minimal case, written as a trace and as a pytest file, and shown as a program."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from rich.text import Text

from kvparity.errors import TraceError, UsageError
from kvparity.operations import describe
from kvparity.search.program import program, test_file, test_name
from kvparity.traces.writer import TraceWriter

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from kvparity.driving.comparison import Comparison
    from kvparity.results.divergence import Divergence
    from kvparity.search.case import Case
    from kvparity.search.minimize import Minimal


def write(case: Case, divergence: Divergence, output: Path, comparison: Comparison, *, source: str) -> None:
    """The case as a new `.kvtrace` file, and beside it a pytest file that replays that.

    Raises:
        TraceError: a file cannot be written.
    """
    write_trace(case, divergence, output, comparison, source=source)
    test = test_of(output)
    names = (comparison.reference, comparison.candidate)
    title = f"{divergence.kind}: {divergence.explanation}"
    try:
        test.write_text(test_file(output, names=names, title=title), encoding="utf-8")
    except OSError as error:
        raise TraceError(f"{test} cannot be written: {error.strerror}") from None


def test_of(output: Path) -> Path:
    """The pytest file that `write` puts beside a trace."""
    return output.with_name(f"{test_name(output)}.py")


def write_trace(case: Case, divergence: Divergence, output: Path, comparison: Comparison, *, source: str) -> None:
    """The case as a new `.kvtrace` file.

    Raises:
        TraceError: it cannot be written.
    """
    note = f"{source}: {divergence.kind}, wrong: {divergence.wrong}"
    with TraceWriter(output, served_by=comparison.reference, candidate=comparison.candidate, note=note) as writer:
        stream = writer.stream("minimal", case.spec)
        for operation in case.operations:
            writer.record(stream, operation)


def file_away(trace: Path, target: Path) -> None:
    """A copy of the trace as `target`, whose folder is made where there is none.

    Raises:
        UsageError: it cannot be written.
    """
    make_folder_of(target)
    try:
        shutil.copyfile(trace, target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from None


def make_folder_of(file: Path) -> None:
    """Make the folder that a file is to be written into, where there is none.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from None


def show(found: Minimal, output: Path, comparison: Comparison, console: Console, *, before: int) -> None:
    """What it shows, the program, and the operation that makes the difference."""
    case, divergence = found.case, found.divergence
    state = "interrupted; the best so far is" if found.interrupted else "minimal:"
    console.print(
        f"{state} {len(case)} of {before:,} operations, after {found.tests:,} tries"
        f" ({divergence.kind}, wrong: {divergence.wrong}, reproducible)",
        soft_wrap=True,
    )
    console.print(Text(divergence.explanation), soft_wrap=True)
    if divergence.difference:
        console.print(Text(divergence.difference), soft_wrap=True)
    names = (comparison.reference, comparison.candidate)
    source = program(case, names=names, trace=output, plain=found.plain_values)
    console.print(source, soft_wrap=True, markup=False)
    if found.needed is not None and len(case) > 1:
        needed = describe(case.operations[found.needed])
        console.print(Text(f"it passes without operation {found.needed}: {needed}"), soft_wrap=True)
    console.print(Text(f"written: {output} and {test_name(output)}.py beside it"), soft_wrap=True)
