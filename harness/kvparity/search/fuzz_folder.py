"""`kvparity fuzz`: each way in which two caches part, minimized and kept once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xxhash
from rich.text import Text

from kvparity.errors import UsageError
from kvparity.results.result import KeptCase
from kvparity.search.case import Case, Signature, first_divergence
from kvparity.search.case_files import show, write
from kvparity.search.minimize import FlakyError, Minimizer
from kvparity.search.program import program
from kvparity.traces.reader import Trace

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from kvparity.driving.comparison import Comparison
    from kvparity.results.result import Result
    from kvparity.search.fuzz import Finding, Fuzzer

EXAMPLES = "examples"


def fuzz(fuzzer: Fuzzer, comparison: Comparison, folder: Path, *, console: Console) -> Result:
    """Try until examples or time run out, and keep what is found in `folder`, made small and each once.

    Raises:
        UsageError: the folder cannot be made, or a cache cannot be found.
        UnusableCacheError: a cache cannot be built.
        TraceError: a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}") from None
    kept: list[KeptCase] = []
    programs: dict[tuple[str, str], str] = {}
    try:
        for finding in fuzzer.findings():
            case, source, fuzzer.interrupted = _keep(finding, comparison, folder, console)
            kept.append(case)
            programs.setdefault((case.kind, case.wrong), source)
            if fuzzer.interrupted:
                break
    except KeyboardInterrupt:
        fuzzer.interrupted = True
    result = fuzzer.result()
    result.cases, result.programs = kept, programs
    return result


def database(folder: Path, comparison: Comparison) -> Path:
    """Where examples that failed are kept for the next time: apart for each pair of caches."""
    return folder / EXAMPLES / _digest(comparison.reference, comparison.candidate)


def _keep(finding: Finding, comparison: Comparison, folder: Path, console: Console) -> tuple[KeptCase, str, bool]:
    """Write what was found, as small as it gets, unless an earlier run did; its program; whether it was interrupted."""
    case, divergence = finding.case, finding.divergence
    signature = Signature.of(divergence)
    digest = _digest(comparison.reference, comparison.candidate, *signature)
    path = folder / f"{divergence.kind}-{divergence.wrong}-{digest}.kvtrace"
    again = [first_divergence(comparison, case.spec, case.operations, signature) for _ in range(2)]
    reproducible = None not in again
    interrupted = plain = False
    found = None
    if reproducible and not path.exists():
        try:
            found = Minimizer(comparison, case, signature).run()
        except FlakyError:  # it was shown three times, and then no more
            reproducible = False
    if path.exists():
        with Trace(path) as trace:
            spec = next(iter(trace.streams.values())).spec
            case = Case(spec=spec, operations=tuple(recorded.operation for recorded in trace))
        console.print(Text(f"found again: {path}: {divergence.explanation}"), soft_wrap=True)
    elif found is None:
        write(case, divergence, path, comparison, source="found by fuzzing, flaky")
        console.print(
            Text(
                f"flaky: {divergence.kind}, wrong: {divergence.wrong}: {divergence.explanation}; the same {len(case)}"
                f" operations did not show it again, so they are kept as they are: {path}"
            ),
            soft_wrap=True,
        )
    else:
        interrupted, plain = found.interrupted, found.plain_values
        write(found.case, found.divergence, path, comparison, source="found by fuzzing")
        show(found, path, comparison, console, before=len(case))
        case = found.case
    kept = KeptCase(
        kind=divergence.kind,
        wrong=divergence.wrong,
        explanation=divergence.explanation,
        operations=len(case),
        reproducible=reproducible,
        trace=str(path),
    )
    names = (comparison.reference, comparison.candidate)
    return kept, program(case, names=names, trace=path, plain=plain), interrupted


def _digest(*words: str) -> str:
    return xxhash.xxh3_64_hexdigest("\0".join(words).encode())
