"""`Fuzzer`: Hypothesis looks for operations on which two caches differ, until examples or time run out.

A state machine chooses the operations. It is found by the entry point `operations` of the group `kvparity.machines`;
see `kvparity_scenarios.machine`. Each example is a `Trial`. A divergence with a signature that was found before does
not end the example, so that one fault does not hide the next.
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

_AT_ONCE = 1_000  # examples in one run of Hypothesis; each run starts its hill-climbing again


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A way in which the two caches differ.

    Attributes:
        divergence: the first with its signature.
        case: the operations up to it.
        example: number of the example that showed it, from 1.
        after: operations tried until then, in all examples.
    """

    divergence: Divergence
    case: Case
    example: int
    after: int


class Fuzzer:
    """Looks for differences between two caches.

    Args:
        comparison: the two caches.
        seed: of the examples.
        examples: stop after so many; None for no limit.
        seconds: stop after so long; None for no limit.
        database: a folder that keeps failing examples. The next run tries them first.
        progress: called with this fuzzer after each example.

    Attributes:
        examples: tried so far.
        operations: tried so far.
        interrupted: whether a user stopped it.
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
        self._builder = ResultBuilder(comparison.names, self._log)
        self._trial: Trial | None = None
        self._found: dict[Signature, Finding] = {}
        self._passed_over: frozenset[Signature] = frozenset()
        self._began = time.monotonic()
        self._machine = self._bind(load_machine())
        self.examples = 0
        self.operations = 0
        self.interrupted = False

    def findings(self) -> Iterator[Finding]:
        """Yield each way in which the caches differ once, as soon as it is found.

        Raises:
            UsageError: a cache or the state machine cannot be found.
            UnusableCacheError: a cache cannot be built.
        """
        self._comparison.shadow(CacheSpec())  # a cache that cannot be built is bad input, not a finding
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
                    return  # Hypothesis has nothing left to try
        except KeyboardInterrupt:
            self.interrupted = True

    @property
    def elapsed_s(self) -> float:
        """Wall time since the search began, in seconds."""
        return time.monotonic() - self._began

    def result(self) -> Result:
        """The result so far."""
        self._end_example()
        return self._builder.result(
            workload="fuzz",
            elapsed_s=self.elapsed_s,
            seed=self._seed,
            interrupted=self.interrupted,
            examples=self.examples,
        )

    # ------------------------------------------------------------------ inside

    def _run(self, phases: set[Phase], chunk: int) -> list[Finding]:
        """Run Hypothesis until it has found something or tried enough, and return the new findings."""
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
            pass  # examples or time ran out, or the database is empty
        except Exception:
            # Hypothesis raises what a trial raised, a group of several, or its own error if a failure did not repeat.
            # Failures of trials are among the findings already. Without a new finding it is a fault of our own.
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
        self._trial.report = self._note
        return self._trial

    def _end_example(self) -> None:
        trial, self._trial = self._trial, None
        if trial is not None:
            self.operations += len(trial.operations)
            self._builder.add(trial.shadow.totals())
            self._progress(self)

    def _note(self, divergence: Divergence, case: Case) -> None:
        finding = Finding(divergence=divergence, case=case, example=self.examples, after=self.operations + len(case))
        self._found.setdefault(Signature.of(divergence), finding)

    def _spent(self) -> bool:
        return (self._most_examples is not None and self.examples >= self._most_examples) or (
            self._seconds is not None and self.elapsed_s >= self._seconds
        )


class _SpentError(KeyboardInterrupt):
    """Examples or time ran out. Hypothesis stops at once, as at a Ctrl-C."""


class _Example(Trial):
    """A trial that reports its divergence to the fuzzer before it ends."""

    report: Callable[[Divergence, Case], None]

    def diverged(self, divergence: Divergence) -> NoReturn:
        self.report(divergence, self.case)
        super().diverged(divergence)
