"""`Session`: runs the workloads of a command one after the other, then reports on all of them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch

from kvparity.commands.as_campaign import Campaign
from kvparity.commands.conclusion import check_files, conclude
from kvparity.commands.termination import termination_deferred, termination_interrupts
from kvparity.driving.comparison import Comparison
from kvparity.registry import trace_path
from kvparity.report import Progress
from kvparity.report.console import open_console
from kvparity.results.adding import merge
from kvparity.search.minimal_programs import Source, add_programs
from kvparity.settings import read_settings
from kvparity.shadow.timeout import Patience
from kvparity.traces.reader import Trace
from kvparity.traces.remote import identity, is_url, local_trace
from kvparity.values.difference import Tolerance

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kvparity.caches.protocol import CacheSpec
    from kvparity.operations import Operation
    from kvparity.results.divergence import Divergence
    from kvparity.results.result import Result


class Session:
    """The workloads of one command, one after the other, until one is interrupted.

    Run the workloads inside it, as a context manager: there, calls of caches time out, and SIGTERM interrupts.

    Args:
        options: of the command line.

    Attributes:
        options: the same.
        console: where to print.

    Raises:
        UsageError: the settings cannot be read, or the result cannot be written.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        torch.set_num_threads(1)  # the tensors are so small that more threads make it slower
        self.options = options
        self._known = read_settings(options.config).known
        check_files(options)
        self.console = open_console()
        self._results: list[Result] = []
        self._files: list[Path] = []
        self._sources: list[Source] = []
        self._within = ExitStack()
        self._cut = False

    def __enter__(self) -> None:
        self._within.enter_context(termination_interrupts())
        self._within.enter_context(Patience(self.options.patience).always())

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        """Suppress an interrupt if there is a result to report."""
        self._within.close()
        self._cut = kind is KeyboardInterrupt and bool(self._results)
        return self._cut

    @property
    def interrupted(self) -> bool:
        """Whether a workload was interrupted, so that no other one is started."""
        return self._cut or (bool(self._results) and self._results[-1].interrupted)

    def comparison(self, progress: Progress | None = None) -> Comparison:
        """The comparison that the options ask for."""
        reference, candidate = self.options.reference, self.options.candidate
        return Comparison(reference, candidate, tolerance=self._tolerance, known=self._known, progress=progress)

    def campaign(self) -> Campaign:
        """The campaign that the options ask for.

        Raises:
            UsageError: a cache cannot be found.
            UnusableCacheError: a cache cannot be built.
        """
        return Campaign(self.options, tolerance=self._tolerance, known=self._known, console=self.console)

    def add(self, result: Result, *, source: Source | None = None, files: Sequence[Path] = ()) -> None:
        """Add the result of one workload.

        Args:
            result: of the workload.
            source: its operations, from which the report makes short programs.
            files: that the result comes from.
        """
        self._results.append(result)
        self._files += files
        if source is not None:
            self._sources.append(source)

    def traces(self, names: Sequence[str], *, steps: int | None) -> None:
        """Replay traces through both caches, one after the other.

        Raises:
            UsageError: a trace does not exist. This raises before any trace is replayed.
            TraceError: a file is not a trace. If opening it shows that, this raises before any trace is replayed.
        """
        if len(names) > 1:
            _open_all(names)
        for name in names:
            self._trace(name, steps)

    def _trace(self, name: str, steps: int | None) -> None:
        if self.interrupted:
            return
        with local_trace(name) as path, Trace(path) as trace:
            total = len(trace) if steps is None else min(steps, len(trace))
            with Progress(self.console, name, total) as progress:
                comparison = self.comparison(progress)
                result = comparison.trace(trace, workload=name, steps=steps)

        def stream(divergence: Divergence) -> tuple[CacheSpec, Iterator[Operation]]:
            with Trace(path) as trace:
                number = next(trace.operations(divergence.number)).stream
                spec = trace.streams[number].spec
            return spec, _stream(path, number, steps)

        source = Source(result=result, comparison=comparison, stream=stream)
        self.add(result, source=source, files=[] if is_url(name) else [path])

    def finish(self) -> int:
        """Report on all workloads, and return the exit status."""
        if self.options.report and not self.interrupted:
            patience = Patience(self.options.patience)
            with self.console.status("shortening what was found"), termination_interrupts(), patience.always():
                add_programs(self._sources)
        with termination_deferred():
            result = merge(self._results)
            result.interrupted |= self._cut
            return conclude(result, self.options, self.console, files=self._files)

    @property
    def _tolerance(self) -> Tolerance | None:
        options = self.options
        return Tolerance(rtol=options.rtol, atol=options.atol) if options.compare == "tolerance" else None


def _open_all(names: Sequence[str]) -> None:
    """Raise if one of these traces does not exist. Traces behind a URL are fetched only when they are replayed."""
    for name in names:
        if is_url(name):
            identity(name)
        else:
            with Trace(trace_path(name)):
                pass


def _stream(path: Path, number: int, steps: int | None) -> Iterator[Operation]:
    """The operations of one stream, among the first `steps` of the trace."""
    with Trace(path) as trace:
        for recorded in trace.operations(0, steps):
            if recorded.stream == number:
                yield recorded.operation
