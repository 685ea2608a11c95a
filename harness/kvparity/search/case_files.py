"""A minimal case as files: a trace, a pytest file that replays it, and the text that tells a user about both."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from kvparity.errors import TraceError, UsageError
from kvparity.operations import describe
from kvparity.search.program import program, test_file, test_name
from kvparity.traces.writer import TraceWriter

if TYPE_CHECKING:
    from pathlib import Path

    from kvparity.driving.comparison import Comparison
    from kvparity.results.divergence import Divergence
    from kvparity.search.case import Case
    from kvparity.search.minimize import Minimal


def write_case(case: Case, divergence: Divergence, output: Path, comparison: Comparison, *, source: str) -> None:
    """Write the case as a new `.kvtrace` file, and beside it a pytest file that replays the trace.

    Raises:
        TraceError: a file cannot be written.
    """
    write_trace(case, divergence, output, comparison, source=source)
    test = test_path(output)
    names = (comparison.reference, comparison.candidate)
    title = f"{divergence.kind}: {divergence.explanation}"
    try:
        test.write_text(test_file(output, names=names, title=title), encoding="utf-8")
    except OSError as error:
        raise TraceError(f"{test} cannot be written: {error.strerror}") from None


def test_path(output: Path) -> Path:
    """The pytest file that `write_case` puts beside a trace."""
    return output.with_name(f"{test_name(output)}.py")


def write_trace(case: Case, divergence: Divergence, output: Path, comparison: Comparison, *, source: str) -> None:
    """Write the case as a new `.kvtrace` file.

    Raises:
        TraceError: it cannot be written.
    """
    note = f"{source}: {divergence.kind}, wrong: {divergence.wrong}"
    with TraceWriter(output, served_by=comparison.reference, candidate=comparison.candidate, note=note) as writer:
        stream = writer.stream("minimal", case.spec)
        for operation in case.operations:
            writer.record(stream, operation)


def copy_trace(trace: Path, target: Path) -> None:
    """Copy the trace to `target`; its folder is made if it does not exist.

    Raises:
        UsageError: it cannot be written.
    """
    make_folder_of(target)
    try:
        shutil.copyfile(trace, target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from None


def make_folder_of(file: Path) -> None:
    """Make the folder of `file` if it does not exist.

    Raises:
        UsageError: it cannot be made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from None


def describe_minimal(found: Minimal, output: Path, comparison: Comparison, *, before: int) -> str:
    """What the case shows, its program, and the last operation that it needs.

    Args:
        found: the minimal case.
        output: the trace that it was written to.
        comparison: the two caches.
        before: operations before the search.
    """
    case, divergence = found.case, found.divergence
    state = "interrupted, the smallest so far:" if found.interrupted else "minimal:"
    names = (comparison.reference, comparison.candidate)
    size = f"{len(case)} of {before:,} operations, after {found.tries:,} tries"
    lines = [
        f"{state} {size} ({divergence.kind}, wrong: {divergence.wrong}, reproducible)",
        divergence.explanation,
        divergence.difference,
        program(case, names=names, trace=output, plain=found.plain_values),
    ]
    if found.needed is not None and len(case) > 1:
        needed = describe(case.operations[found.needed])
        lines.append(f"without operation {found.needed} the divergence is gone: {needed}")
    lines.append(f"written: {output}, and {test_name(output)}.py beside it")
    return "\n".join(line for line in lines if line)
