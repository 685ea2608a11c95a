"""For a report: the smallest programs that show what a run found, if the search takes no more than a few seconds."""

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
_LONGEST = 200  # operations: nobody reads a longer program
_MOST_BYTES = 512 * 1024 * 1024  # of values that a search may hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A run that can be repeated.

    Attributes:
        result: its result.
        comparison: its two caches.
        stream: gives the spec and the operations of the caches that showed a divergence.
    """

    result: Result
    comparison: Comparison
    stream: Callable[[Divergence], tuple[CacheSpec, Iterator[Operation]]]


def add_programs(sources: list[Source], *, seconds: float = SECONDS) -> None:
    """Add programs to the results, for the first unexpected divergence of each of the first `MOST` groups.

    Corruption comes first. Nothing else in the results changes, whatever the caches do. A Ctrl-C ends the searches.

    Args:
        sources: the runs.
        seconds: the most that the search for one program may take.
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
    """None if time or memory runs out, or the divergence does not show a second time."""
    found = attempt(_minimized, source, divergence, Deadline(seconds))
    if found is None or isinstance(found, Raised):  # raised: the cache may do something else the second time
        return None
    if len(found.case) > _LONGEST:
        return None
    names = (source.comparison.reference, source.comparison.candidate)
    text = program(found.case, names=names, plain=found.plain_values)
    if found.interrupted:
        return f"# the smallest program found in time; `kvparity minimize` may find a smaller one\n{text}"
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
    """The same operations, each also appended to `done`.

    Raises:
        OutOfTimeError: the values take too much memory.
    """
    held_bytes = 0
    for operation in operations:
        if isinstance(operation, Set):
            held_bytes += sum([tensor.nbytes for tensor in read(operation.value)[0]])
            if held_bytes > _MOST_BYTES:
                raise OutOfTimeError
        done.append(operation)
        yield operation
