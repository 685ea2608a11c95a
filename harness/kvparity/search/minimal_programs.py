"""For a report: the smallest programs that show what a run found, as far as they are found in a few seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvparity.caches.exceptions import Raised, attempt
from kvparity.operations import Set
from kvparity.results.divergence import CORRUPTION
from kvparity.search.case import Case, Signature, first_shown
from kvparity.search.minimize import Deadline, Minimal, Minimizer, OutOfTimeError
from kvparity.search.program import program
from kvparity.values.entry import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kvparity.caches.protocol import CacheSpec
    from kvparity.driving.comparison import Comparison
    from kvparity.operations import Operation
    from kvparity.results.divergence import Divergence
    from kvparity.results.result import Result

MOST = 3
SECONDS = 10.0
_LONGEST = 200  # operations that anybody would read
_MOST_BYTES = 512 * 1024 * 1024  # of values, to search in


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A run that can be repeated.

    Attributes:
        result: what it came to.
        comparison: of which caches.
        stream: for a divergence, the spec and the operations of the caches that it was found in.
    """

    result: Result
    comparison: Comparison
    stream: Callable[[Divergence], tuple[CacheSpec, Iterator[Operation]]]


def add_programs(sources: list[Source], *, seconds: float = SECONDS) -> None:
    """Add the programs to the results: of the first unexpected divergence of each of the first `MOST` groups.

    Corruption comes first. Nothing else about the results changes, whatever the caches do, and a Ctrl-C only ends a
    search, or all of them.
    """
    wanted: dict[tuple[str, str], Source] = {}
    for source in sources:
        for group, first in source.result.first.items():
            if first.known is None:
                wanted.setdefault(group, source)
    groups = sorted(wanted, key=lambda group: wanted[group].result.first[group].severity != CORRUPTION)
    try:
        for group in groups[:MOST]:
            source = wanted[group]
            found = _program(source, source.result.first[group], seconds)
            if found is not None:
                source.result.programs[group] = found
    except KeyboardInterrupt:
        return


def _program(source: Source, divergence: Divergence, seconds: float) -> str | None:
    """None where it is not found in time or memory, or the divergence is not shown a second time."""
    found = attempt(_minimized, source, divergence, Deadline(seconds))
    if found is None or isinstance(found, Raised):  # raised: the cache may do something else the second time
        return None
    if len(found.case) > _LONGEST:
        return None
    names = (source.comparison.reference, source.comparison.candidate)
    text = program(found.case, names=names, plain=found.plain_values)
    if found.interrupted:
        return f"# the smallest that was found in time; `kvparity minimize` may find a smaller one\n{text}"
    return text


def _minimized(source: Source, divergence: Divergence, deadline: Deadline) -> Minimal | None:
    spec, operations = source.stream(divergence)
    done: list[Operation] = []
    signature = Signature.of(divergence)
    shown = first_shown(source.comparison, spec, _noted(deadline.before_each(operations), done), signature)
    if shown is None:
        return None
    case = Case(spec=spec, operations=tuple(done[: shown.after]))
    return Minimizer(source.comparison, case, signature, deadline=deadline).run()


def _noted(operations: Iterator[Operation], done: list[Operation]) -> Iterator[Operation]:
    """The same operations, which are kept in `done` as long as memory allows."""
    held_bytes = 0
    for operation in operations:
        if isinstance(operation, Set):
            held_bytes += sum([tensor.nbytes for tensor in read(operation.value)[0]])
            if held_bytes > _MOST_BYTES:
                raise OutOfTimeError
        done.append(operation)
        yield operation
