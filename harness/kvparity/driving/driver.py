"""Driving caches: a scenario's operations, or a trace's, through a `ShadowCache`."""

from __future__ import annotations

import time
from itertools import islice
from reprlib import repr as short
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from kvparity.caches.exceptions import told
from kvparity.errors import KVParityError, TraceError, UsageError
from kvparity.evidence import Evidence
from kvparity.evidence.memory import machine_bytes
from kvparity.operations import ALL, ALL_INIT, Checkout, Clear, Get, Operation, Set, Write, describe, init
from kvparity.registry import Scenario, build_cache
from kvparity.results.adding import Tally
from kvparity.results.divergence import DivergenceLog
from kvparity.results.result import RecordedAnswers, Result
from kvparity.shadow.shadow_cache import ShadowCache
from kvparity.traces.reader import Answer, Recorded, Trace
from kvparity.values.entry import KeysValues, copy_into, read, write_token
from kvparity.values.fingerprints import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kvparity.caches.protocol import Cache, CacheSpec
    from kvparity.operations import PoolId
    from kvparity.results.divergence import KnownDifference
    from kvparity.shadow.side import Outcome
    from kvparity.traces.writer import TraceWriter
    from kvparity.values.difference import Tolerance

_PROGRESS_EVERY = 256
_CACHES = 2
_TOKENS = 2  # the axis of tokens in [N, H, T, D]


