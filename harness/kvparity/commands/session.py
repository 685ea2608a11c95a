"""What the commands that compare have in common: their workloads, one after the other, and the report on them."""

from __future__ import annotations

import math
import secrets
from contextlib import ExitStack, nullcontext, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from rich.text import Text

from kvparity.commands.campaign import Campaign, is_campaign
from kvparity.commands.termination import termination_deferred, termination_interrupts
from kvparity.driving.comparison import Comparison
from kvparity.errors import UsageError
from kvparity.evidence.provenance import provenance, source_file
from kvparity.files import write_text
from kvparity.registry import factory_of, is_path, load_scenario, trace_path
from kvparity.report import Progress, make_sure_it_can_be_made, render, verdict_line, write_page
from kvparity.report.console import open_console
from kvparity.report.junit import junit
from kvparity.report.markdown import summary
from kvparity.report.output_files import write_summary
from kvparity.results.adding import merge
from kvparity.results.writing import write_json
from kvparity.search.fuzz import Fuzzer
from kvparity.search.fuzz_folder import database_path, fuzz_into
from kvparity.search.minimal_programs import Source, add_programs
from kvparity.settings import read_settings
from kvparity.shadow.timeout import Patience
from kvparity.traces.reader import Trace
from kvparity.traces.remote import identity, is_url, local_trace
from kvparity.traces.writer import TraceWriter
from kvparity.values.difference import Tolerance
from kvparity.verdict import verdict_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from kvparity.caches.protocol import CacheFactory, CacheSpec
    from kvparity.operations import Operation
    from kvparity.registry import Scenario
    from kvparity.results.divergence import Divergence
    from kvparity.results.result import Result

PARITY, DIVERGENCE, BAD_INPUT, INTERRUPTED = 0, 1, 2, 3
DEFAULT_STEPS = 20_000
DEFAULT_EXAMPLES = 1_000


