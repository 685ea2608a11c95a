"""`Mirror`: makes a candidate do what a reference did, and has every answer of both examined.

Each operation goes three ways: it is *done* on the candidate, what both sides did is *observed*, and an event with what
was seen is submitted to be *examined*.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from kvparity.caches.exceptions import drop_traceback, reraise_if_interrupt
from kvparity.judging.events import (
    CheckoutDone,
    ClearDone,
    GetDone,
    KeyDropped,
    LookupNotCompared,
    SetDone,
    SourceReleased,
    WriteFailed,
    new,
)
from kvparity.judging.examiner import Examiner
from kvparity.judging.outcome import MISS, Outcome
from kvparity.judging.side_record import SeenDrop
from kvparity.operations import WM, PoolId, covered, init
from kvparity.results.adding import ShadowTotals
from kvparity.results.divergence import DivergenceLog
from kvparity.shadow.begun import BegunClear, BegunSet, Witnessed
from kvparity.shadow.counting import OperationCounts
from kvparity.shadow.evidence import SAMPLE_EVERY, Sampler
from kvparity.shadow.examination import Examination
from kvparity.shadow.loans import WATCH_EVERY, LoanWatch, reads_back
from kvparity.shadow.locking import one_at_a_time
from kvparity.shadow.producer import Producer
from kvparity.shadow.side import Side
from kvparity.values.difference import remembered
from kvparity.values.entry import read
from kvparity.values.fingerprints import scribble

if TYPE_CHECKING:
    from collections import Counter

    from kvparity.caches.protocol import Cache, CacheSpec, DeclaresStrategy, Drop
    from kvparity.evidence import Coverage
    from kvparity.shadow.evidence import Evidence
    from kvparity.values.difference import Tolerance

_CHECK_STATS_EVERY = 10_000  # operations


class Mirror:
    """A candidate that does what a reference has done. The caller reports each reference operation.

    The candidate is given its own copy of each value, in an object that is reused as a producer's is. Its exceptions
    are caught and become divergences. Its working copies are written into, as a consumer would.

    Several threads may call it: operations happen one at a time, and none is lost.

    Where the caller does the reference's part between two calls, `begin_*` comes before it and `finish_*` after it;
    `mirror_*` is both at once, for a reference that has done its part. All of `begin_*` and `finish_*` need `lock`.

    Args:
        reference: the cache to compare with; where only its answers are known, an object that declares its strategies.
        candidate: the cache under test.
        spec: the sizes of both.
        names: of the reference and of the candidate, for people.
        tolerance: how far a candidate's numbers may differ from the right ones; None asks for equal bits.
        log: takes the divergences; several shadows may share one.
        complete: False where the reference may hold entries from before, which the candidate never saw.
        serve: whose answers are used, `reference` or `candidate`. The user of a candidate's answers owns its working
            copies, so nothing is written into them here.
        compare_every: compare each N-th lookup only. The others are done on both sides too, so that both evict the same
            keys, but nobody looks at their tensors.
        evidence: keeps more of the run than its divergences; None keeps nothing.

    Attributes:
        reference: the side that is trusted.
        candidate: the side under test.
        counts: operations and compared lookups.
        answers: what reference and candidate answered to the last lookup.
        lock: held while one operation is under way.
    """

    def __init__(
        self,
        *,
        reference: Cache | DeclaresStrategy,
        candidate: Cache,
        spec: CacheSpec,
        names: tuple[str, str] = ("reference", "candidate"),
        tolerance: Tolerance | None = None,
        log: DivergenceLog | None = None,
        complete: bool = True,
        serve: str = "reference",
        compare_every: int = 1,
        evidence: Evidence | None = None,
    ) -> None:
        self.spec = spec
        self.tolerance = tolerance
        self.evidence = evidence
        self.counts = OperationCounts(compare_every=compare_every)
        self.answers = (MISS, MISS)
        self._log = DivergenceLog() if log is None else log
        self.lock = self._log.lock
        self._pools = dict.fromkeys(spec.pools)
        self._candidate_serves = serve == "candidate"
        self._house_at = 1  # calls
        self._key = 0  # that is being set, for whose sake others are dropped
        self._examination = Examination(at_once=tolerance is not None)
        look = self._examination.look
        self.reference = Side("reference", names[0], cast("Cache", reference), spec, look=look)
        self.candidate = Side("candidate", names[1], candidate, spec, look=look)
        sides = (self.reference, self.candidate)
        self._examiner = Examiner(
            (self.reference.record, self.candidate.record),
            spec=spec,
            log=self._log,
            tolerance=tolerance,
            complete=complete,
            history=None if evidence is None else evidence.history,
        )
        self._examination.start(self._examiner, sides)
        self._sampler = None if evidence is None else Sampler(evidence, sides, self._log)
        self._producer = Producer()
        self._source: BegunSet | None = None  # whose copy is watched until the next set
        self._loans = LoanWatch(self.candidate, env_num=spec.env_num, report=self._examination.report)
        for side in sides:
            side.listen(partial(self._dropped, side.role))

    # ------------------------------------------------------------------ drive: the reference has done its part

    def witness(self, value: Any, error: BaseException | None) -> Witnessed:
        """Look at what the reference answered to a lookup, for `mirror_get` or `mirror_checkout`."""
        compared = self.counts.compares_next()
        if error is not None:
            return Witnessed(Outcome(error=error), compared)
        if value is None:
            return Witnessed(MISS, compared)
        return Witnessed(self.reference.look_at(value) if compared else Outcome(value), compared)

    def mirror_set(
        self, pool: PoolId, key: int, value: Any, priority: float | None, error: BaseException | None
    ) -> None:
        """The reference stored `value`, or raised `error`: now the candidate stores it."""
        with self.lock:
            self.finish_set(self.begin_set(pool, key, value), priority, error)

    def mirror_get(self, pool: PoolId, key: int, witnessed: Witnessed) -> None:
        """The reference answered a get: now the candidate does."""
        with self.lock:
            self.finish_get(self.begin("get", pool), pool, key, *witnessed)

    def mirror_checkout(self, env: int, key: int, witnessed: Witnessed) -> None:
        """The reference answered a checkout: now the candidate does."""
        with self.lock:
            self.finish_checkout(self.begin("checkout", init(env)), env, key, *witnessed)

    @one_at_a_time
    def mirror_clear(self, pool: PoolId, error: BaseException | None) -> None:
        """The reference cleared `pool`, or raised `error`: now the candidate clears it."""
        self.finish_clear(self.begin_clear(pool), error)

    # ------------------------------------------------------------------ drive: the reference's part is between

    def begin(self, kind: str, *pools: PoolId) -> int:
        """A `get` from a pool comes, or a `checkout`, which begins in an init pool. Returns the operation's number.

        Raises:
            ValueError: there is no such pool.
        """
        number = self.counts.begin(kind)
        if self.counts.calls >= self._house_at:
            self._keep_house(kind)
        for pool in pools:
            if pool not in self._pools:
                raise ValueError(f"there is no pool {pool}: the caches were built with {self.spec}")
        return number

    def begin_set(self, pool: PoolId, key: int, value: Any) -> BegunSet:
        """A set comes. The copy for the candidate is made now: the reference may change `value`.

        Raises:
            ValueError: there is no such pool.
            NotKeysValuesError: `value` is not a valid entry.
        """
        number = self.begin("set", pool)
        self._key = key
        if pool == WM:
            self._loans.forget_working_copy()
        self._loans.end_loans((pool,))
        if self._source is not None:
            watched, self._source = self._source, None
            now = self.candidate.look_at(watched.copy)
            self._examination.submit(SourceReleased(watched.number, watched.pool, watched.key, watched.look[0], now))
        entry = self._producer.take(value)
        if entry.row is None:
            look = self.candidate.look(entry.value)
        else:
            look = self._examination.look_at_row(entry.row, entry.sizes)
        return new(BegunSet, (number, pool, key, entry.value, look))

    def finish_set(self, begun: BegunSet, priority: float | None, error: BaseException | None) -> None:
        """The reference stored the value, or raised `error`: now the candidate stores it."""
        number, pool, key, copy, (fingerprint, device) = begun
        candidate_error = self.candidate.set(pool, key, copy, priority)
        source = None
        turn = self.counts.done["set"]
        if turn % WATCH_EVERY == 0:
            source = self.candidate.look_at(copy)
            if source.fingerprint == fingerprint and reads_back(turn):
                self._source = begun
        done = (number, pool, key, priority, fingerprint, device, error, candidate_error, source)
        self._examination.submit(new(SetDone, done))

    def finish_get(self, number: int, pool: PoolId, key: int, reference: Outcome, compared: bool) -> None:  # noqa: FBT001
        """The reference answered the get: now the candidate does, and both are compared if `compared`."""
        if not compared:
            candidate = self._peeked(self.candidate.peek("get", pool, key))
            self._examination.submit(LookupNotCompared(number, "get", pool, key, reference, candidate))
        else:
            candidate = self.candidate.ask("get", pool, key)
            reference = self._compare(reference, candidate)
            self._examination.submit(new(GetDone, (number, pool, key, reference, candidate)))
            if self.counts.done["get"] % WATCH_EVERY == 0:
                self._loans.begin_loan(number, pool, key, candidate)
        self.answers = reference, candidate

    def finish_checkout(self, number: int, env: int, key: int, reference: Outcome, compared: bool) -> None:  # noqa: FBT001
        """The same for a checkout."""
        turn = self.counts.done["checkout"]
        self._loans.end_ownership(turn)
        if not compared:
            candidate = self._peeked(self.candidate.peek("checkout", env, key))
            self._examination.submit(LookupNotCompared(number, "checkout", init(env), key, reference, candidate))
        else:
            candidate = self.candidate.ask("checkout", env, key)
            reference = self._compare(reference, candidate)
            self._examination.submit(new(CheckoutDone, (number, env, key, reference, candidate)))
            if candidate.fingerprint is not None and not self._candidate_serves:
                self._write_into(number, env, key, candidate.value, turn)
        self.answers = reference, candidate

    def begin_clear(self, pool: PoolId) -> BegunClear:
        """A clear of `pool` comes.

        Raises:
            ValueError: there is no such pool.
        """
        pools = covered(pool, self._pools)
        number = self.begin("clear", *pools)
        self._loans.end_loans(pools)
        return BegunClear(number, pool, pools)

    def finish_clear(self, begun: BegunClear, error: BaseException | None) -> None:
        """The reference cleared the pool, or raised `error`: now the candidate clears it."""
        number, pool, pools = begun
        candidate_error = self.candidate.clear(pool)
        if WM in pools:
            self._loans.forget_working_copy()
        self._examination.submit(ClearDone(number, pool, pools, error, candidate_error))

    # ------------------------------------------------------------------ what was seen

    @property
    def next_number(self) -> int:
        """The number of the next operation. Set it to drive a part of a longer stream."""
        return self.counts.next_number

    @next_number.setter
    def next_number(self, number: int) -> None:
        self.counts.next_number = number

    @property
    def operations(self) -> Counter[str]:
        """How many of each kind there were."""
        return self.counts.operations

    @property
    def gets_compared(self) -> int:
        """Lookups that were compared."""
        return self.counts.gets_compared

    @property
    def values_compared(self) -> int:
        """Lookups that were compared and were hits on both sides."""
        return self.counts.values_compared

    @property
    def log(self) -> DivergenceLog:
        """The divergences of all operations so far."""
        self.settle()
        return self._log

    @property
    def both_raised(self) -> int:
        """Operations in which both sides raised the same type of exception."""
        self.settle()
        return self._examiner.judge.both_raised

    @one_at_a_time
    def settle(self) -> None:
        """Examine what waits for fingerprints to be read from a device, if anything does.

        Done whenever a batch is full, and when the caller asks for what was found.
        """
        self._examination.settle()

    @one_at_a_time
    def check_stats(self) -> None:
        """Compare what each side counted with what was seen. Done now and then; call it at the end of a run."""
        self.settle()
        reported = self.reference.reported_stats(), self.candidate.reported_stats()
        self._examiner.statistics.judge(self.counts.number, reported)
        if self._sampler is not None:
            self._sampler.add_point(sum(self.counts.done.values()))

    @one_at_a_time
    def coverage(self) -> Coverage:
        """What the operations that have been examined exercised."""
        return self._examiner.coverage(
            kinds=self._producer.kinds,
            kind_changes=self._producer.kind_changes,
            working_copies=self.counts.done["checkout"],
        )

    def totals(self) -> ShadowTotals:
        """What was seen in all: what waits is examined first, and the candidate is asked what it counted."""
        self.settle()
        return self._totals(ask_candidate=True)

    def totals_so_far(self) -> ShadowTotals:
        """What was seen and examined so far. The candidate is not asked, so any thread may call this."""
        return self._totals(ask_candidate=False)

    # ------------------------------------------------------------------ inside

    def _keep_house(self, kind: str) -> None:
        """Do what is due now and then, before an operation of that kind."""
        calls = self.counts.calls
        if calls % _CHECK_STATS_EVERY == 0:
            self.check_stats()
        turn = calls % SAMPLE_EVERY
        if self._sampler is not None:
            if turn == 0:
                self._sampler.start(kind, sum(self.counts.done.values()))
            else:
                self._sampler.stop()
        sample = 1 if turn == 0 else SAMPLE_EVERY - turn
        self._house_at = calls + min(sample, _CHECK_STATS_EVERY - calls % _CHECK_STATS_EVERY)

    def _peeked(self, outcome: Outcome) -> Outcome:
        """The candidate's answer to a lookup that is not compared; somebody may use it where the candidate serves."""
        return self.candidate.checked(outcome) if self._candidate_serves else outcome

    def _compare(self, reference: Outcome, candidate: Outcome) -> Outcome:
        """Count a lookup that is compared. Returns the reference's outcome: its memory may have been reused by now."""
        counts = self.counts
        counts.gets_compared += 1
        if reference.fingerprint is None or candidate.fingerprint is None:
            return reference
        counts.values_compared += 1
        if reference.fingerprint == candidate.fingerprint or not isinstance(reference.fingerprint, bytes):
            return reference
        if self.reference.look_at(reference.value).fingerprint == reference.fingerprint:
            return reference
        return reference._replace(value=remembered(reference.value, read(candidate.value)[1]))

    def _write_into(self, number: int, env: int, key: int, working_copy: Any, turn: int) -> None:
        """Do what a consumer does with a working copy that it owns."""
        try:
            watched = turn % WATCH_EVERY == 0
            if watched and reads_back(turn):
                self._loans.write(number, env, key, working_copy, turn)
                return
            scribble(working_copy, turn)
            if watched:
                self._loans.begin_ownership(number, env, key, working_copy, turn)
        except BaseException as error:  # noqa: BLE001  a working copy that cannot be written into is a finding
            self._examination.submit(WriteFailed(number, env, drop_traceback(reraise_if_interrupt(error))))

    def _dropped(self, role: str, drop: Drop) -> None:
        self._examination.submit(KeyDropped(role, SeenDrop(self.counts.number, self._key, drop)))

    def _totals(self, *, ask_candidate: bool) -> ShadowTotals:
        evidence = self.evidence
        return ShadowTotals(
            spec=self.spec,
            operations=self.operations,
            gets_compared=self.gets_compared,
            values_compared=self.values_compared,
            stats={"reference": self.reference.account(), "candidate": self.candidate.account(ask=ask_candidate)},
            coverage=self.coverage(),
            timeline=None if evidence is None else (evidence.began, evidence.timeline),
            latencies={} if evidence is None else evidence.latencies,
            tolerance=self.tolerance,
        )