class Driver:
    """Does to a cache what operations say, with the habits of the real producer and consumer.

    All values are handed over in one producer object, which by turns is pointed at a value's own tensors and
    overwritten in place. Working copies are written into.

    Args:
        cache: the cache, which may be a `ShadowCache`.
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._producer: KeysValues | None = None
        self._in_place: KeysValues | None = None
        self._sets = 0
        self._working_copies: dict[int, Any] = {}

    def apply(self, operation: Operation) -> Any | None:
        """Do one operation; what a lookup returned.

        Raises:
            Exception: whatever the cache raises.
        """
        match operation:
            case Set():
                value = self._produce(operation.value)
                self.cache.set(operation.pool, operation.key, value, priority=operation.priority)
            case Get():
                return self.cache.get(operation.pool, operation.key)
            case Checkout():
                self._working_copies[operation.env] = None
                copy = self.cache.checkout(operation.env, operation.key)
                self._working_copies[operation.env] = copy
                return copy
            case Write():
                copy = self._working_copies.get(operation.env)
                if copy is not None:
                    for layer in copy._keys_values:
                        _write(layer._k_cache, operation.fill)
                        _write(layer._v_cache, operation.fill)
            case Clear():
                self.cache.clear(operation.pool)
        return None

    def _produce(self, value: Any) -> KeysValues:
        self._sets += 1
        tensors, sizes = read(value)
        if self._sets % 2:
            # Overwritten in place: whoever kept the tensors of an earlier set sees them change.
            self._in_place = copy_into(value, self._in_place)
            tensors = read(self._in_place)[0]
        if self._producer is None or len(self._producer) * 2 != len(tensors):
            self._producer = KeysValues(tensors, sizes)
            return self._producer
        pairs = iter(zip(tensors, sizes, strict=True))
        for layer in self._producer._keys_values:
            layer._k_cache._cache, layer._k_cache._size = next(pairs)
            layer._v_cache._cache, layer._v_cache._size = next(pairs)
        return self._producer


def _write(cache: Any, fill: float) -> None:
    try:
        write_token(cache, fill)
    except (RuntimeError, IndexError, ZeroDivisionError):
        if _has_room_for(cache._cache, fill):
            raise


def _has_room_for(tensor: torch.Tensor, fill: float) -> bool:
    """Whether a consumer could write such a token: a trace may hold tensors of any axes and types, and any fill."""
    if tensor.dim() <= _TOKENS or not tensor.shape[_TOKENS]:
        return False
    if tensor.is_floating_point() or tensor.is_complex():
        return not abs(fill) > torch.finfo(tensor.dtype).max
    return tensor.dtype is torch.bool or abs(fill) <= torch.iinfo(tensor.dtype).max


def step(driver: Driver, shadow: ShadowCache, operation: Operation, number: int) -> None:
    """One operation under its number in the stream; what the reference raises is in the log already."""
    shadow.next_number = number
    try:
        driver.apply(operation)
    except BaseException as error:
        if error is not shadow.raised:
            raise
    if isinstance(operation, Write):
        shadow.wrote()


class Comparison:
    """A pair of caches by name and how they are compared; runs workloads through new instances of both.

    Args:
        reference: name of the cache that serves.
        candidate: name of the cache on trial.
        tolerance: how far a candidate's numbers may lie from right ones; None asks for equal bits.
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
        """Of the reference and of the candidate, told apart where one cache is compared with itself."""
        if self.reference != self.candidate:
            return self.reference, self.candidate
        return f"{self.reference} (reference)", f"{self.candidate} (candidate)"

    def shadow(
        self, spec: CacheSpec, log: DivergenceLog | None = None, *, evidence: Evidence | None = None
    ) -> ShadowCache:
        """New, empty caches of `spec`, one shadowing the other."""
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
        """The first `steps` operations of a scenario. An interrupt ends it early, with what was found so far.

        Raises:
            UsageError: what the scenario yields is no operation for caches of its spec, or it raises.
        """
        shadow = self.shadow(scenario.spec, evidence=Evidence())
        stream = writer.stream(scenario.name, scenario.spec) if writer else 0
        operations = (
            Recorded(number=number, stream=stream, operation=operation, answer=None)
            for number, operation in enumerate(islice(_operations(scenario, seed), steps))
        )
        return self._drive({stream: shadow}, operations, workload=scenario.name, seed=seed, writer=writer)

    def trace(self, trace: Trace, *, workload: str, steps: int | None = None, stream: int | None = None) -> Result:
        """A recorded trace, or its first `steps` operations; where a stream is named, those of them that are its own.

        Raises:
            TraceError: it is damaged, or its recording ended before any cache was announced, or the caches that it
                asks for would hold more than this machine has.
        """
        if not trace.streams:
            raise TraceError(f"{trace.path} records no cache: its recording ended before the first")
        needed, there = _CACHES * trace.most_bytes(steps), machine_bytes()
        if there is not None and needed > there:
            raise TraceError(
                f"{trace.path} asks for caches that can come to hold {needed:,} bytes, and this machine has"
                f" {there:,}: replay fewer operations with --steps, or on a larger machine"
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
        if not interrupted:  # else one side may lack the operation that was under way
            for shadow in shadows.values():
                shadow.check_stats()
        tally = Tally(self.names, next(iter(shadows.values())).log)
        for shadow in shadows.values():
            tally.add(shadow)
        return tally.result(
            workload=workload,
            seed=seed,
            elapsed_s=time.perf_counter() - began,
            interrupted=interrupted,
            recorded=answers.summary(),
        )


def _operations(scenario: Scenario, seed: int) -> Iterator[Operation]:
    """A scenario's operations, each made sure of."""
    pools = {*scenario.spec.pools}
    try:
        for number, operation in enumerate(scenario.operations(seed)):
            if not _is_for(pools, operation):
                _refuse(scenario, number, operation)
            yield operation
    except KVParityError:
        raise
    except Exception as error:
        raise UsageError(f"the scenario {scenario.name} raised {told(error)}") from error


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
    raise UsageError(f"operation {number} of {scenario.name}, {what}, is none for caches of {scenario.spec}")


class _Answers:
    """Counts how often the reference answers as a trace says that its owner was answered."""

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
            said = answer.error or ("miss" if answer.fingerprint is None else f"hit {answer.fingerprint.hex()[:12]}")
            did = outcome._replace(fingerprint=digest)
            self._first_other = f"operation {recorded.number}: recorded {said}, {shadow.reference.name}: {did}"

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
    """The fingerprint as traces have it: the CPU's, which is taken here where the shadow's own is still on a device."""
    digest = outcome.fingerprint
    return digest if digest is None or isinstance(digest, bytes) else fingerprint(outcome.value)
