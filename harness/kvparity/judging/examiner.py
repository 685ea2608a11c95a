"""`Examiner`: holds what two caches did against what is right, and brings the rest before the judge.

It is told of operations in their order, when the fingerprints of what was seen are known: that may be a while after the
operations themselves. So it looks at nothing but what it is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvparity.caches.exceptions import describe_error
from kvparity.evidence.coverage import Coverage, Exercised
from kvparity.evidence.history import Event
from kvparity.judging.judge import Judge, Lookup
from kvparity.judging.oracle import IdealCache, LastSet, Truth
from kvparity.operations import RECUR, Checkout, Clear, Get, PoolId, Set, Write, init

if TYPE_CHECKING:
    import torch

    from kvparity.caches.protocol import CacheSpec
    from kvparity.evidence.history import Did, History
    from kvparity.results.divergence import DivergenceLog
    from kvparity.shadow.side import Outcome, SeenDrop, Side
    from kvparity.values.difference import Tolerance


class Examiner:
    """Knows the truth of each pool, and what each side's strategy should hold.

    Args:
        sides: the reference and the candidate.
        spec: the sizes of both.
        log: takes the divergences.
        tolerance: how far a candidate's numbers may lie from right ones; None asks for equal bits.
        complete: False where the reference may hold entries from before, which the candidate never saw.
        history: takes what was done to which key; None where that is not kept.

    Attributes:
        judge: decides where the sides part.
    """

    def __init__(
        self,
        sides: tuple[Side, Side],
        *,
        spec: CacheSpec,
        log: DivergenceLog,
        tolerance: Tolerance | None,
        complete: bool,
        history: History | None,
    ) -> None:
        self._sides = sides
        self._env_num = spec.env_num
        self._history = history
        self._truth = Truth.empty(spec, complete=complete)
        mine, its = (IdealCache(spec, side.strategy) for side in sides)
        # Where both sides declare the same strategies, one ideal serves both.
        shared = its.strategies == mine.strategies
        self._ideals = (mine, mine if shared else its)
        self._ideal = mine
        self._other_ideal = None if shared else its
        self.judge = Judge(sides, truth=self._truth, ideals=self._ideals, log=log, tolerance=tolerance, history=history)

    def set(  # noqa: PLR0917  by position, for it is told of each set
        self,
        number: int,
        pool: PoolId,
        key: int,
        priority: float | None,
        fingerprint: bytes,
        device: torch.device | None,
        mine: BaseException | None,
        its: BaseException | None,
        after: Outcome | None,
    ) -> None:
        """A value of that fingerprint, on that device, was set.

        What each side raised; and how what the candidate was given to copy was after that, where it was looked at.
        """
        if self._history is not None:
            self._history.note(Event(number, "set", pool, key, _did(mine, fingerprint), _did(its, fingerprint)))
        if after is not None and after.fingerprint != fingerprint:
            self.judge.source(number, pool, key)
        if mine is not None or its is not None:
            self.judge.errors(number, Set(pool=pool, key=key, value=None), mine, its)
            if mine is not None and its is not None:
                self._truth.pools[pool].forget(key)  # both refused it, and nobody knows how far they had come
                return
        self._truth.pools[pool].set(key, fingerprint, device, number)
        self._ideal.set(pool, key, number, priority)
        if self._other_ideal is not None:
            self._other_ideal.set(pool, key, number, priority)

    def get(self, number: int, pool: PoolId, key: int, mine: Outcome, its: Outcome) -> None:
        """A get, and both answers."""
        if self._history is not None:
            did = _did(mine.error, mine.fingerprint), _did(its.error, its.fingerprint)
            self._history.note(Event(number, "get", pool, key, *did))
        held = self._ideal.get(pool, key)
        held_by_its = held if self._other_ideal is None else self._other_ideal.get(pool, key)
        if _agree(mine, its, self._truth.pools[pool].last_set.get(key)):
            hit = mine.fingerprint is not None
            for side, ideally in zip(self._sides, (held, held_by_its), strict=True):
                side.saw(pool, hit=hit)
                if hit != (ideally is not None):  # both left their ideal alike
                    side.deviated.add(pool)
        else:
            operation = Get(pool=pool, key=key)
            self.judge.lookup(Lookup(number, operation, (pool,), (mine, its), (held, held_by_its)))

    def checkout(self, number: int, env: int, key: int, mine: Outcome, its: Outcome) -> None:
        """A checkout, and both answers."""
        if self._history is not None:
            did = _did(mine.error, mine.fingerprint), _did(its.error, its.fingerprint)
            self._history.note(Event(number, "checkout", init(env), key, *did))
        held = self._ideal.checkout(env, key)
        held_by_its = held if self._other_ideal is None else self._other_ideal.checkout(env, key)
        last = None if held is None else self._truth.pools[held].last_set.get(key)
        if held == held_by_its and _agree(mine, its, last):
            hit = mine.fingerprint is not None
            reference, candidate = self._sides
            reference.saw_checkout(env, held if hit else None)
            candidate.saw_checkout(env, held if hit else None)
            if held is not None and not hit:  # both left their ideal alike
                reference.deviated.add(held)
                candidate.deviated.add(held)
            if held != RECUR and last is not None:
                self._note_ambiguity(init(env), key, last)
        else:
            operation = Checkout(env=env, key=key)
            self.judge.lookup(Lookup(number, operation, (init(env), RECUR), (mine, its), (held, held_by_its)))

    def mirrored(self, number: int, verb: str, pool: PoolId, key: int, mine: Outcome, its: Outcome) -> None:  # noqa: PLR0917
        """A lookup at whose tensors nobody looked. An exception is a finding all the same."""
        if self._history is not None:
            self._history.note(Event(number, verb, pool, key, _unseen(mine), _unseen(its)))
        held = _looked_up(self._ideal, verb, pool, key)
        held_by_its = held if self._other_ideal is None else _looked_up(self._other_ideal, verb, pool, key)
        pools = (pool,) if verb == "get" else (pool, RECUR)
        for side, answer, ideally in ((self._sides[0], mine, held), (self._sides[1], its, held_by_its)):
            side.lost_track.update(pools)
            if (answer.value is None) != (ideally is None):
                side.deviated.update(pools)
        if mine.error is not None or its.error is not None:
            operation = Get(pool=pool, key=key) if verb == "get" else Checkout(env=pool.env or 0, key=key)
            self.judge.errors(number, operation, mine.error, its.error)

    def clear(
        self,
        number: int,
        pool: PoolId,
        covered: list[PoolId],
        mine: BaseException | None,
        its: BaseException | None,
    ) -> None:
        """A clear, of these pools; what each side raised."""
        self._note(Event(number, "clear", pool, None, _did(mine, "cleared"), _did(its, "cleared")))
        if mine is not None or its is not None:
            self.judge.errors(number, Clear(pool=pool), mine, its)
            if mine is not None and its is not None:
                for each in covered:
                    self._truth.pools[each].forget_all()  # the same
                return
        for each in covered:
            self._truth.pools[each].clear(number)
            for ideal in (self._ideal, self._other_ideal):
                if ideal is not None:
                    ideal.clear(each)
        for side in self._sides:
            side.forget_drops(pool)

    def loan(self, number: int, pool: PoolId, key: int, lent: Outcome, now: Outcome) -> None:
        """A get of the candidate lent that; how it is when the loan ends."""
        if now.fingerprint != lent.fingerprint:
            self.judge.loan(number, pool, key)

    def working_copy(self, number: int, env: int, key: int, lent: Outcome, now: Outcome) -> None:
        """A checkout of the candidate lent that to be written into; how it is when the consumer gives it back."""
        if now.fingerprint != lent.fingerprint:
            self.judge.working_copy(number, env, key, self._env_num)

    def unwritable(self, number: int, env: int, error: BaseException) -> None:
        """A working copy of the candidate could not be written into."""
        self.judge.errors(number, Write(env=env, fill=0), None, error)

    def dropped(self, side: Side, seen: SeenDrop) -> None:
        """A side reported that it dropped a key of its own accord."""
        side.dropped(seen)
        told = f"dropped for key {seen.for_key:#018x}: {seen.drop.reason}"
        both = (told, "") if side is self._sides[0] else ("", told)
        self._note(Event(seen.number, "drop", seen.drop.pool, seen.drop.key, *both))

    def coverage(self, *, kinds: list[str], kind_changes: int, working_copies: int) -> Coverage:
        """What was exercised so far."""
        return coverage_of(
            self._truth, *self._ideals, kinds=kinds, kind_changes=kind_changes, working_copies=working_copies
        )

    # ------------------------------------------------------------------ inside

    def _note(self, event: Event) -> None:
        if self._history is not None:
            self._history.note(event)

    def _note_ambiguity(self, source: PoolId, key: int, last: LastSet) -> None:
        """Where recur holds the same bytes, nobody can tell from outside which of the two pools answered."""
        other = self._truth.pools[RECUR].last_set.get(key)
        if other is not None and other.fingerprint == last.fingerprint:
            for side in self._sides:
                side.lost_track.update((source, RECUR))
                side.deviated.update((source, RECUR))  # perhaps


def _looked_up(ideal: IdealCache, verb: str, pool: PoolId, key: int) -> PoolId | None:
    """Where `ideal` has the key."""
    return ideal.get(pool, key) if verb == "get" else ideal.checkout(pool.env or 0, key)


def _agree(mine: Outcome, its: Outcome, last: LastSet | None) -> bool:
    """Whether both missed, or both returned what was last set, on the device that it was on."""
    if mine.fingerprint is None or its.fingerprint is None:
        return mine.fingerprint is its.fingerprint and mine.error is None and its.error is None
    return (
        last is not None
        and mine.fingerprint == last.fingerprint
        and its.fingerprint == last.fingerprint
        and mine.device == last.device
        and its.device == last.device
    )


def _unseen(answer: Outcome) -> Did:
    """What is known of an answer at whose tensors nobody looked."""
    return _did(answer.error, "miss" if answer.value is None else "hit, not compared")


def _did(error: BaseException | None, otherwise: Did) -> Did:
    """What goes into the history: words, for an exception would keep all that its callers had in their hands."""
    return otherwise if error is None else f"raised {describe_error(error)}"


def coverage_of(
    truth: Truth, mine: IdealCache, its: IdealCache, *, kinds: list[str], kind_changes: int, working_copies: int
) -> Coverage:
    """What operations exercised, by what is known of them: the truth, and the ideals of both sides' strategies."""
    coverage = Coverage(kinds=list(kinds), kind_changes=kind_changes, working_copies=working_copies)
    for pool, contents in truth.pools.items():
        ideal = mine.pools[pool]
        family = coverage.families.setdefault(pool.family, Exercised())
        family += Exercised(
            pools=1,
            used=int(contents.sets > 0),
            wrapped=int(ideal.evictions > 0),
            sets=contents.sets,
            resets=ideal.resets,
            hits=ideal.hits,
            misses=ideal.misses,
            evictions={"reference": ideal.evictions, "candidate": its.pools[pool].evictions},
            clears=contents.clears,
        )
        if pool.family == "init":
            coverage.environments += 1
            coverage.environments_seen += bool(contents.sets or ideal.hits or ideal.misses)
        for side, strategy in (("reference", mine.strategies[pool]), ("candidate", its.strategies[pool])):
            names = coverage.strategies.setdefault(side, {}).setdefault(pool.family, [])
            if strategy not in names:
                names.append(strategy)
    return coverage
