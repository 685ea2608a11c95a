"""The folder that `kvparity fuzz` fills: each way in which two caches differ, minimized, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xxhash

from kvparity.errors import UsageError
from kvparity.results.result import KeptCase
from kvparity.search.case import Case, Signature, first_divergence
from kvparity.search.case_files import describe_minimal, write_case
from kvparity.search.minimize import FlakyError, Minimizer
from kvparity.search.program import program
from kvparity.traces.reader import Trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kvparity.driving.comparison import Comparison
    from kvparity.results.result import Result
    from kvparity.search.fuzz import Finding, Fuzzer

EXAMPLES = "examples"


def fuzz_into(
    folder: Path, fuzzer: Fuzzer, comparison: Comparison, *, say: Callable[[str], None] = lambda _: None
) -> Result:
    """Run the fuzzer to its end, and write each finding into `folder`, minimized.

    Args:
        folder: made if it does not exist.
        fuzzer: of the two caches.
        comparison: the same two caches, to minimize with.
        say: called with a text about each finding, as soon as it is written.

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
            case, source, fuzzer.interrupted = _keep(finding, comparison, folder, say)
            kept.append(case)
            programs.setdefault((case.kind, case.wrong), source)
            if fuzzer.interrupted:
                break
    except KeyboardInterrupt:
        fuzzer.interrupted = True
    result = fuzzer.result()
    result.cases, result.programs = kept, programs
    return result


def database_path(folder: Path, comparison: Comparison) -> Path:
    """Where failing examples are kept for the next run; each pair of caches has its own place."""
    return folder / EXAMPLES / _digest(comparison.reference, comparison.candidate)


def _keep(
    finding: Finding, comparison: Comparison, folder: Path, say: Callable[[str], None]
) -> tuple[KeptCase, str, bool]:
    """Write a finding, minimized, unless an earlier run wrote it; return it, its program, and whether interrupted."""
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
        except FlakyError:  # it was shown three times, and then not again
            reproducible = False
    if path.exists():
        with Trace(path) as trace:
            spec = next(iter(trace.streams.values())).spec
            case = Case(spec=spec, operations=tuple(recorded.operation for recorded in trace))
        say(f"found again: {path}: {divergence.explanation}")
    elif found is None:
        write_case(case, divergence, path, comparison, source="found by fuzzing, flaky")
        say(
            f"flaky: {divergence.kind}, wrong: {divergence.wrong}: {divergence.explanation}. The same {len(case)}"
            f" operations did not show it again, so they are kept as they are: {path}"
        )
    else:
        interrupted, plain = found.interrupted, found.plain_values
        write_case(found.case, found.divergence, path, comparison, source="found by fuzzing")
        say(describe_minimal(found, path, comparison, before=len(case)))
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