class Session:
    """The workloads of one command, one after the other, until one is interrupted.

    They are run within it as a context manager: there, calls of caches are ended whose time is up, and a request to end
    interrupts.

    Args:
        options: of the command line.

    Raises:
        UsageError: the settings cannot be read, or the result could not be written.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        torch.set_num_threads(1)  # the tensors are small: more threads only wait for each other
        self._options = options
        self._known = read_settings(options.config).known
        check_files(options)
        self._console = open_console()
        self._results: list[Result] = []
        self._files: list[Path] = []
        self._sources: list[Source] = []
        self._within = ExitStack()
        self._cut = False

    def __enter__(self) -> None:
        self._within.enter_context(termination_interrupts())
        self._within.enter_context(Patience(self._options.patience).always())

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        """What is done already is reported, wherever the interrupt came."""
        self._within.close()
        self._cut = kind is KeyboardInterrupt and bool(self._results)
        return self._cut

    def scenarios(self, names: Sequence[str]) -> None:
        """Drive both caches with scenarios, each once, and record that where it was asked for.

        Raises:
            UsageError: there is no scenario of one of the names, which is told before any is run.
        """
        for name, scenario in {name: load_scenario(name) for name in names}.items():
            self._scenario(name, scenario)

    def _scenario(self, name: str, scenario: Scenario) -> None:
        if self._interrupted:
            return
        options = self._options
        steps = DEFAULT_STEPS if options.steps is None else options.steps
        writer: TraceWriter | nullcontext[None] = nullcontext()
        if options.record:
            self._comparison(None).shadow(scenario.spec)  # caches that cannot be built leave no empty recording
            note = f"kvparity run {name} --seed {options.seed} --steps {steps}"
            writer = TraceWriter(
                options.record,
                tensors=options.tensors,
                served_by=options.reference,
                seed=options.seed,
                note=note,
            )
        with Progress(self._console, scenario.name, steps) as progress, writer as recording:
            comparison = self._comparison(progress)
            result = comparison.scenario(scenario, seed=options.seed, steps=steps, writer=recording)
        self._results.append(result)

        def stream(_divergence: Divergence) -> tuple[CacheSpec, Iterator[Operation]]:
            return scenario.spec, islice(scenario.operations(options.seed), steps)

        self._sources.append(Source(result=result, comparison=comparison, stream=stream))

    def traces(self, names: Sequence[str], *, steps: int | None) -> None:
        """Replay traces through both caches, one after the other.

        Raises:
            UsageError: one of them is not there, which is told before any is replayed.
            TraceError: one of them is no trace; likewise, as far as opening it tells.
        """
        if len(names) > 1:
            _open_all(names)
        for name in names:
            self._trace(name, steps)

    def _trace(self, name: str, steps: int | None) -> None:
        if self._interrupted:
            return
        with local_trace(name) as path, Trace(path) as trace:
            if not is_url(name):
                self._files.append(path)
            total = len(trace) if steps is None else min(steps, len(trace))
            with Progress(self._console, name, total) as progress:
                comparison = self._comparison(progress)
                result = comparison.trace(trace, workload=name, steps=steps)
        self._results.append(result)

        def stream(divergence: Divergence) -> tuple[CacheSpec, Iterator[Operation]]:
            with Trace(path) as trace:
                number = next(trace.operations(divergence.number)).stream
                spec = trace.streams[number].spec
            return spec, _stream(path, number, steps)

        self._sources.append(Source(result=result, comparison=comparison, stream=stream))

    def replay(self, names: Sequence[str], *, steps: int | None) -> None:
        """Replay traces, each once, one after the other or as a campaign."""
        names = list(dict.fromkeys(names))
        if is_campaign(self._options):
            self._results.append(self._campaign().replay(names, steps=steps))
            self._files += [trace_path(name) for name in names if not is_url(name)]
            return
        self.traces(names, steps=steps)

    def fuzz(self) -> None:
        """Look for operations that tell the two apart."""
        options = self._options
        examples, seconds = options.examples, options.time
        if is_campaign(options):
            if seconds is not None:
                raise UsageError("a campaign comes to the same whoever runs it: give --examples in the place of --time")
            count, seed = examples or DEFAULT_EXAMPLES, options.seed
            if seed is None:  # a campaign that is kept goes on from where it was, so its seed is no surprise
                seed = 0 if options.campaign else secrets.randbelow(1 << 32)
            console = open_console(quiet=True) if options.quiet else self._console
            self._results.append(self._campaign().fuzz(count=count, seed=seed, console=console))
            return
        if examples is None and seconds is None:
            examples = DEFAULT_EXAMPLES
        seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
        by_time = seconds is not None
        total = math.ceil(seconds) if by_time else examples
        console = open_console(quiet=True) if options.quiet else self._console
        with Progress(console, "fuzzing", total, unit="s" if by_time else "ex") as progress:
            comparison = self._comparison(None)
            fuzzer = Fuzzer(
                comparison,
                seed=seed,
                examples=examples,
                seconds=seconds,
                database=database_path(options.output, comparison),
                progress=lambda fuzzer: progress(int(fuzzer.elapsed_s) if by_time else fuzzer.examples),
            )
            self._results.append(
                fuzz_into(
                    options.output, fuzzer, comparison, say=lambda text: console.print(Text(text), soft_wrap=True)
                )
            )

    def finish(self) -> int:
        """Report what it came to; the exit status."""
        if self._options.report and not self._interrupted:
            patience = Patience(self._options.patience)
            with self._console.status("making small what was found"), termination_interrupts(), patience.always():
                add_programs(self._sources)
        with termination_deferred():
            result = merge(self._results)
            result.interrupted |= self._cut
            return conclude(result, self._options, self._console, files=self._files)

    @property
    def _interrupted(self) -> bool:
        return self._cut or (bool(self._results) and self._results[-1].interrupted)

    @property
    def _tolerance(self) -> Tolerance | None:
        options = self._options
        return Tolerance(rtol=options.rtol, atol=options.atol) if options.compare == "tolerance" else None

    def _campaign(self) -> Campaign:
        return Campaign(self._options, tolerance=self._tolerance, known=self._known, console=self._console)

    def _comparison(self, progress: Progress | None) -> Comparison:
        reference, candidate = self._options.reference, self._options.candidate
        return Comparison(reference, candidate, tolerance=self._tolerance, known=self._known, progress=progress)


def _open_all(names: Sequence[str]) -> None:
    """Make sure that these traces are there; what is elsewhere is fetched when its turn comes."""
    for name in names:
        if is_url(name):
            identity(name)
        else:
            with Trace(trace_path(name)):
                pass


def _stream(path: Path, number: int, steps: int | None) -> Iterator[Operation]:
    """The operations of one stream of a trace, as far as it was replayed."""
    with Trace(path) as trace:
        for recorded in trace.operations(0, steps):
            if recorded.stream == number:
                yield recorded.operation


def check_files(options: argparse.Namespace) -> None:
    """Before much work is done: make sure that what it comes to can be written.

    Raises:
        UsageError: it cannot.
    """
    for name in ("json", "junit", "markdown", "certificate"):
        path = getattr(options, name, None)
        if path is not None:
            check_file(path)
    if getattr(options, "report", None):
        make_sure_it_can_be_made()


def check_file(path: Path) -> None:
    """Before much work is done: make sure that there is a folder for this file, and none in its place.

    Raises:
        UsageError: there is not.
    """
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no directory {path.parent}")
    if path.is_dir():
        raise UsageError(f"{path} cannot be written: it is a directory")


def conclude(result: Result, options: argparse.Namespace, console: Console, *, files: Sequence[Path]) -> int:
    """Report a result, which came of these files, everywhere that was asked for; its exit status.

    Files come first: whoever reads what is printed may have gone.
    """
    if options.json or options.report:
        result.provenance = provenance(options.command_line, files=files, caches=_factories(result))
    thresholds = read_settings(options.config).verdict
    verdict = verdict_of([result], thresholds=thresholds)
    line = verdict_line(result, fail_on=options.fail_on)
    try:
        if options.junit:
            write_text(options.junit, junit(result, verdict, fail_on=options.fail_on))
        if options.markdown:
            write_summary(options.markdown, summary(result, verdict, line=line.plain))
        if options.json:
            write_json(result, options.json)
        if options.report:
            write_page(result, options.report, fail_on=options.fail_on, thresholds=thresholds)
    finally:
        if not options.quiet:
            for side, name, file in _origins(result):
                console.print(Text(f"{side}  {name} ({file})"), soft_wrap=True)
            console.print(render(result))
            console.print(Text(f"`kvparity verdict` on this alone: {verdict.line}", style="dim"), soft_wrap=True)
        console.print(line, soft_wrap=True)
    if result.interrupted:
        return INTERRUPTED
    if result.fails(options.fail_on):
        return DIVERGENCE
    return INTERRUPTED if result.stopped else PARITY


def _origins(result: Result) -> Iterator[tuple[str, str, Path]]:
    """Of each side that is named by its module or file: which side, its name, and the file that it came from.

    So that a reader sees whether the class that was tested is the one that was meant.
    """
    for side, given in (("reference", result.reference), ("candidate", result.candidate)):
        name = given.partition(" (")[0]
        if not is_path(name):
            continue
        with suppress(UsageError):
            file = source_file(factory_of(name))
            if file is not None:
                yield side, name, file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def _factories(result: Result) -> Iterator[tuple[str, CacheFactory]]:
    """The two caches by name, as far as they are found by it: a training's own are not."""
    for name in dict.fromkeys(name.partition(" (")[0] for name in (result.reference, result.candidate)):
        with suppress(UsageError):
            yield name, factory_of(name)
