"""What the commands that compare have in common: their workloads, one after the other, and the report on them."""

from __future__ import annotations

import math
import secrets
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

import torch
from rich.console import Console

from harness.commands.fuzz import database, fuzz
from harness.compare import Tolerance
from harness.errors import UsageError
from harness.evidence import provenance
from harness.fuzz import Fuzzer
from harness.loading import factory_of, load_scenario, trace_path
from harness.recording import TraceWriter
from harness.replay import Comparison
from harness.report import Progress, render, verdict_line, write_json, write_page
from harness.settings import read_settings
from harness.tally import merge
from harness.trace import Trace

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from harness.caches import CacheFactory
    from harness.result import Result

PARITY, DIVERGENCE, BAD_INPUT, INTERRUPTED = 0, 1, 2, 3
DEFAULT_STEPS = 20_000
DEFAULT_EXAMPLES = 1_000


class Session:
    """The workloads of one command, one after the other, until one is interrupted.

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
        self._console = Console()
        self._results: list[Result] = []
        self._files: list[Path] = []

    def scenario(self, name: str) -> None:
        """Drive both caches with a scenario, and record that where it was asked for."""
        if self._interrupted:
            return
        scenario, options = load_scenario(name), self._options
        steps = DEFAULT_STEPS if options.steps is None else options.steps
        writer: TraceWriter | nullcontext[None] = nullcontext()
        if options.record:
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
            self._results.append(comparison.scenario(scenario, seed=options.seed, steps=steps, writer=recording))

    def trace(self, name: str, *, steps: int | None) -> None:
        """Replay a trace through both caches."""
        if self._interrupted:
            return
        path = trace_path(name)
        self._files.append(path)
        with Trace(path) as trace:
            total = len(trace) if steps is None else min(steps, len(trace))
            with Progress(self._console, name, total) as progress:
                self._results.append(self._comparison(progress).trace(trace, workload=name, steps=steps))

    def fuzz(self) -> None:
        """Look for operations that tell the two apart."""
        options = self._options
        examples, seconds = options.examples, options.time
        if examples is None and seconds is None:
            examples = DEFAULT_EXAMPLES
        seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
        by_time = seconds is not None
        total = math.ceil(seconds) if by_time else examples
        console = Console(quiet=True) if options.quiet else self._console
        with Progress(console, "fuzzing", total, unit="s" if by_time else "ex") as progress:
            comparison = self._comparison(None)
            fuzzer = Fuzzer(
                comparison,
                seed=seed,
                examples=examples,
                seconds=seconds,
                database=database(options.output, comparison),
                progress=lambda fuzzer: progress(int(fuzzer.elapsed_s) if by_time else fuzzer.examples),
            )
            self._results.append(fuzz(fuzzer, comparison, options.output, console=console))

    def finish(self) -> int:
        """Report what it came to; the exit status."""
        return conclude(merge(self._results), self._options, self._console, files=self._files)

    @property
    def _interrupted(self) -> bool:
        return bool(self._results) and self._results[-1].interrupted

    def _comparison(self, progress: Progress | None) -> Comparison:
        options = self._options
        tolerance = None
        if options.compare == "tolerance":
            tolerance = Tolerance(rtol=options.rtol, atol=options.atol)
        return Comparison(
            options.reference, options.candidate, tolerance=tolerance, known=self._known, progress=progress
        )


def check_files(options: argparse.Namespace) -> None:
    """Before much work is done: make sure that what it comes to can be written.

    Raises:
        UsageError: it cannot.
    """
    if options.json and not options.json.parent.is_dir():
        raise UsageError(f"{options.json} cannot be written: there is no directory {options.json.parent}")


def conclude(result: Result, options: argparse.Namespace, console: Console, *, files: Sequence[Path]) -> int:
    """Report a result, which came of these files, everywhere that was asked for; its exit status."""
    if options.json or options.report:
        result.provenance = provenance(options.command_line, files=files, caches=_factories(result))
    if not options.quiet:
        console.print(render(result))
    console.print(verdict_line(result, fail_on=options.fail_on), soft_wrap=True)
    if options.json:
        write_json(result, options.json)
    if options.report:
        write_page(result, options.report, fail_on=options.fail_on)
    if result.interrupted:
        return INTERRUPTED
    if result.fails(options.fail_on):
        return DIVERGENCE
    return INTERRUPTED if result.training is not None and result.training.stopped else PARITY


def _factories(result: Result) -> Iterator[tuple[str, CacheFactory]]:
    """The two caches by name, as far as they are found by it: a training's own are not."""
    for name in dict.fromkeys(name.partition(" (")[0] for name in (result.reference, result.candidate)):
        with suppress(UsageError):
            yield name, factory_of(name)
