"""`kvparity minimize`: a failing trace made small, as a trace, as a program and as a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.text import Text

from harness.case import Case, Signature, first_divergence
from harness.errors import TraceError, UsageError
from harness.minimize import Minimal, Minimizer
from harness.operations import Set, describe
from harness.program import program, test_file, test_name
from harness.recording import TraceWriter
from harness.report import Progress
from harness.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from harness.divergence import Divergence
    from harness.operations import Operation
    from harness.replay import Comparison

_PLAIN = """\
def plain(number):  # a small value that is like no other number's
    value = KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=2, head_dim=2, size=1)
    value._row.fill_(number)
    return value"""


class FlakyError(UsageError):
    """The trace does not show the same divergence twice."""


def minimize(path: Path, output: Path, comparison: Comparison, *, console: Console) -> Minimal | None:
    """Minimize the first divergence of the trace at `path` into `output`, and print it; None where there is none.

    Raises:
        TraceError: `path` is no trace, or `output` cannot be written.
        FlakyError: the trace does not show the same divergence twice.
    """
    if output.exists():
        raise TraceError(f"{output} exists already: choose another name or remove it")
    with Trace(path) as trace:
        stream = _first_stream(trace, comparison)
        if stream is None:
            return None
        number, divergence = stream
        spec = trace.streams[number].spec
        _make_sure_it_is_reproducible(trace, number, comparison, divergence)
        case = Case(spec=spec, operations=tuple(_prefix(trace, number, divergence)))
    with Progress(console, f"minimizing {path.name}", len(case)) as progress:
        search = Minimizer(
            comparison,
            case,
            Signature.of(divergence),
            progress=lambda left, _tests: progress(len(case) - left),
        )
        found = search.run()
    _write(found, output, comparison, source=path)
    _print(found, output, comparison, console, before=len(case))
    return found


def _first_stream(trace: Trace, comparison: Comparison) -> tuple[int, Divergence] | None:
    """The stream that diverges first, and how."""
    found = [
        (number, divergence)
        for number, stream in trace.streams.items()
        if (divergence := first_divergence(comparison, stream.spec, _operations(trace, number))) is not None
    ]
    return min(found, key=lambda each: each[1].number, default=None)


def _make_sure_it_is_reproducible(trace: Trace, stream: int, comparison: Comparison, divergence: Divergence) -> None:
    again = first_divergence(comparison, trace.streams[stream].spec, _operations(trace, stream))
    if again is None or (again.number, Signature.of(again)) != (divergence.number, Signature.of(divergence)):
        second = "found nothing" if again is None else f"found {again.kind} at operation {again.number}"
        raise FlakyError(
            f"{trace.path} is flaky: the first run found {divergence.kind} at operation {divergence.number}, the second"
            f" {second}; a cache that does not do the same twice cannot be minimized"
        )


def _operations(trace: Trace, stream: int) -> Iterator[Operation]:
    return (recorded.operation for recorded in trace if recorded.stream == stream)


def _prefix(trace: Trace, stream: int, divergence: Divergence) -> Iterator[Operation]:
    for number, operation in enumerate(_operations(trace, stream)):
        if divergence.kind != "stats" and number > divergence.number:
            return
        yield operation


def _write(found: Minimal, output: Path, comparison: Comparison, *, source: Path) -> None:
    note = f"minimized from {source.name}: {found.divergence.kind}, wrong: {found.divergence.wrong}"
    with TraceWriter(output, served_by=comparison.reference, candidate=comparison.candidate, note=note) as writer:
        stream = writer.stream("minimal", found.case.spec)
        for operation in found.case.operations:
            writer.record(stream, operation)
    test = output.with_name(f"{test_name(output)}.py")
    names = (comparison.reference, comparison.candidate)
    title = f"{found.divergence.kind}: {found.divergence.explanation}"
    try:
        test.write_text(test_file(output, names=names, title=title), encoding="utf-8")
    except OSError as error:
        raise TraceError(f"{test} cannot be written: {error.strerror}") from None


def _print(found: Minimal, output: Path, comparison: Comparison, console: Console, *, before: int) -> None:
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
    values, prelude = _values(found, output)
    names = (comparison.reference, comparison.candidate)
    source = program(case.operations, spec=case.spec, names=names, values=values, prelude=prelude)
    console.print(source, soft_wrap=True, markup=False)
    if found.needed is not None and len(case) > 1:
        console.print(
            f"it passes without operation {found.needed}: {escape(describe(case.operations[found.needed]))}",
            soft_wrap=True,
        )
    console.print(f"written: {output} and {test_name(output)}.py beside it", soft_wrap=True)


def _values(found: Minimal, output: Path) -> tuple[dict[int, str], str]:
    """Per set, the expression that makes its value; and the code that these need."""
    sets = {at: operation for at, operation in enumerate(found.case.operations) if isinstance(operation, Set)}
    if found.plain_values:
        return {at: f"plain({_number(operation):g})" for at, operation in sets.items()}, _PLAIN
    prelude = f"trace = Trace({str(output)!r})"
    return {at: f"trace[{at}].operation.value" for at in sets}, prelude


def _number(operation: Set) -> float:
    return float(operation.value._row.flatten()[0])
