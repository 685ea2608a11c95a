"""`ShadowCache`: two caches behind the face of one, which serves one of them and checks every lookup of both."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from harness.containing import contained
from harness.divergence import DivergenceLog
from harness.fingerprints import fingerprint
from harness.handover import Handover
from harness.judge import Judge, Lookup
from harness.lending import WATCH_EVERY, LendingWatch
from harness.operations import RECUR, WM, Checkout, Clear, Get, PoolId, Set, Write, init
from harness.oracle import Contents, IdealCache, LastSet, Truth, covered
from harness.side import Outcome, Side
from harness.values import device_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.caches import Cache, CacheSpec
    from harness.compare import Tolerance

_STATS_EVERY = 10_000


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
        serve: whose answers the caller gets, `reference` or `candidate`. Where a serving candidate fails, it is the
            reference's. The caller of a candidate that serves owns its working copies: nobody else writes into them.
        compare_every: compare each N-th lookup only. The others are done on both sides all the same, so that both
            evict what they would, but nobody looks at their tensors.

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
        serve: str = "reference",
        compare_every: int = 1,
    ) -> None:
        self.spec = spec
        self._candidate_serves = serve == "candidate"
        self._compare_every = compare_every
        self._lookups = 0
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
        self.raised: BaseException | None = None
        self._key = 0
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
        self._lending = LendingWatch(self.candidate, env_num=spec.env_num, judge=self._judge)
        self._handover = Handover()
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
            self._lending.forget_working_copy()
        self._lending.loan_ends((pool,))
        copy = self._handover.copy_of(value, self.number)
        set_to = fingerprint(copy)
        contents.set(key, set_to, device_of(copy), self.number)
        mine = _attempt(self.reference.cache.set, pool, key, value, priority=priority)
        its = _attempt(self.candidate.cache.set, pool, key, copy, priority=priority)
        if self.operations["set"] % WATCH_EVERY == 0 and self.candidate.ask(lambda: copy).fingerprint != set_to:
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
        reference, candidate = self.reference, self.candidate
        if self._is_skipped():
            mine, its = reference.peek(reference.cache.get, pool, key), candidate.peek(candidate.cache.get, pool, key)
            held = [ideal.get(pool, key) for ideal in self._distinct_ideals]
            return self._mirrored(Get(pool=pool, key=key), (pool,), (mine, its), held)
        self.gets_compared += 1
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
        if self.operations["get"] % WATCH_EVERY == 0:
            self._lending.lent(self.number, pool, key, its)
        return self._answer(mine, its)

    def checkout(self, env: int, key: int) -> Any | None:
        """The search's lookup on both sides; the working copy that is returned is the reference's.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        self._begin("checkout")
        self._contents(init(env))
        reference, candidate = self.reference, self.candidate
        self._lending.checkout_comes(self.operations["checkout"])
        if self._is_skipped():
            mine, its = (
                reference.peek(reference.cache.checkout, env, key),
                candidate.peek(candidate.cache.checkout, env, key),
            )
            held = [ideal.checkout(env, key) for ideal in self._distinct_ideals]
            return self._mirrored(Checkout(env=env, key=key), (init(env), RECUR), (mine, its), held)
        self.gets_compared += 1
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
        if its.fingerprint is not None and not self._candidate_serves:
            self._write_into(env, key, its.value)
        return self._answer(mine, its)

    def clear(self, pool: PoolId) -> None:
        """Clear `pool` on both sides.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        self._begin("clear")
        pools = covered(pool, self._truth.pools)
        for each in pools:
            self._contents(each)
        self._lending.loan_ends(pools)
        mine = _attempt(self.reference.cache.clear, pool)
        its = _attempt(self.candidate.cache.clear, pool)
        for each in pools:
            if each == WM:
                self._lending.forget_working_copy()
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
        try:
            self._lending.write_into(self.number, env, key, working_copy, turn=self.operations["checkout"])
        except Exception as error:  # noqa: BLE001  a working copy that cannot be written into is a finding
            self._judge.errors(self.number, Write(env=env, fill=0), None, error)

    def _is_skipped(self) -> bool:
        """Whether the lookup that comes now is mirrored only."""
        self._lookups += 1
        return (self._lookups - 1) % self._compare_every != 0

    def _mirrored(
        self,
        operation: Get | Checkout,
        pools: tuple[PoolId, ...],
        answers: tuple[Outcome, Outcome],
        held: list[PoolId | None],
    ) -> Any | None:
        """End a lookup at whose tensors nobody looked. An exception is a finding all the same."""
        self.answers = mine, its = answers
        for side, answer, ideally in ((self.reference, mine, held[0]), (self.candidate, its, held[-1])):
            side.lost_track.update(pools)
            if (answer.value is not None) != (ideally is not None):
                side.deviated.update(pools)
        if mine.error is not None or its.error is not None:
            self._judge.errors(self.number, operation, mine.error, its.error)
        return self._answer(mine, its)

    def _answer(self, mine: Outcome, its: Outcome) -> Any | None:
        """What the caller gets: the reference's answer or exception, unless a candidate serves and did not fail."""
        if self._candidate_serves and its.error is None:
            return its.value
        if mine.error is not None and mine.value is None:
            self._raise(mine.error)
        return mine.value

    def _judge_lookup(self, operation: Get | Checkout, pools: tuple[PoolId, ...], held: list[PoolId | None]) -> None:
        both = (held[0], held[-1])
        self._judge.lookup(
            Lookup(number=self.number, operation=operation, pools=pools, outcomes=self.answers, ideal=both)
        )

    def _raise(self, error: BaseException | None) -> None:
        """Pass on what the reference raised, if it did."""
        if error is not None:
            self.raised = error
            raise error


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


def _attempt(call: Callable[..., Any], *arguments: Any, **options: Any) -> BaseException | None:
    try:
        call(*arguments, **options)
    except BaseException as error:  # noqa: BLE001  observing whatever a cache does is the point
        return contained(error)
    return None
