"""`ShadowCache`: a cache that serves the reference, shadows the candidate and checks every lookup of both."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from harness.divergence import DivergenceLog
from harness.judge import Judge, Lookup
from harness.operations import RECUR, WM, Checkout, Clear, Get, PoolId, Set, Write, init
from harness.oracle import Contents, IdealCache, LastSet, Truth, covered
from harness.side import Outcome, Side
from harness.values import KeysValues, copy_into, device_of, fingerprint, read, scribble

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.caches import Cache, CacheSpec
    from harness.compare import Tolerance
    from harness.values import LayerCache, TokenCache

_STATS_EVERY = 10_000
_WATCH_EVERY = 4  # checkouts, gets, sets


class ShadowCache:
    """Two caches behind the face of one. What a caller gets is the reference's own answer, exceptions included.

    Each operation goes to the reference and then to the candidate. The candidate gets its own copy of what is set,
    in an object that is reused as a producer's is; its exceptions are caught and become divergences; its working
    copies are written into as a consumer would. It can change neither what the caller gets nor what the caller gave.

    Args:
        reference: the cache that serves.
        candidate: the cache on trial.
        spec: the sizes of both.
        names: of the reference and of the candidate, for people.
        tolerance: how far a candidate's numbers may lie from right ones; None asks for equal bits.
        log: takes the divergences; several shadows may share one.
        complete: False where the reference may hold entries from before, which the candidate never saw.

    Attributes:
        log: the divergences.
        operations: how many of each kind there were.
        gets_compared: lookups, of which `values_compared` were hits on both sides.
        number: of the operation under way or last done.
        next_number: of the next one; whoever drives a part of a longer stream may set it.
        answers: what reference and candidate did at the last lookup.
        raised: the last exception of the reference that was passed on.
    """

    def __init__(
        self,
        *,
        reference: Cache,
        candidate: Cache,
        spec: CacheSpec,
        names: tuple[str, str] = ("reference", "candidate"),
        tolerance: Tolerance | None = None,
        log: DivergenceLog | None = None,
        complete: bool = True,
    ) -> None:
        self.spec = spec
        self.reference = Side("reference", names[0], reference, spec)
        self.candidate = Side("candidate", names[1], candidate, spec)
        self.log = DivergenceLog() if log is None else log
        self.operations: Counter[str] = Counter()
        self.gets_compared = 0
        self.values_compared = 0
        self.number = -1
        self.next_number = 0
        self._until_stats = _STATS_EVERY
        self.answers = (Outcome(), Outcome())
        self.raised: Exception | None = None
        self._key = 0
        self._watched: _WorkingCopy | None = None
        self._loan: _Loan | None = None
        self._truth = Truth.empty(spec, complete=complete)
        mine = IdealCache(spec, self.reference.strategy)
        its = IdealCache(spec, self.candidate.strategy)
        # Where both sides declare the same strategies, one ideal serves both.
        shared = its.strategies == mine.strategies
        self._distinct_ideals = (mine,) if shared else (mine, its)
        self._judge = Judge(
            (self.reference, self.candidate),
            truth=self._truth,
            ideals=(mine, mine if shared else its),
            log=self.log,
            tolerance=tolerance,
        )
        self._handed_over: _HandedOver | None = None
        for side in (self.reference, self.candidate):
            side.listen(lambda: (self.number, self._key))

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Store `value` on both sides.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        self._begin("set")
        self._key = key
        contents = self._contents(pool)
        if pool == WM:
            self._watched = None  # the caller itself takes a slot that a working copy may be in
        if self._loan is not None and self._loan.pool == pool:
            self._check_loan(self._loan)
        # One object, overwritten by each set, as a producer's is: a candidate that keeps it is found out.
        earlier = self._handed_over
        copy = _copied(value, None if earlier is None else earlier.put_together())
        if earlier is None or copy is not earlier.value:
            self._handed_over = _HandedOver.of(copy)
            if earlier is not None:
                self._discard(earlier.value)
        set_to = fingerprint(copy)
        contents.set(key, set_to, device_of(copy), self.number)
        mine = _attempt(self.reference.cache.set, pool, key, value, priority=priority)
        its = _attempt(self.candidate.cache.set, pool, key, copy, priority=priority)
        if self.operations["set"] % _WATCH_EVERY == 0 and self.candidate.ask(lambda: copy).fingerprint != set_to:
            self._judge.source(self.number, pool, key)
        for ideal in self._distinct_ideals:
            ideal.set(pool, key, self.number, priority)
        if mine is not None or its is not None:
            self._judge.errors(self.number, Set(pool=pool, key=key, value=None), mine, its)
            self._raise(mine)

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Look `key` up on both sides, compare, and return the reference's answer.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        self._begin("get")
        contents = self._contents(pool)
        self.gets_compared += 1
        reference, candidate = self.reference, self.candidate
        mine = reference.ask(reference.cache.get, pool, key)
        its = candidate.ask(candidate.cache.get, pool, key)
        self.answers = (mine, its)
        held = [ideal.get(pool, key) for ideal in self._distinct_ideals]
        if mine.fingerprint is not None and its.fingerprint is not None:
            self.values_compared += 1
        if _agree(mine, its, contents.last_set.get(key)):
            hit = mine.fingerprint is not None
            for side, ideally in ((reference, held[0]), (candidate, held[-1])):
                side.saw(pool, hit=hit)
                if hit != (ideally is not None):  # both left their ideal alike
                    side.deviated.add(pool)
        else:
            self._judge_lookup(Get(pool=pool, key=key), (pool,), held)
        if self._loan is None and self.operations["get"] % _WATCH_EVERY == 0 and its.fingerprint and pool != WM:
            self._loan = _Loan(self.number, pool, key, its.value, its.fingerprint)
        if mine.error is not None and mine.value is None:
            self._raise(mine.error)
        return mine.value

    def checkout(self, env: int, key: int) -> Any | None:
        """The search's lookup on both sides; the working copy that is returned is the reference's.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        self._begin("checkout")
        self._contents(init(env))
        self.gets_compared += 1
        reference, candidate = self.reference, self.candidate
        if self._watched is not None and self.operations["checkout"] >= self._watched.until:
            self._check_watched(self._watched)
        mine = reference.ask(reference.cache.checkout, env, key)
        its = candidate.ask(candidate.cache.checkout, env, key)
        self.answers = (mine, its)
        held = [ideal.checkout(env, key) for ideal in self._distinct_ideals]
        if mine.fingerprint is not None and its.fingerprint is not None:
            self.values_compared += 1
        source = held[0]
        last = self._truth.pools[source].last_set.get(key) if source else None
        if held[-1] == source and _agree(mine, its, last):
            answered = None if mine.fingerprint is None else source
            for side in (reference, candidate):
                side.saw_checkout(env, answered)
                if source is not None and answered is None:  # both left their ideal alike
                    side.deviated.add(source)
            self._note_ambiguity(source, key, last)
        else:
            self._judge_lookup(Checkout(env=env, key=key), (init(env), RECUR), held)
        if its.fingerprint is not None:
            self._write_into(env, key, its.value)
        if mine.error is not None and mine.value is None:
            self._raise(mine.error)
        return mine.value

    def clear(self, pool: PoolId) -> None:
        """Clear `pool` on both sides.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        self._begin("clear")
        pools = covered(pool, self._truth.pools)
        for each in pools:
            self._contents(each)
        if self._loan is not None and self._loan.pool in pools:
            self._check_loan(self._loan)
        mine = _attempt(self.reference.cache.clear, pool)
        its = _attempt(self.candidate.cache.clear, pool)
        for each in pools:
            if each == WM:
                self._watched = None
            self._truth.pools[each].clear(self.number)
            for ideal in self._distinct_ideals:
                ideal.clear(each)
        for side in (self.reference, self.candidate):
            side.forget_drops(pool)
        if mine is not None or its is not None:
            self._judge.errors(self.number, Clear(pool=pool), mine, its)
            self._raise(mine)

    def check_stats(self) -> None:
        """Hold what each side counted against what was seen of it. Done now and then, and by whoever ends a run."""
        self._judge.stats(self.number)

    # ------------------------------------------------------------------ inside

    @property
    def both_raised(self) -> int:
        """Operations in which both sides raised the same type of exception."""
        return self._judge.both_raised

    def _contents(self, pool: PoolId) -> Contents:
        try:
            return self._truth.pools[pool]
        except KeyError:
            raise ValueError(f"there is no pool {pool}: the caches were built with {self.spec}") from None

    def _begin(self, kind: str) -> None:
        self.number = self.next_number
        self.next_number += 1
        self.operations[kind] += 1
        self._until_stats -= 1
        if not self._until_stats:
            self._until_stats = _STATS_EVERY
            self.check_stats()

    def _note_ambiguity(self, source: PoolId | None, key: int, last: LastSet | None) -> None:
        """Where recur holds the same bytes, nobody can tell from outside which of the two pools answered."""
        if source is None or last is None or source == RECUR:
            return
        other = self._truth.pools[RECUR].last_set.get(key)
        if other is not None and other.fingerprint == last.fingerprint:
            for side in (self.reference, self.candidate):
                side.lost_track.update((source, RECUR))
                side.deviated.update((source, RECUR))  # perhaps

    def _write_into(self, env: int, key: int, working_copy: Any) -> None:
        """Do as a consumer does, who owns the working copy; now and then make sure that it stays the consumer's."""
        turn = self.operations["checkout"]
        try:
            scribble(working_copy, turn)
            if self._watched is None and turn % _WATCH_EVERY == 0:
                until = turn + self.spec.env_num
                self._watched = _WorkingCopy(self.number, env, key, working_copy, fingerprint(working_copy), until)
        except Exception as error:  # noqa: BLE001  a working copy that cannot be written into is a finding
            self._judge.errors(self.number, Write(env=env, fill=0), None, error)

    def _check_watched(self, watched: _WorkingCopy) -> None:
        """The candidate may have this slot back with the checkout that comes now; until here it was the consumer's."""
        self._watched = None
        now = self.candidate.ask(lambda: watched.value)
        if now.fingerprint != watched.fingerprint:
            self._judge.working_copy(watched.number, watched.env, watched.key, self.spec.env_num)

    def _discard(self, handed_over: KeysValues) -> None:
        """The next value is of another kind and gets an object of its own: who kept this one is found out as well."""
        with suppress(Exception):  # whatever a candidate made of it
            scribble(handed_over, self.number)

    def _check_loan(self, loan: _Loan) -> None:
        """What the candidate lent was good until the operation that comes now."""
        self._loan = None
        now = self.candidate.ask(lambda: loan.value)
        if now.fingerprint != loan.fingerprint:
            self._judge.loan(loan.number, loan.pool, loan.key)

    def _judge_lookup(self, operation: Get | Checkout, pools: tuple[PoolId, ...], held: list[PoolId | None]) -> None:
        both = (held[0], held[-1])
        self._judge.lookup(
            Lookup(number=self.number, operation=operation, pools=pools, outcomes=self.answers, ideal=both)
        )

    def _raise(self, error: Exception | None) -> None:
        """Pass on what the reference raised, if it did."""
        if error is not None:
            self.raised = error
            raise error


