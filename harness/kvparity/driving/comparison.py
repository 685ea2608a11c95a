"""`Comparison`: runs workloads through new instances of two caches."""

from __future__ import annotations

import time
from itertools import islice
from reprlib import repr as short
from typing import TYPE_CHECKING, Any, NoReturn

from kvparity.caches.exceptions import describe_error
from kvparity.driving.driver import Driver, step
from kvparity.errors import KVParityError, TraceError, UsageError
from kvparity.evidence.memory import machine_bytes
from kvparity.operations import ALL, ALL_INIT, Checkout, Clear, Get, Operation, Set, Write, describe, init
from kvparity.registry import Scenario, build_cache
from kvparity.results.adding import ResultBuilder
from kvparity.results.divergence import DivergenceLog
from kvparity.results.result import RecordedAnswers, Result
from kvparity.shadow.evidence import Evidence
from kvparity.shadow.shadow_cache import ShadowCache
from kvparity.traces.reader import Answer, Recorded, Trace
from kvparity.values.fingerprints import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kvparity.caches.protocol import CacheSpec
    from kvparity.judging.outcome import Outcome
    from kvparity.operations import PoolId
    from kvparity.results.divergence import KnownDifference
    from kvparity.traces.writer import TraceWriter
    from kvparity.values.difference import Tolerance


_PROGRESS_EVERY = 256
_CACHES = 2


