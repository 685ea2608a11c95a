"""`Examiner`: compares what two caches did with what is right, and brings every disagreement before the judge.

It reads events, in the order of their operations. An event may be examined long after its operation, when the
fingerprints in it have been read from a device; so the examiner calls no cache and looks at no memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvparity.caches.exceptions import describe_error
from kvparity.evidence.coverage import Coverage, Exercised
from kvparity.evidence.history import Event as HistoryEvent
from kvparity.judging.events import (
    CheckoutDone,
    ClearDone,
    Event,
    GetDone,
    KeyDropped,
    LoanEnded,
    LookupNotCompared,
    SetDone,
    SourceReleased,
    WorkingCopyReturned,
    WriteDone,
    WriteFailed,
    new,
)
from kvparity.judging.judge import Judge, Lookup
from kvparity.judging.oracle import IdealCache, LastSet, Truth
from kvparity.judging.statistics import StatisticsJudge
from kvparity.operations import RECUR, Checkout, Clear, Get, PoolId, Set, Write, init

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.caches.protocol import CacheSpec
    from kvparity.evidence.history import Did, History
    from kvparity.judging.outcome import Outcome
    from kvparity.judging.side_record import SideRecord
    from kvparity.results.divergence import DivergenceLog
    from kvparity.values.difference import Tolerance


class Examiner:
    """Knows the last value set under each key, and what each side's strategy should hold.

    Args:
        records: of the reference and of the candidate.
        spec: the sizes of both.
        log: takes the divergences.
        tolerance: how far a candidate's numbers may differ from the right ones; None asks for equal bits.
        complete: False where the reference may hold entries from before, which the candidate never saw.
        history: keeps what was done to each key; None keeps nothing.

    Attributes:
        judge: decides where the sides disagree.
        statistics: decides whether the statistics that the sides report are true.
    """

    def __init__(
        self,
        records: tuple[SideRecord, SideRecord],
        *,
        spec: CacheSpec,
        log: DivergenceLog,
        tolerance: Tolerance | None,
        complete: bool,
        history: History | None,
    ) -> None:
        self._records = records
        self._init_pools = [init(env) for env in range(spec.env_num)]
        self._history = history
        self._truth = Truth.empty(spec, complete=complete)
        reference, candidate = (IdealCache(spec, record.strategies.__getitem__) for record in records)
        # Where both sides declare the same strategies, one ideal serves both.
        shared = candidate.strategies == reference.strategies
        self._ideals = (reference, reference if shared else candidate)
        self._ideal = reference
        self._other_ideal = None if shared else candidate
        self.judge = Judge(
            records, truth=self._truth, ideals=self._ideals, log=log, tolerance=tolerance, history=history
        )
        self.statistics = StatisticsJudge(records, ideals=self._ideals, log=log)
        self._examine: dict[type[Any], Callable[[Any], None]] = {
            SetDone: self._set,
            GetDone: self._get,
            CheckoutDone: self._checkout,
            LookupNotCompared: self._not_compared,
            ClearDone: self._clear,
            LoanEnded: self._loan_ended,
            WorkingCopyReturned: self._working_copy_returned,
            SourceReleased: self._source_released,
            WriteDone: self._write_done,
            WriteFailed: self._write_failed,
            KeyDropped: self._key_dropped,
        }

    def examine(self, event: Event) -> None:
        """Examine what both sides did."""
        self._examine[type(event)](event)

    def coverage(self, *, kinds: list[str], kind_changes: int, working_copies: int) -> Coverage:
        """What was exercised so far; the arguments are what only the caller can count, see `Coverage`."""
        return _coverage_of(
            self._truth, *self._ideals, kinds=kinds, kind_changes=kind_changes, working_copies=working_copies
        )

    # ------------------------------------------------------------------ one method per event

    def _set(self, event: SetDone) -> None:
        number, pool, key, priority, fingerprint, device, reference_error, candidate_error, source = event
        if self._history is not None:
            did = fingerprint if reference_error is None else _raised(reference_error)
            candidate_did = fingerprint if candidate_error is None else _raised(candidate_error)
            self._history.note(new(HistoryEvent, (number, "set", pool, key, did, candidate_did)))
        if source is not None and source.fingerprint != fingerprint:
            self.judge.source_changed(number, pool, key)
        if reference_error is not None or candidate_error is not None:
            self.judge.errors(number, Set(pool=pool, key=key, value=None), reference_error, candidate_error)
            if reference_error is not None and candidate_error is not None:
                self._truth.pools[pool].forget(key)  # both refused it, and either may have stored a part of it
                return
        self._truth.pools[pool].set(key, fingerprint, device, number)
        self._ideal.set(pool, key, number, priority)
        if self._other_ideal is not None:
            self._other_ideal.set(pool, key, number, priority)

    def _get(self, event: GetDone) -> None:
        number, pool, key, reference, candidate = event
        if self._history is not None:
            did = reference.fingerprint if reference.error is None else _raised(reference.error)
            candidate_did = candidate.fingerprint if candidate.error is None else _raised(candidate.error)
            self._history.note(new(HistoryEvent, (number, "get", pool, key, did, candidate_did)))
        ideally = self._ideal.get(pool, key)
        ideally_candidate = ideally if self._other_ideal is None else self._other_ideal.get(pool, key)
        if _agree(reference, candidate, self._truth.pools[pool].last_set.get(key)):
            hit = reference.fingerprint is not None
            reference_record, candidate_record = self._records
            reference_record.count_get(pool, hit=hit)
            candidate_record.count_get(pool, hit=hit)
            if hit != (ideally is not None):  # both sides left their ideal in the same way
                reference_record.deviated.add(pool)
            if hit != (ideally_candidate is not None):
                candidate_record.deviated.add(pool)
        else:
            operation = Get(pool=pool, key=key)
            self.judge.lookup(Lookup(number, operation, (pool,), (reference, candidate), (ideally, ideally_candidate)))

    def _checkout(self, event: CheckoutDone) -> None:
        number, env, key, reference, candidate = event
        init_pool = self._init_pools[env]
        if self._history is not None:
            did = reference.fingerprint if reference.error is None else _raised(reference.error)
            candidate_did = candidate.fingerprint if candidate.error is None else _raised(candidate.error)
            self._history.note(new(HistoryEvent, (number, "checkout", init_pool, key, did, candidate_did)))
        ideally = self._ideal.checkout(env, key)
        ideally_candidate = ideally if self._other_ideal is None else self._other_ideal.checkout(env, key)
        last = None if ideally is None else self._truth.pools[ideally].last_set.get(key)
        if ideally == ideally_candidate and _agree(reference, candidate, last):
            hit = reference.fingerprint is not None
            reference_record, candidate_record = self._records
            reference_record.count_checkout(env, ideally if hit else None)
            candidate_record.count_checkout(env, ideally if hit else None)
            if ideally is not None and not hit:  # both sides left their ideal in the same way
                reference_record.deviated.add(ideally)
                candidate_record.deviated.add(ideally)
            if ideally != RECUR and last is not None:
                self._note_ambiguity(init_pool, key, last)
        else:
            last = self._truth.pools[init_pool].last_set.get(key)
            if last is not None:
                self._note_ambiguity(init_pool, key, last)
            operation, pools = Checkout(env=env, key=key), (init_pool, RECUR)
            self.judge.lookup(Lookup(number, operation, pools, (reference, candidate), (ideally, ideally_candidate)))

    def _not_compared(self, event: LookupNotCompared) -> None:
        """An exception is a finding even where nobody looked at the tensors."""
        number, verb, pool, key, reference, candidate = event
        if self._history is not None:
            did = _did_unseen(reference), _did_unseen(candidate)
            self._history.note(HistoryEvent(number, verb, pool, key, *did))
        pools = (pool,) if verb == "get" else (pool, RECUR)
        for record, outcome, ideal in zip(self._records, (reference, candidate), self._looked_up(event), strict=True):
            record.lost_track.update(pools)
            if (outcome.value is None) != (ideal is None):
                record.deviated.update(pools)
        if reference.error is not None or candidate.error is not None:
            operation = Get(pool=pool, key=key) if verb == "get" else Checkout(env=pool.env or 0, key=key)
            self.judge.errors(number, operation, reference.error, candidate.error)

    def _clear(self, event: ClearDone) -> None:
        number, pool, pools, reference_error, candidate_error = event
        if self._history is not None:
            did = "cleared" if reference_error is None else _raised(reference_error)
            candidate_did = "cleared" if candidate_error is None else _raised(candidate_error)
            self._history.note(HistoryEvent(number, "clear", pool, None, did, candidate_did))
        if reference_error is not None or candidate_error is not None:
            self.judge.errors(number, Clear(pool=pool), reference_error, candidate_error)
            if reference_error is not None and candidate_error is not None:
                for each in pools:
                    self._truth.pools[each].forget_all()  # either may have cleared a part of it
                return
        for each in pools:
            self._truth.pools[each].clear(number)
            for ideal in (self._ideal, self._other_ideal):
                if ideal is not None:
                    ideal.clear(each)
        for record in self._records:
            record.forget_drops(pool)

    def _loan_ended(self, event: LoanEnded) -> None:
        if event.now.fingerprint != event.lent.fingerprint:
            self.judge.loan_changed(event.number, event.pool, event.key)

    def _working_copy_returned(self, event: WorkingCopyReturned) -> None:
        if event.now.fingerprint != event.written.fingerprint:
            self.judge.working_copy_changed(event.number, event.env, event.key, len(self._init_pools))

    def _source_released(self, event: SourceReleased) -> None:
        if event.now.fingerprint != event.fingerprint:
            self.judge.source_changed_late(event.number, event.pool, event.key)

    def _write_done(self, event: WriteDone) -> None:
        if event.found.fingerprint != event.expected.fingerprint:
            self.judge.write_lost(event.number, event.env, event.key, event.where)

    def _write_failed(self, event: WriteFailed) -> None:
        self.judge.errors(event.number, Write(env=event.env, fill=0), None, event.error)

    def _key_dropped(self, event: KeyDropped) -> None:
        role, seen = event
        (record,) = [record for record in self._records if record.role == role]
        record.note_drop(seen)
        if self._history is not None:
            words = f"dropped for key {seen.for_key:#018x}: {seen.drop.reason}"
            did = (words, "") if record is self._records[0] else ("", words)
            self._history.note(HistoryEvent(seen.number, "drop", seen.drop.pool, seen.drop.key, *did))

    # ------------------------------------------------------------------ inside

    def _looked_up(self, event: LookupNotCompared) -> tuple[PoolId | None, PoolId | None]:
        """Where the ideal of each side has the key."""
        found = [
            ideal.get(event.pool, event.key) if event.verb == "get" else ideal.checkout(event.pool.env or 0, event.key)
            for ideal in (self._ideal, self._other_ideal)
            if ideal is not None
        ]
        return found[0], found[-1]

    def _note_ambiguity(self, source: PoolId, key: int, last: LastSet) -> None:
        """Where recur holds the same bytes, nobody outside can know which of the two pools answered."""
        other = self._truth.pools[RECUR].last_set.get(key)
        if other is not None and other.fingerprint == last.fingerprint:
            for record in self._records:
                record.lost_track.update((source, RECUR))
                record.deviated.update((source, RECUR))  # possibly


def _agree(reference: Outcome, candidate: Outcome, last: LastSet | None) -> bool:
    """Whether both missed, or both returned what was last set, on the device where it was set."""
    if reference.fingerprint is None or candidate.fingerprint is None:
        return reference.fingerprint is candidate.fingerprint and reference.error is None and candidate.error is None
    return (
        last is not None
        and reference.fingerprint == last.fingerprint
        and candidate.fingerprint == last.fingerprint
        and reference.device == last.device
        and candidate.device == last.device
    )


def _did_unseen(outcome: Outcome) -> Did:
    """For the history: an answer whose tensors nobody looked at."""
    if outcome.error is not None:
        return _raised(outcome.error)
    return "miss" if outcome.value is None else "hit, not compared"


def _raised(error: BaseException) -> str:
    """For the history: an exception in words, because the object itself would keep all of its callers' variables."""
    return f"raised {describe_error(error)}"


