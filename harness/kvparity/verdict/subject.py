"""`Subject`: the two caches that are judged, their runs, and the commands for more runs."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kvparity.results.adding import merge, runs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kvparity.results.result import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The two caches that are judged, and their runs.

    Attributes:
        result: the sum of all runs, without repeats.
        runs: all runs.
        repeats: the runs that did and found the same as a run before them.
    """

    result: Result
    runs: tuple[Result, ...]
    repeats: tuple[Result, ...] = ()

    @classmethod
    def of(cls, results: Sequence[Result]) -> Subject:
        """Make it from results.

        Raises:
            UsageError: they are of different pairs of caches.
        """
        result = merge(results)
        runs = [run for each in results for run in runs_of(each)]
        counted, repeats = _apart(runs)
        if repeats:
            result = replace(merge(counted), interrupted=result.interrupted, missing=result.missing)
        return cls(result=result, runs=tuple(runs), repeats=tuple(repeats))

    @property
    def reference(self) -> str:
        """Its name on the command line."""
        return self.result.reference.partition(" (")[0]

    @property
    def candidate(self) -> str:
        """Its name on the command line."""
        return self.result.candidate.partition(" (")[0]

    @property
    def trained(self) -> bool:
        """Whether a run is a real training, whose reference is LightZero's own cache and exists only there."""
        return any(run.training is not None for run in self.runs)

    def command(self, verb: str, *arguments: str, output: str) -> str:
        """A `kvparity` command with these two caches that writes `output`."""
        sides = ("--reference", self.reference, "--candidate", self.candidate)
        return shlex.join(["kvparity", verb, *arguments, *sides, "--json", output])

    def command_for(self, *scenarios: str, output: str = "more.json", steps: int | None = None) -> str:
        """A command that runs these scenarios; for a training, the same command again, to be run for longer."""
        if self.trained:
            return self.repeat_command()
        seeds = [run.seed for run in self.runs if run.seed is not None]
        options = () if steps is None else ("--steps", str(steps))
        if seeds:  # a new seed: the same operations again would show nothing new
            options = (*options, "--seed", str(max(seeds) + 1))
        return self.command("run", *scenarios, *options, output=output)

    def repeat_command(self, runs: Sequence[Result] = ()) -> str:
        """The command of the first of `runs`, or of all runs, that has one; without --quiet, so that it reports."""
        for run in runs or self.runs:
            if run.provenance is not None:
                return run.provenance.command.replace(" --quiet", "")
        return self.command("shadow", "SCRIPT", output="more.json") if self.trained else ""


def _apart(runs: Sequence[Result]) -> tuple[list[Result], list[Result]]:
    """The runs that count, and the runs that repeat one of them."""
    counted: list[Result] = []
    repeats: list[Result] = []
    alike: dict[tuple[Any, ...], list[Result]] = {}
    for run in runs:
        earlier = alike.setdefault((run.workload, run.seed, run.operations_total), [])
        if any(_repeats(run, other) for other in earlier):
            repeats.append(run)
        else:
            counted.append(run)
            earlier.append(run)
    return counted, repeats


def _repeats(run: Result, other: Result) -> bool:
    """Whether both did the same work with the same outcome and inputs. With another outcome it is no repeat."""
    inputs, others = (each.provenance.inputs if each.provenance else {} for each in (run, other))
    return _work(run) == _work(other) and all(others.get(name, digest) == digest for name, digest in inputs.items())


def _work(run: Result) -> tuple[Any, ...]:
    """What a run did and found. Two trainings are never the same, but one training may appear twice."""
    once = None if run.training is None else run.elapsed_s
    compared = (run.gets_compared, run.values_compared, run.tolerances)
    return run.spec, run.operations, run.coverage, *compared, run.by_group, run.unexpected, run.missing, once