class Comparison:
    """Two caches and how they are compared; runs workloads through new instances of both.

    Args:
        reference: name of the cache that is trusted.
        candidate: name of the cache under test.
        tolerance: how far the numbers of a value may differ; None asks for equal bits.
        known: differences that are accepted.
        progress: called now and then with the number of operations done.
    """

    def __init__(
        self,
        reference: str,
        candidate: str,
        *,
        tolerance: Tolerance | None = None,
        known: Sequence[KnownDifference] = (),
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.reference = reference
        self.candidate = candidate
        self._tolerance = tolerance
        self.known = known
        self._progress = progress or (lambda _: None)

    @property
    def names(self) -> tuple[str, str]:
        """Of the reference and of the candidate, with their roles if a cache is compared with itself."""
        if self.reference != self.candidate:
            return self.reference, self.candidate
        return f"{self.reference} (reference)", f"{self.candidate} (candidate)"

    def shadow(
        self, spec: CacheSpec, log: DivergenceLog | None = None, *, evidence: Evidence | None = None
    ) -> ShadowCache:
        """New caches of `spec`, the candidate shadowing the reference."""
        return ShadowCache(
            reference=build_cache(self.reference, spec),
            candidate=build_cache(self.candidate, spec),
            spec=spec,
            names=self.names,
            tolerance=self._tolerance,
            log=DivergenceLog(self.known) if log is None else log,
            evidence=evidence,
        )

    def scenario(self, scenario: Scenario, *, seed: int, steps: int, writer: TraceWriter | None = None) -> Result:
        """Run the first `steps` operations of a scenario. An interrupt ends it early, with the result so far.

        Raises:
            UsageError: the scenario raises, or yields something that is no operation for caches of its spec.
        """
        shadow = self.shadow(scenario.spec, evidence=Evidence())
        stream = writer.stream(scenario.name, scenario.spec) if writer else 0
        operations = (
            Recorded(number=number, stream=stream, operation=operation, answer=None)
            for number, operation in enumerate(islice(_operations(scenario, seed), steps))
        )
        return self._drive({stream: shadow}, operations, workload=scenario.name, seed=seed, writer=writer)

    def trace(self, trace: Trace, *, workload: str, steps: int | None = None, stream: int | None = None) -> Result:
        """Replay a trace. An interrupt ends it early, with the result so far.

        Args:
            trace: the trace.
            workload: its name in the result.
            steps: only the first so many operations; None for all.
            stream: only the operations of this stream; None for all.

        Raises:
            TraceError: the trace is damaged or records no cache, or its caches may need more memory than the machine
                has.
        """
        if not trace.streams:
            raise TraceError(f"{trace.path} has no cache: the recording ended before the first one")
        needed, there = _CACHES * trace.most_bytes(steps), machine_bytes()
        if there is not None and needed > there:
            raise TraceError(
                f"{trace.path} may need {needed:,} bytes for its caches, and this machine has {there:,}: replay fewer"
                " operations with --steps, or use a larger machine"
            )
        log = DivergenceLog(self.known)
        shadows = {
            number: self.shadow(each.spec, log, evidence=Evidence())
            for number, each in trace.streams.items()
            if stream in (None, number)
        }
        operations = trace.operations(0, steps, stream=stream)
        result = self._drive(shadows, operations, workload=workload, seed=trace.header.seed)
        result.ended_early = not trace.header.complete and (steps is None or steps >= len(trace))
        return result

    def _drive(
        self,
        shadows: dict[int, ShadowCache],
        operations: Iterator[Recorded],
        *,
        workload: str,
        seed: int | None,
        writer: TraceWriter | None = None,
    ) -> Result:
        drivers = {number: Driver(shadow) for number, shadow in shadows.items()}
        answers = _Answers()
        interrupted = False
        began = time.perf_counter()
        done = 0
        try:
            for done, recorded in enumerate(operations, start=1):
                shadow = shadows[recorded.stream]
                step(drivers[recorded.stream], shadow, recorded.operation, recorded.number)
                if recorded.answer is not None:
                    answers.compare(recorded, shadow)
                if writer is not None:
                    writer.record(recorded.stream, recorded.operation, _answer(recorded.operation, shadow))
                if done % _PROGRESS_EVERY == 0:
                    self._progress(done)
        except KeyboardInterrupt:
            interrupted = True
        self._progress(done)
        if not interrupted:  # otherwise one side may lack the last operation
            for shadow in shadows.values():
                shadow.check_stats()
        builder = ResultBuilder(self.names, next(iter(shadows.values())).log)
        for shadow in shadows.values():
            builder.add(shadow.totals())
        return builder.result(
            workload=workload,
            seed=seed,
            elapsed_s=time.perf_counter() - began,
            interrupted=interrupted,
            recorded=answers.summary(),
        )


def _operations(scenario: Scenario, seed: int) -> Iterator[Operation]:
    """The operations of a scenario, each checked."""
    pools = {*scenario.spec.pools}
    try:
        for number, operation in enumerate(scenario.operations(seed)):
            if not _is_for(pools, operation):
                _refuse(scenario, number, operation)
            yield operation
    except KVParityError:
        raise
    except Exception as error:  # a scenario may raise anything
        raise UsageError(f"the scenario {scenario.name} raised {describe_error(error)}") from error


def _is_for(pools: set[PoolId], operation: Any) -> bool:
    match operation:
        case Set(pool=pool) | Get(pool=pool):
            return pool in pools
        case Clear(pool=pool):
            return pool in pools or pool in {ALL, ALL_INIT}
        case Checkout(env=env) | Write(env=env):
            return init(env) in pools
    return False


def _refuse(scenario: Scenario, number: int, operation: Any) -> NoReturn:
    what = describe(operation) if isinstance(operation, Operation) else short(operation)
    raise UsageError(f"operation {number} of {scenario.name} does not fit its caches of {scenario.spec}: {what}")


class _Answers:
    """Counts how often the reference gives the answer that a trace recorded."""

    def __init__(self) -> None:
        self._given = 0
        self._reproduced = 0
        self._first_other = ""

    def compare(self, recorded: Recorded, shadow: ShadowCache) -> None:
        answer, outcome = recorded.answer, shadow.answers[0]
        assert answer is not None
        self._given += 1
        digest = _recordable(outcome)
        error = None if outcome.error is None else type(outcome.error).__name__
        if digest == answer.fingerprint and error == answer.error:
            self._reproduced += 1
        elif not self._first_other:
            then = answer.error or ("miss" if answer.fingerprint is None else f"hit {answer.fingerprint.hex()[:12]}")
            did = outcome._replace(fingerprint=digest)
            self._first_other = f"operation {recorded.number}: recorded {then}, {shadow.reference.name}: {did}"

    def summary(self) -> RecordedAnswers | None:
        if not self._given:
            return None
        return RecordedAnswers(given=self._given, reproduced=self._reproduced, first_other=self._first_other)


def _answer(operation: Operation, shadow: ShadowCache) -> Answer | None:
    if not isinstance(operation, Get | Checkout):
        return None
    outcome = shadow.answers[0]
    error = None if outcome.error is None else type(outcome.error).__name__
    return Answer(fingerprint=_recordable(outcome), error=error)


def _recordable(outcome: Outcome) -> bytes | None:
    """The fingerprint as traces have it, from the CPU; taken here if the shadow's own is still on a device."""
    digest = outcome.fingerprint
    return digest if digest is None or isinstance(digest, bytes) else fingerprint(outcome.value)
