"""Fuzzing: Hypothesis looks for operations that tell two caches apart, until examples or time run out.

What to try is a state machine's, found by the entry point `operations` of group `kvparity.machines`; see
`kvparity_scenarios.machine`. Each example is a `Trial`. A divergence of a signature that was found before does not end
the example, so that one fault does not hide the next.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn
from unittest import SkipTest

from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import seed as seeded
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from kvparity.caches.protocol import CacheSpec
from kvparity.registry import load_machine
from kvparity.results.adding import ResultBuilder
from kvparity.search.case import Case, Signature
from kvparity.search.trial import NewsLog, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kvparity.driving.comparison import Comparison
    from kvparity.results.divergence import Divergence
    from kvparity.results.result import Result

_AT_ONCE = 1_000  # examples of one run of Hypothesis, whose hill-climbing then begins anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A way in which the two caches part.

    Attributes:
        divergence: the first of its signature.
        case: the operations up to there.
        example: in which it was found, from 1.
        after: operations tried until then, over all examples.
    """

    divergence: Divergence
    case: Case
    example: int
    after: int


class Fuzzer:
    """Tries two caches.

    Args:
        comparison: of the two caches.
        seed: of the examples.
        examples: to try; None for no end.
        seconds: to try for; None for no end.
        database: a folder that keeps examples which failed, to be tried first the next time.
        progress: called with this after each example.

    Attributes:
        examples: tried.
        operations: tried.
        interrupted: whether it was stopped by hand.
    """

    def __init__(
        self,
        comparison: Comparison,
        *,
        seed: int = 0,
        examples: int | None = None,
        seconds: float | None = None,
        database: Path | None = None,
        progress: Callable[[Fuzzer], None] = lambda _: None,
    ) -> None:
        self._comparison = comparison
        self._seed = seed
        self._most_examples = examples
        self._seconds = seconds
        self._database = None if database is None else DirectoryBasedExampleDatabase(database)
        self._progress = progress
        self._log = NewsLog(comparison.known)
        self._tally = ResultBuilder(comparison.names, self._log)
        self._trial: Trial | None = None
        self._found: dict[Signature, Finding] = {}
        self._passed_over: frozenset[Signature] = frozenset()
        self._began = time.monotonic()
        self._machine = self._bind(load_machine())
        self.examples = 0
        self.operations = 0
        self.interrupted = False

    def findings(self) -> Iterator[Finding]:
        """Each way in which the caches part, once, as it is found, until examples or time run out.

        Raises:
            UsageError: a cache cannot be found, or there is no state machine.
            UnusableCacheError: a cache cannot be built.
        """
        self._comparison.shadow(CacheSpec())  # what cannot be built is not a finding
        self._began = time.monotonic()
        try:
            if self._database is not None:
                yield from self._run({Phase.reuse}, 0)
            chunk = 0
            while not self._spent():
                chunk += 1
                before = self.examples
                yield from self._run({Phase.generate, Phase.target}, chunk)
                if self.examples == before:
                    return  # there is nothing left to try
        except KeyboardInterrupt:
            self.interrupted = True

    @property
    def elapsed_s(self) -> float:
        """Time since the search began."""
        return time.monotonic() - self._began

    def result(self) -> Result:
        """What it came to so far."""
        self._end_example()
        return self._tally.result(
            workload="fuzz",
            elapsed_s=self.elapsed_s,
            seed=self._seed,
            interrupted=self.interrupted,
            examples=self.examples,
        )

    # ------------------------------------------------------------------ inside

    def _run(self, phases: set[Phase], chunk: int) -> list[Finding]:
        """Run Hypothesis until it has found something, or has tried enough; what was found."""
        before = len(self._found)
        self._passed_over = frozenset(self._found)
        options = settings(
            max_examples=_AT_ONCE,
            phases=phases,
            database=self._database,
            deadline=None,
            verbosity=Verbosity.quiet,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(seeded(self._seed + chunk)(self._machine), settings=options)
        except (_SpentError, SkipTest):
            pass  # nothing more may be tried, or its database has nothing to try again
        except Exception:
            # It raises what the trials raised, perhaps several together, or that one did not fail twice. A trial's
            # failure is in the findings; whatever else fails is nobody's cache.
            if len(self._found) == before:
                raise
        return list(self._found.values())[before:]

    def _bind(self, machine: type[RuleBasedStateMachine]) -> type[RuleBasedStateMachine]:
        return type(machine.__name__, (machine,), {"new_trial": lambda _machine, spec: self._new_trial(spec)})

    def _new_trial(self, spec: CacheSpec) -> Trial:
        self._end_example()
        if self._spent():
            raise _SpentError
        self.examples += 1
        self._trial = _Example(self._comparison, spec, log=self._log, passed_over=self._passed_over)
        self._trial.noted = self._note
        return self._trial

    def _end_example(self) -> None:
        trial, self._trial = self._trial, None
        if trial is not None:
            self.operations += len(trial.operations)
            self._tally.add(trial.shadow.totals())
            self._progress(self)

    def _note(self, divergence: Divergence, case: Case) -> None:
        finding = Finding(divergence=divergence, case=case, example=self.examples, after=self.operations + len(case))
        self._found.setdefault(Signature.of(divergence), finding)

    def _spent(self) -> bool:
        return (self._most_examples is not None and self.examples >= self._most_examples) or (
            self._seconds is not None and self.elapsed_s >= self._seconds
        )


class _SpentError(KeyboardInterrupt):
    """The examples or the time that there were are spent: for Hypothesis, as if somebody had stopped it."""


class _Example(Trial):
    """A trial of which the fuzzer notes how it ends."""

    noted: Callable[[Divergence, Case], None]

    def diverged(self, divergence: Divergence) -> NoReturn:
        self.noted(divergence, self.case)
        super().diverged(divergence)
