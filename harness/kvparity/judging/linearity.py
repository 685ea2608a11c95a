"""Linearisability: did a cache that several threads called behave as if each call had happened at one moment?

`record` runs programs of operations on real threads and notes when each call began, when it ended and what it
answered. `check` looks for an order of all calls that respects those times and in which a cache with one thread would
have answered the same: the search of Wing and Gong, with Lowe's memory of the configurations that were tried, each a
place in every thread and the contents of every pool. Keep histories short: it is exponential in the number of threads.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from kvparity.caches.exceptions import Raised, attempt
from kvparity.errors import UsageError
from kvparity.judging.oracle import STRATEGIES
from kvparity.operations import RECUR, WM, Checkout, Clear, Get, Operation, PoolId, Set, Write, covered, describe, init
from kvparity.values.fingerprints import fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kvparity.caches.protocol import Cache, CacheSpec

MOST = 200_000  # configurations tried
_SWITCH_S = 1e-6


class Entry(NamedTuple):
    """What a pool holds under a key."""

    key: int
    fingerprint: bytes
    priority: float


Pool: TypeAlias = "tuple[Entry, ...]"  # the oldest entry first; under LRU the one whose use is longest ago
Answer: TypeAlias = "bytes | str | None"
_WORKING_COPY = Entry(-1, b"", 0.0)  # under a key that no workload has


class Verdict(Enum):
    """What a check came to. UNKNOWN: it gave up, which says nothing about the cache."""

    LINEARISABLE = "linearisable"
    NOT_LINEARISABLE = "not linearisable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of one thread.

    Attributes:
        operation: what was asked for.
        began: in nanoseconds, of a clock that all threads share; `ended` likewise.
        answer: of a lookup the fingerprint, None for a miss; of anything else None; in words an exception, or what is
            no entry.
        stored: the fingerprint of what a `Set` set.
    """

    operation: Operation
    began: int
    ended: int
    answer: Answer = None
    stored: bytes = b""

    def __str__(self) -> str:
        answer = self.answer.hex()[:12] if isinstance(self.answer, bytes) else self.answer
        stored = f" to {self.stored.hex()[:12]}" if isinstance(self.operation, Set) else f" -> {answer or 'miss'}"
        return f"{describe(self.operation)}{stored if isinstance(self.operation, Set | Get | Checkout) else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What `check` found.

    Attributes:
        verdict: see there.
        tried: configurations.
        stuck: where it is not linearisable: the calls of which none could come next in the longest order found, and
            what the cache should have answered to each.
    """

    verdict: Verdict
    tried: int
    stuck: tuple[str, ...] = ()


class Model:
    """A cache with one thread, as a function from contents to contents. A working copy takes a slot of the wm pool.

    Args:
        spec: its sizes.
        strategy: who leaves a full pool: `fifo`, `lru` or `priority`.

    Raises:
        UsageError: nobody knows that strategy.
    """

    def __init__(self, spec: CacheSpec, strategy: str = "fifo") -> None:
        if strategy not in STRATEGIES:
            raise UsageError(f"there is no eviction strategy {strategy!r}; known are {', '.join(STRATEGIES)}")
        self._slots = {pool: spec.slots(pool) for pool in spec.pools}
        self._places = {pool: place for place, pool in enumerate(spec.pools)}
        self._strategy = strategy
        self.empty: tuple[Pool, ...] = ((),) * len(self._places)

    def step(self, pools: tuple[Pool, ...], call: Call) -> tuple[tuple[Pool, ...], Answer]:
        """What the pools hold after `call`, and what it should answer."""
        match call.operation:
            case Set(pool=name, key=key, priority=priority):
                return self._set(pools, name, key, call.stored, priority), None
            case Get(pool=name, key=key):
                return self._get(pools, name, key)
            case Checkout(env=env, key=key):
                pools, answer = self._get(pools, init(env), key)
                if answer is None:
                    pools, answer = self._get(pools, RECUR, key)
                return (pools if answer is None else self._add(pools, WM, _WORKING_COPY)), answer
            case Clear(pool=name):
                for each in covered(name, self._places):
                    pools = self._with(pools, each, ())
        return pools, None

    def _set(
        self, pools: tuple[Pool, ...], name: PoolId, key: int, stored: bytes, priority: float | None
    ) -> tuple[Pool, ...]:
        pool = pools[self._places[name]]
        for place, entry in enumerate(pool):
            if entry.key == key:
                new = Entry(key, stored, entry.priority if priority is None else priority)
                last = self._strategy == "lru"
                kept = pool[:place] + pool[place + 1 :]
                return self._with(pools, name, (*kept, new) if last else (*pool[:place], new, *pool[place + 1 :]))
        return self._add(pools, name, Entry(key, stored, 0.0 if priority is None else priority))

    def _add(self, pools: tuple[Pool, ...], name: PoolId, entry: Entry) -> tuple[Pool, ...]:
        pool = pools[self._places[name]]
        if len(pool) == self._slots[name]:
            by_priority = self._strategy == "priority"
            victim = pool.index(min(pool, key=lambda held: held.priority)) if by_priority else 0
            pool = pool[:victim] + pool[victim + 1 :]
        return self._with(pools, name, (*pool, entry))

    def _get(self, pools: tuple[Pool, ...], name: PoolId, key: int) -> tuple[tuple[Pool, ...], Answer]:
        pool = pools[self._places[name]]
        for entry in pool:
            if entry.key == key:
                if self._strategy == "lru":
                    pools = self._with(pools, name, (*(each for each in pool if each is not entry), entry))
                return pools, entry.fingerprint
        return pools, None

    def _with(self, pools: tuple[Pool, ...], name: PoolId, pool: Pool) -> tuple[Pool, ...]:
        place = self._places[name]
        return (*pools[:place], pool, *pools[place + 1 :])


def record(cache: Cache, programs: Sequence[Sequence[Operation]]) -> list[list[Call]]:
    """Run each program on a thread of its own, all at once and switching as often as Python can; their calls.

    What a lookup returned is read after the call, as its caller would.

    Raises:
        UsageError: an operation is a `Write`; see `perform`.
        NotKeysValuesError: what a `Set` is to store is no entry.
    """
    together = threading.Barrier(len(programs))
    calls: list[list[Call]] = [[] for _ in programs]
    failed: list[BaseException] = []

    def run(program: Sequence[Operation], own: list[Call]) -> None:
        together.wait()
        for operation in program:
            call = attempt(perform, cache, operation)
            if isinstance(call, Raised):
                failed.append(call.error)  # raised below, in the caller's thread
                return
            own.append(call)

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in zip(programs, calls, strict=True)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    if failed:
        raise failed[0]
    return calls


def perform(cache: Cache, operation: Operation) -> Call:
    """Do one operation and note what came of it: whatever the cache returns or raises is its answer.

    Raises:
        UsageError: it is a `Write`, which goes to the caller's own copy and not to the cache.
        NotKeysValuesError: what is to be set is no entry.
    """
    if isinstance(operation, Write):
        raise UsageError("a write goes to a working copy, not to the cache: leave it out of the program")
    stored = fingerprint(operation.value) if isinstance(operation, Set) else b""
    began = time.perf_counter_ns()
    found = attempt(_call, cache, operation)
    ended = time.perf_counter_ns()
    if found is not None and not isinstance(found, Raised):
        found = attempt(fingerprint, found)  # untimed; it runs code of the cache as well
    answer = str(found) if isinstance(found, Raised) else found
    return Call(operation=operation, began=began, ended=ended, answer=answer, stored=stored)


def check(threads: Sequence[Sequence[Call]], model: Model, *, most: int = MOST) -> Checked:
    """Whether one order explains the calls of all threads; each thread's are in the order in which it made them."""
    start = ((0,) * len(threads), model.empty)
    seen = {start}
    pending = [start]
    longest = -1
    stuck: tuple[tuple[Call, Answer], ...] = ()
    while pending:
        if len(seen) > most:
            return Checked(verdict=Verdict.UNKNOWN, tried=len(seen))
        places, pools = pending.pop()
        following = [
            (number, calls[place])
            for number, (calls, place) in enumerate(zip(threads, places, strict=True))
            if place < len(calls)
        ]
        if not following:
            return Checked(verdict=Verdict.LINEARISABLE, tried=len(seen))
        deadline = min(call.ended for _, call in following)
        # Who ended first is tried first, so it is pushed last: a cache with a lock mostly did it in that order.
        possible = sorted([each for each in following if each[1].began <= deadline], key=lambda each: -each[1].ended)
        refused = []
        for number, call in possible:
            after, answer = model.step(pools, call)
            if answer != call.answer:
                refused.append((call, answer))
                continue
            configuration = ((*places[:number], places[number] + 1, *places[number + 1 :]), after)
            if configuration not in seen:
                seen.add(configuration)
                pending.append(configuration)
        if len(refused) == len(possible) and sum(places) > longest:
            longest, stuck = sum(places), tuple(refused)
    return Checked(
        verdict=Verdict.NOT_LINEARISABLE, tried=len(seen), stuck=tuple(_words(call, answer) for call, answer in stuck)
    )


def _call(cache: Cache, operation: Operation) -> Any:
    """What a lookup returns; None for other operations."""
    match operation:
        case Set():
            cache.set(operation.pool, operation.key, operation.value, priority=operation.priority)
        case Get():
            return cache.get(operation.pool, operation.key)
        case Checkout():
            return cache.checkout(operation.env, operation.key)
        case Clear():
            cache.clear(operation.pool)
    return None


def _words(call: Call, answer: Answer) -> str:
    should = answer.hex()[:12] if isinstance(answer, bytes) else "miss"
    return f"{call}, expected {should}"