class _HandedOver(NamedTuple):
    """The object in which the candidate is given what it is to copy, and the parts that it was made of."""

    value: KeysValues
    parts: list[tuple[LayerCache, TokenCache, TokenCache]]

    @classmethod
    def of(cls, value: KeysValues) -> _HandedOver:
        return cls(value, [(layer, layer._k_cache, layer._v_cache) for layer in value._keys_values])

    def put_together(self) -> KeysValues:
        """The object in its structure, even if a candidate took it apart."""
        for layer, k, v in self.parts:
            layer._k_cache, layer._v_cache = k, v
        self.value._keys_values = tuple([layer for layer, _, _ in self.parts])
        return self.value


class _WorkingCopy(NamedTuple):
    """A working copy of the candidate: lent at operation `number`, the consumer's until the checkout of that count."""

    number: int
    env: int
    key: int
    value: Any
    fingerprint: bytes
    until: int


class _Loan(NamedTuple):
    """What a get of the candidate lent at operation `number`: good until the next set or clear of that pool."""

    number: int
    pool: PoolId
    key: int
    value: Any
    fingerprint: bytes


def _copied(value: Any, target: KeysValues | None) -> KeysValues:
    """A copy in the memory layout of `value`, over `target` where that is the plain one."""
    tensors, sizes = read(value)
    plain = [tensor.is_contiguous() for tensor in tensors if isinstance(tensor, torch.Tensor)]
    if all(plain) or len(plain) < len(tensors):
        return copy_into(value, target)
    return KeysValues([tensor.detach().clone() for tensor in tensors], sizes)


def _agree(mine: Outcome, its: Outcome, last: LastSet | None) -> bool:
    """Whether both missed, or both returned what was last set, on the device that it was on."""
    if mine.fingerprint is None or its.fingerprint is None:
        return mine.fingerprint is its.fingerprint and mine.error is None and its.error is None
    return (
        last is not None
        and mine.fingerprint == last.fingerprint
        and its.fingerprint == last.fingerprint
        and device_of(mine.value) == last.device
        and device_of(its.value) == last.device
    )


def _attempt(call: Callable[..., Any], *arguments: Any, **options: Any) -> Exception | None:
    try:
        call(*arguments, **options)
    except Exception as error:  # noqa: BLE001  observing whatever a cache does is the point
        return error
    return None
