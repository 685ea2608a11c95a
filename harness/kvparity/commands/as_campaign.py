"""`kvparity replay` and `kvparity fuzz` as campaigns: work for several processes, which can be continued later."""

from __future__ import annotations

import os
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from kvparity.caches.protocol import CacheSpec
from kvparity.campaign import Folder, Local, Setting, examples, run, trace_parts
from kvparity.commands.argument_types import at_least
from kvparity.errors import UsageError
from kvparity.evidence import provenance
from kvparity.registry import factory_of
from kvparity.report import Progress
from kvparity.results.divergence import DivergenceLog
from kvparity.search.program import test_name
from kvparity.traces.reader import Trace

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from rich.console import Console

    from kvparity.campaign import Task
    from kvparity.campaign.run import Engine
    from kvparity.results.divergence import KnownDifference
    from kvparity.results.result import KeptCase, Result
    from kvparity.values.difference import Tolerance

ENGINES = ("local", "ray")
_NAMED = 8  # traces that a title lists; with more it only counts them


def add_campaign_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that make a campaign of a command."""
    group = parser.add_argument_group("campaign", "Any of these splits the work into tasks for several processes.")
    group.add_argument("--engine", choices=ENGINES, help="use processes on this machine (local, the default), or Ray")
    group.add_argument(
        "--jobs", type=at_least(1), metavar="N", help="number of worker processes (default: one per core)"
    )
    group.add_argument("--address", metavar="A", help="address of a running Ray cluster (default: start one here)")
    group.add_argument(
        "--campaign", type=Path, metavar="DIR", help="keep finished tasks in DIR; the same command continues from there"
    )


def is_campaign(options: argparse.Namespace) -> bool:
    """Whether an option asks for a campaign.

    Raises:
        UsageError: options contradict each other.
    """
    if options.address is not None and options.engine != "ray":
        raise UsageError("--address is the address of a Ray cluster: add --engine ray")
    return any(given is not None for given in (options.engine, options.jobs, options.campaign))


class Campaign:
    """A campaign as the command line asks for it.

    Args:
        options: of the command line.
        tolerance: how far numbers may differ; None asks for equal bits.
        known: differences that are accepted.
        console: where to print.

    Raises:
        UsageError: a cache cannot be found.
        UnusableCacheError: a cache cannot be built.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        *,
        tolerance: Tolerance | None,
        known: Sequence[KnownDifference],
        console: Console,
    ) -> None:
        self._options = options
        self._console = console
        caches = [(name, factory_of(name)) for name in dict.fromkeys((options.reference, options.candidate))]
        origin = provenance([], caches=caches)
        self._setting = Setting(
            reference=options.reference,
            candidate=options.candidate,
            tolerance=tolerance,
            known=tuple(known),
            patience_s=options.patience,
            folder=str(Path.cwd()),
            inputs={**origin.versions, **origin.inputs},
        )
        self._setting.comparison().shadow(CacheSpec())  # raises now if a cache cannot be built

    def replay(self, names: Sequence[str], *, steps: int | None) -> Result:
        """Replay traces. Each trace, or each stream of a trace, is a task.

        Raises:
            UsageError: a trace does not exist, or a result cannot be written.
            TraceError: a file is not a trace.
        """
        tasks = trace_parts(names, steps=steps)
        with self._folder() as path:
            result = self._run(tasks, Folder(Path(path), self._setting), self._console, "replaying")
        if len(result.runs) > _NAMED:
            result.workload = f"{len(names):,} traces"
        return result

    def fuzz(self, *, count: int, seed: int, console: Console) -> Result:
        """Fuzz. Each range of examples is a task. Each kind of difference that they find is kept in `--output` once.

        Raises:
            UsageError: a file cannot be written.
        """
        tasks = examples(count, seed=seed)
        with self._folder() as path:
            folder = Folder(Path(path), self._setting)
            result = self._run(tasks, folder, console, "fuzzing")
            done = [(folder.files(task), folder.read(task)) for task in tasks if task in folder]
            result.cases = _collected(done, self._options.output, console)
        result.workload, result.seed, result.examples = "fuzz", seed, sum(each.examples or 0 for _, each in done)
        result.kept = result.kept[: DivergenceLog.KEPT]
        result.runs = []  # the tasks of one fuzzing are one workload
        return result

    def _run(self, tasks: Sequence[Task], folder: Folder, console: Console, doing: str) -> Result:
        with Progress(console, doing, len(tasks), unit="tasks") as progress:
            return run(self._setting, tasks, self._engine(len(tasks)), folder, progress=progress)

    def _engine(self, tasks: int) -> Engine:
        jobs = min(self._options.jobs or _cores(), tasks)
        if self._options.engine != "ray":
            return Local(jobs)
        from kvparity.campaign.on_ray import OnRay  # noqa: PLC0415 - an extra

        return OnRay(self._options.address, jobs)

    def _folder(self) -> AbstractContextManager[Path | str]:
        if self._options.campaign is not None:
            return nullcontext(self._options.campaign)
        return tempfile.TemporaryDirectory(prefix="kvparity-")


def _collected(done: Sequence[tuple[Path, Result]], output: Path, console: Console) -> list[KeptCase]:
    """Copy what the tasks found to `output`: for each kind of difference, the first case in the order of the tasks."""
    cases: dict[str, KeptCase] = {}
    try:
        output.mkdir(parents=True, exist_ok=True)
        for folder, result in done:
            for case in result.cases:
                trace = Path(case.trace)
                if trace.name in cases:
                    continue
                word = "found" if case.reproducible else "flaky"
                target = output / trace.name
                for name in () if target.exists() else (trace.name, f"{test_name(trace)}.py"):
                    (output / name).write_bytes((folder / name).read_bytes())
                with Trace(target) as kept:  # it may be from an earlier run
                    cases[trace.name] = replace(case, operations=len(kept), trace=str(target))
                console.print(Text(f"{word}: {target}: {case.explanation}"), soft_wrap=True)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from None
    return list(cases.values())


def _cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