def _coverage_of(
    truth: Truth,
    reference: IdealCache,
    candidate: IdealCache,
    *,
    kinds: list[str],
    kind_changes: int,
    working_copies: int,
) -> Coverage:
    """What was exercised, according to the truth and to the ideals of both sides."""
    coverage = Coverage(kinds=list(kinds), kind_changes=kind_changes, working_copies=working_copies)
    for pool, contents in truth.pools.items():
        ideal = reference.pools[pool]
        family = coverage.families.setdefault(pool.family, Exercised())
        family += Exercised(
            pools=1,
            used=int(contents.sets > 0),
            wrapped=int(ideal.evictions > 0),
            sets=contents.sets,
            resets=ideal.resets,
            hits=ideal.hits,
            misses=ideal.misses,
            evictions={"reference": ideal.evictions, "candidate": candidate.pools[pool].evictions},
            clears=contents.clears,
        )
        if pool.family == "init":
            coverage.environments += 1
            coverage.environments_seen += bool(contents.sets or ideal.hits or ideal.misses)
        for role, strategy in (("reference", reference.strategies[pool]), ("candidate", candidate.strategies[pool])):
            names = coverage.strategies.setdefault(role, {}).setdefault(pool.family, [])
            if strategy not in names:
                names.append(strategy)
    return coverage
