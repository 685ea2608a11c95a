"""`Subject`: the pair of caches that is judged, the runs that speak of it, and how to have more of them."""

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
    """What is judged.

    Attributes:
        result: the sum of all runs, repeats left out.
        runs: one by one.
        repeats: of these, the ones that did and showed what one before them did.
    """

    result: Result
    runs: tuple[Result, ...]
    repeats: tuple[Result, ...] = ()

    @classmethod
    def of(cls, results: Sequence[Result]) -> Subject:
        """Of results of one pair of caches.

        Raises:
            UsageError: they are of several.
        """
        result = merge(results)
        runs = [run for each in results for run in runs_of(each)]
        counted, repeats = _apart(runs)
        if repeats:
            result = replace(merge(counted), interrupted=result.interrupted, missing=result.missing)
        return cls(result=result, runs=tuple(runs), repeats=tuple(repeats))

    @property
    def reference(self) -> str:
        """Its name, as the command line takes it."""
        return self.result.reference.partition(" (")[0]

    @property
    def candidate(self) -> str:
        """Its name, as the command line takes it."""
        return self.result.candidate.partition(" (")[0]

    @property
    def trained(self) -> bool:
        """Whether a run is a real training, whose reference is LightZero's own and cannot be built elsewhere."""
        return any(run.training is not None for run in self.runs)

    def command(self, verb: str, *arguments: str, output: str) -> str:
        """A `kvparity` command over this pair of caches that writes `output`."""
        sides = ("--reference", self.reference, "--candidate", self.candidate)
        return shlex.join(["kvparity", verb, *arguments, *sides, "--json", output])

    def more(self, *scenarios: str, output: str = "more.json", steps: int | None = None) -> str:
        """A command that supplies what these scenarios exercise; of a training, the same once more, and for longer."""
        if self.trained:
            return self.again()
        seeds = [run.seed for run in self.runs if run.seed is not None]
        options = () if steps is None else ("--steps", str(steps))
        if seeds:  # another one: the same operations again would count twice and show nothing new
            options = (*options, "--seed", str(max(seeds) + 1))
        return self.command("run", *scenarios, *options, output=output)

    def again(self, runs: Sequence[Result] = ()) -> str:
        """The command that one of these runs, or of all, came from, as one would type it to see what happened."""
        for run in runs or self.runs:
            if run.provenance is not None:
                return run.provenance.command.replace(" --quiet", "")
        return self.command("shadow", "SCRIPT", output="more.json") if self.trained else ""


def _apart(runs: Sequence[Result]) -> tuple[list[Result], list[Result]]:
    """The runs that count, and those that repeat one of them."""
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
    """Whether it is the same work with the same outcome. What came out differently is no repeat: it shows more."""
    mine, its = (each.provenance.inputs if each.provenance else {} for each in (run, other))
    return _work(run) == _work(other) and all(its.get(name, digest) == digest for name, digest in mine.items())


def _work(run: Result) -> tuple[Any, ...]:
    """What was done, and what it came to. No two trainings are the same, but one may be there twice."""
    once = None if run.training is None else run.elapsed_s
    compared = (run.gets_compared, run.values_compared, run.tolerances)
    return run.spec, run.operations, run.coverage, *compared, run.by_group, run.unexpected, run.missing, once
