"""`Mirror`: has a candidate do what a reference did, and checks every lookup of both."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from kvparity.caches.exceptions import drop_traceback, reraise_if_interrupt
from kvparity.judging.examiner import Examiner
from kvparity.operations import WM, PoolId, covered, init
from kvparity.results.adding import ShadowTotals
from kvparity.results.divergence import DivergenceLog
from kvparity.shadow.evidence import SAMPLE_EVERY
from kvparity.shadow.loans import WATCH_EVERY, LendingWatch
from kvparity.shadow.locking import one_at_a_time
from kvparity.shadow.producer import Handover
from kvparity.shadow.queue import Docket, Later
from kvparity.shadow.side import MISS, Outcome, SeenDrop, Side
from kvparity.values.device_fingerprints import DeviceFingerprints, fingerprints_for
from kvparity.values.difference import remembered
from kvparity.values.entry import read
from kvparity.values.fingerprints import HostFingerprints, Undecided, scribble

if TYPE_CHECKING:
    import torch

    from kvparity.caches.protocol import Cache, CacheSpec, DeclaresStrategy, Drop
    from kvparity.evidence import Coverage
    from kvparity.shadow.evidence import Evidence
    from kvparity.values.difference import Tolerance
    from kvparity.values.entry import KeysValues
    from kvparity.values.fingerprints import Fingerprints, Look

_STATS_EVERY = 10_000


class Witnessed(NamedTuple):
    """What the reference did at a lookup before the candidate, and whether that is to be compared."""

    outcome: Outcome
    compared: bool


class Mirror:
    """A candidate that does what a reference has done. Whoever drives the reference tells of each operation.

    The candidate gets its own copy of what is set, in an object that is reused as a producer's is; its exceptions are
    caught and become divergences; its working copies are written into as a consumer would.

    Several threads may call it: operations happen one at a time, and none is lost.

    Args:
        reference: the cache that it is held against; where only its answers are known, what declares its strategies.
        candidate: the cache on trial.
        spec: the sizes of both.
        names: of the reference and of the candidate, for people.
        tolerance: how far a candidate's numbers may lie from right ones; None asks for equal bits.
        log: takes the divergences; several shadows may share one.
        complete: False where the reference may hold entries from before, which the candidate never saw.
        serve: whose answers are used, `reference` or `candidate`. Whoever uses a candidate's owns its working copies:
            nobody else writes into them.
        compare_every: compare each N-th lookup only. The others are done on both sides all the same, so that both
            evict what they would, but nobody looks at their tensors.
        evidence: what to keep of the run besides its divergences; None for nothing.

    Attributes:
        gets_compared: lookups, of which `values_compared` were hits on both sides.
        number: of the operation under way or last done.
        next_number: of the next one; whoever drives a part of a longer stream may set it.
        answers: what reference and candidate did at the last lookup.
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
        self._pools = dict.fromkeys(spec.pools)
        self._candidate_serves = serve == "candidate"
        self._compare_every = compare_every
        self._lookups = 0
        self._log = DivergenceLog() if log is None else log
        self.lock = self._log.lock
        self.tolerance = tolerance
        self._fingerprints: Fingerprints = Undecided(self._decide)
        self._docket: Docket | None = None
        look = self._fingerprints.look
        self.reference = Side("reference", names[0], cast("Cache", reference), spec, look=look)
        self.candidate = Side("candidate", names[1], candidate, spec, look=look)
        self._done = dict.fromkeys(("set", "get", "checkout", "clear", "write"), 0)
        self.gets_compared = 0
        self.values_compared = 0
        self.number = -1
        self.next_number = 0
        self.evidence = evidence
        self._until_stats = _STATS_EVERY
        self._until_sample = SAMPLE_EVERY
        self.answers = (Outcome(), Outcome())
        self._key = 0
        self._examiner = Examiner(
            (self.reference, self.candidate),
            spec=spec,
            log=self._log,
            tolerance=tolerance,
            complete=complete,
            history=None if evidence is None else evidence.history,
        )
        self._peek = self.candidate.peek_for_use if self._candidate_serves else self.candidate.peek
        self._told = self._examiner  # or what tells it later, when fingerprints are read
        self._handover = Handover()
        self._lending = LendingWatch(self.candidate, env_num=spec.env_num, told=self._examiner)
        for side in (self.reference, self.candidate):
            side.listen(partial(self._dropped, side))

    def witness(self, value: Any, error: BaseException | None) -> Witnessed:
        """What the reference answered at a lookup: to be told of when the candidate does the same."""
        compared = self._compares_next()
        if error is not None:
            return Witnessed(Outcome(error=error), compared)
        if value is None:
            return Witnessed(MISS, compared)
        return Witnessed(self.reference.look_at(value) if compared else Outcome(value), compared)

    def mirror_set(
        self, pool: PoolId, key: int, value: Any, priority: float | None, mine: BaseException | None
    ) -> None:
        """The reference stored `value`, or raised `mine`: now the candidate."""
        with self.lock:
            number = self._begin("set", pool)
            self._candidate_sets(number, pool, key, priority, self._take(pool, key, value), mine)

    def mirror_get(self, pool: PoolId, key: int, witnessed: Witnessed) -> None:
        """The reference answered a get: now the candidate."""
        with self.lock:
            number = self._begin("get", pool)
            self._candidate_gets(number, pool, key, witnessed.outcome, compared=witnessed.compared)

    def mirror_checkout(self, env: int, key: int, witnessed: Witnessed) -> None:
        """The reference answered a checkout: now the candidate."""
        with self.lock:
            number = self._begin("checkout", init(env))
            self._candidate_checks_out(number, env, key, witnessed.outcome, compared=witnessed.compared)

    @one_at_a_time
    def mirror_clear(self, pool: PoolId, mine: BaseException | None) -> None:
        """The reference cleared `pool`, or raised `mine`: now the candidate."""
        number, pools = self._begin_clear(pool)
        self._candidate_clears(number, pool, pools, mine)

    # ------------------------------------------------------------------ what was seen

    @property
    def operations(self) -> Counter[str]:
        """How many of each kind there were."""
        return +Counter(self._done)

    def wrote(self) -> None:
        """The caller wrote into a working copy, which is counted as an operation."""
        self._done["write"] += 1

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

        Done whenever a batch is full, and by whoever asks for what was found.
        """
        if self._docket is not None:
            self._docket.settle()

    @one_at_a_time
    def check_stats(self) -> None:
        """Hold what each side counted against what was seen of it. Done now and then, and by whoever ends a run."""
        self.settle()
        self._examiner.judge.stats(self.number)
        if self.evidence is not None:
            self.evidence.add_point(sum(self._done.values()), (self.reference, self.candidate), self._log)

    @one_at_a_time
    def coverage(self) -> Coverage:
        """What was exercised, as far as it was examined."""
        return self._examiner.coverage(
            kinds=self._handover.kinds,
            kind_changes=self._handover.kind_changes,
            working_copies=self._done["checkout"],
        )

    def totals(self) -> ShadowTotals:
        """What was seen in all: what waits is examined first, and the candidate is asked what it counted."""
        self.settle()
        return self._totals(without_its_word=False)

    def totals_so_far(self) -> ShadowTotals:
        """What was seen and examined so far. The candidate is not asked, so any thread may call this."""
        return self._totals(without_its_word=True)

    # ------------------------------------------------------------------ inside

    def _totals(self, *, without_its_word: bool) -> ShadowTotals:
        evidence = self.evidence
        return ShadowTotals(
            spec=self.spec,
            operations=self.operations,
            gets_compared=self.gets_compared,
            values_compared=self.values_compared,
            stats={
                "reference": self.reference.account(),
                "candidate": self.candidate.account(without_its_word=without_its_word),
            },
            coverage=self.coverage(),
            timeline=None if evidence is None else (evidence.began, evidence.timeline),
            latencies={} if evidence is None else evidence.latencies,
            tolerance=self.tolerance,
        )

    def _take(self, pool: PoolId, key: int, value: Any) -> tuple[KeysValues, Look]:
        """A set comes: what the candidate is given, looked at, which is what was set, whatever it did to it earlier."""
        self._key = key
        if pool == WM:
            self._lending.forget_working_copy()
        self._lending.loan_ends((pool,))
        given = self._handover.take(value)
        if given.row is None:
            return given.value, self.candidate.look(given.value)
        return given.value, self._fingerprints.look_at_row(given.row, given.sizes)

    def _candidate_sets(  # noqa: PLR0917  by position, for it is called for each set
        self,
        number: int,
        pool: PoolId,
        key: int,
        priority: float | None,
        taken: tuple[KeysValues, Look],
        mine: BaseException | None,
    ) -> None:
        candidate, (copy, set_to) = self.candidate, taken
        its = candidate.set(pool, key, copy, priority)
        after = None if self._done["set"] % WATCH_EVERY else candidate.look_at(copy)
        self._told.set(number, pool, key, priority, *set_to, mine, its, after)

    def _candidate_gets(self, number: int, pool: PoolId, key: int, mine: Outcome, *, compared: bool) -> None:
        candidate = self.candidate
        if not compared:
            its = self._peek(candidate.cache.get, pool, key)
            self._told.mirrored(number, "get", pool, key, mine, its)
        else:
            its = candidate.ask(candidate.cache.get, pool, key)
            mine = self._counted(mine, its)
            self._told.get(number, pool, key, mine, its)
            if self._done["get"] % WATCH_EVERY == 0:
                self._lending.lent(number, pool, key, its)
        self.answers = mine, its

    def _candidate_checks_out(self, number: int, env: int, key: int, mine: Outcome, *, compared: bool) -> None:
        candidate, turn = self.candidate, self._done["checkout"]
        self._lending.checkout_comes(turn)
        if not compared:
            its = self._peek(candidate.cache.checkout, env, key)
            self._told.mirrored(number, "checkout", init(env), key, mine, its)
        else:
            its = candidate.ask(candidate.cache.checkout, env, key)
            mine = self._counted(mine, its)
            self._told.checkout(number, env, key, mine, its)
            if its.fingerprint is not None and not self._candidate_serves:
                self._write_into(number, env, key, its.value, turn)
        self.answers = mine, its

    def _candidate_clears(self, number: int, pool: PoolId, pools: list[PoolId], mine: BaseException | None) -> None:
        its = self.candidate.clear(pool)
        if WM in pools:
            self._lending.forget_working_copy()
        self._told.clear(number, pool, pools, mine, its)

    def _write_into(self, number: int, env: int, key: int, working_copy: Any, turn: int) -> None:
        """What a consumer does, who owns the working copy."""
        try:
            scribble(working_copy, turn)
            if turn % WATCH_EVERY == 0:
                self._lending.wrote_into(number, env, key, working_copy, turn)
        except BaseException as error:  # noqa: BLE001  a working copy that cannot be written into is a finding
            self._told.unwritable(number, env, drop_traceback(reraise_if_interrupt(error)))

    def _counted(self, mine: Outcome, its: Outcome) -> Outcome:
        """Count a lookup that is compared. The reference's outcome, whose memory may have been used again by now."""
        self.gets_compared += 1
        if mine.fingerprint is None or its.fingerprint is None:
            return mine
        self.values_compared += 1
        if mine.fingerprint == its.fingerprint or not isinstance(mine.fingerprint, bytes):
            return mine
        if self.reference.look_at(mine.value).fingerprint == mine.fingerprint:
            return mine
        return mine._replace(value=remembered(mine.value, read(its.value)[1]))

    def _no_pool(self, pool: PoolId) -> ValueError:
        return ValueError(f"there is no pool {pool}: the caches were built with {self.spec}")

    def _begin_clear(self, pool: PoolId) -> tuple[int, list[PoolId]]:
        """A clear comes: its number, and the pools that it is about."""
        pools = covered(pool, self._pools)
        number = self._begin("clear", *pools)
        self._lending.loan_ends(pools)
        return number, pools

    def _begin(self, kind: str, *pools: PoolId) -> int:
        """Count another operation, in these pools; its number."""
        number = self.number = self.next_number
        self.next_number = number + 1
        self._done[kind] += 1
        self._until_stats -= 1
        if not self._until_stats:
            self._until_stats = _STATS_EVERY
            self.check_stats()
        if self.evidence is not None:
            self._until_sample -= 1
            if self._until_sample < 1:
                self._sample(self.evidence, kind)
        for pool in pools:
            if pool not in self._pools:
                raise self._no_pool(pool)
        return number

    def _sample(self, evidence: Evidence, kind: str) -> None:
        """Time this operation, and put the stopwatches away at the next one."""
        sides = (self.reference, self.candidate)
        sampled = self._until_sample == 0
        for side in sides:
            side.stopwatch = evidence.watch(side.role, kind) if sampled else None
        if sampled:
            evidence.look(sum(self._done.values()), sides, self._log)
        else:
            self._until_sample = SAMPLE_EVERY - 1

    def _dropped(self, side: Side, drop: Drop) -> None:
        self._told.dropped(side, SeenDrop(self.number, self._key, drop))

    def _decide(self, device: torch.device | None) -> Fingerprints:
        """Take fingerprints from now on where entries are: the first one came, and is on that device."""
        # Whether numbers are close can only be told from the numbers: at once, before the memory is used again.
        fingerprints = HostFingerprints() if self.tolerance is not None else fingerprints_for(device)
        if isinstance(fingerprints, DeviceFingerprints):
            self._docket = Docket(fingerprints)
            self._told = self._lending.told = cast("Examiner", Later(self._docket, self._examiner))
        self._fingerprints = fingerprints
        self.reference.look = self.candidate.look = fingerprints.look
        return fingerprints

    def _compares_next(self) -> bool:
        """Whether the lookup that comes now is compared, and not mirrored only."""
        if self._compare_every == 1:
            return True
        self._lookups += 1
        return (self._lookups - 1) % self._compare_every == 0
