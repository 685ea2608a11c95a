"""`ShadowCache`: two caches behind the face of one, which serves one of them and checks every lookup of both."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, cast

from harness.containing import contained
from harness.divergence import DivergenceLog
from harness.evidence.collector import SAMPLE_EVERY
from harness.examining import Examiner
from harness.fingerprints import HostFingerprints, Undecided, scribble
from harness.handover import Handover
from harness.lending import WATCH_EVERY, LendingWatch
from harness.operations import WM, PoolId, init
from harness.oracle import covered
from harness.pending import DeviceFingerprints, Docket, Later, fingerprints_for
from harness.side import Outcome, SeenDrop, Side
from harness.turns import one_at_a_time

if TYPE_CHECKING:
    import torch

    from harness.caches import Cache, CacheSpec, Drop
    from harness.compare import Tolerance
    from harness.evidence import Coverage, Evidence
    from harness.fingerprints import Fingerprints

_STATS_EVERY = 10_000


class ShadowCache:
    """Two caches behind the face of one. What a caller gets is the reference's own answer, exceptions included.

    Each operation goes to the reference and then to the candidate. The candidate gets its own copy of what is set,
    in an object that is reused as a producer's is; its exceptions are caught and become divergences; its working
    copies are written into as a consumer would. It can change neither what the caller gets nor what the caller gave.

    Several threads may call it: operations happen one at a time, on both sides and in the books, and none is lost. What
    the reference lends is lent as the reference lends it, so whether another thread may overwrite that is up to it.

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
        evidence: what to keep of the run besides its divergences; None for nothing.

    Attributes:
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
        evidence: Evidence | None = None,
    ) -> None:
        self.spec = spec
        self._pools = dict.fromkeys(spec.pools)
        self._candidate_serves = serve == "candidate"
        self._compare_every = compare_every
        self._lookups = 0
        self._log = DivergenceLog() if log is None else log
        self.lock = self._log.lock
        self._tolerance = tolerance
        self._fingerprints: Fingerprints = Undecided(self._decide)
        self._docket: Docket | None = None
        look = self._fingerprints.look
        self.reference = Side("reference", names[0], reference, spec, look=look)
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
        self.raised: BaseException | None = None
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

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Store `value` on both sides.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        with self.lock:
            number = self._begin("set")
            self._key = key
            if pool not in self._pools:
                raise self._no_pool(pool)
            reference, candidate = self.reference, self.candidate
            if pool == WM:
                self._lending.forget_working_copy()
            self._lending.loan_ends((pool,))
            given = self._handover.take(value)
            copy = given.value
            if given.row is None:
                set_to = candidate.look(copy)
            else:  # which is what was set, whatever a candidate did to the object's tensors earlier
                set_to = self._fingerprints.look_at_row(given.row, given.sizes)
            mine = reference.set(pool, key, value, priority)
            its = candidate.set(pool, key, copy, priority)
            after = None if self._done["set"] % WATCH_EVERY else candidate.look_at(copy)
            self._told.set(number, pool, key, priority, *set_to, mine, its, after)
            if mine is not None:
                self._raise(mine)

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Look `key` up on both sides, compare, and return the reference's answer.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        with self.lock:
            number = self._begin("get")
            if pool not in self._pools:
                raise self._no_pool(pool)
            reference, candidate = self.reference, self.candidate
            if self._compare_every > 1 and self._is_skipped():
                mine = reference.peek(reference.cache.get, pool, key)
                its = self._peek(candidate.cache.get, pool, key)
                self._told.mirrored(number, "get", pool, key, mine, its)
                return self._answer(mine, its)
            self.gets_compared += 1
            mine = reference.ask(reference.cache.get, pool, key)
            its = candidate.ask(candidate.cache.get, pool, key)
            if mine.fingerprint is not None and its.fingerprint is not None:
                self.values_compared += 1
            self._told.get(number, pool, key, mine, its)
            if self._done["get"] % WATCH_EVERY == 0:
                self._lending.lent(number, pool, key, its)
            return self._answer(mine, its)

    def checkout(self, env: int, key: int) -> Any | None:
        """The search's lookup on both sides; the working copy that is returned is the reference's.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        with self.lock:
            number = self._begin("checkout")
            pool = init(env)
            if pool not in self._pools:
                raise self._no_pool(pool)
            reference, candidate = self.reference, self.candidate
            turn = self._done["checkout"]
            self._lending.checkout_comes(turn)
            if self._compare_every > 1 and self._is_skipped():
                mine = reference.peek(reference.cache.checkout, env, key)
                its = self._peek(candidate.cache.checkout, env, key)
                self._told.mirrored(number, "checkout", pool, key, mine, its)
                return self._answer(mine, its)
            self.gets_compared += 1
            mine = reference.ask(reference.cache.checkout, env, key)
            its = candidate.ask(candidate.cache.checkout, env, key)
            if mine.fingerprint is not None and its.fingerprint is not None:
                self.values_compared += 1
            self._told.checkout(number, env, key, mine, its)
            if its.fingerprint is not None and not self._candidate_serves:
                try:  # as a consumer does, who owns the working copy
                    scribble(its.value, turn)
                    if turn % WATCH_EVERY == 0:
                        self._lending.wrote_into(number, env, key, its.value, turn)
                except BaseException as error:  # noqa: BLE001  a working copy that cannot be written into is a finding
                    self._told.unwritable(number, env, contained(error))
            return self._answer(mine, its)

    @one_at_a_time
    def clear(self, pool: PoolId) -> None:
        """Clear `pool` on both sides.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        number = self._begin("clear")
        pools = covered(pool, self._pools)
        if not all([each in self._pools for each in pools]):
            raise self._no_pool(pool)
        self._lending.loan_ends(pools)
        mine = self.reference.clear(pool)
        its = self.candidate.clear(pool)
        if WM in pools:
            self._lending.forget_working_copy()
        self._told.clear(number, pool, pools, mine, its)
        if mine is not None:
            self._raise(mine)

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
        """What was exercised so far."""
        self.settle()
        return self._examiner.coverage(
            kinds=self._handover.kinds,
            kind_changes=self._handover.kind_changes,
            working_copies=self._done["checkout"],
        )

    # ------------------------------------------------------------------ inside

    def _no_pool(self, pool: PoolId) -> ValueError:
        return ValueError(f"there is no pool {pool}: the caches were built with {self.spec}")

    def _begin(self, kind: str) -> int:
        """Count another operation; its number."""
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
        fingerprints = HostFingerprints() if self._tolerance is not None else fingerprints_for(device)
        if isinstance(fingerprints, DeviceFingerprints):
            self._docket = Docket(fingerprints)
            self._told = self._lending.told = cast("Examiner", Later(self._docket, self._examiner))
        self._fingerprints = fingerprints
        self.reference.look = self.candidate.look = fingerprints.look
        return fingerprints

    def _is_skipped(self) -> bool:
        """Whether the lookup that comes now is mirrored only."""
        self._lookups += 1
        return (self._lookups - 1) % self._compare_every != 0

    def _answer(self, mine: Outcome, its: Outcome) -> Any | None:
        """What the caller gets: the reference's answer or exception, unless a candidate serves and did not fail."""
        self.answers = mine, its
        if self._candidate_serves and its.error is None:
            return its.value
        if mine.error is not None and mine.value is None:
            self._raise(mine.error)
        return mine.value

    def _raise(self, error: BaseException) -> NoReturn:
        """Pass on what the reference raised."""
        self.raised = error
        raise error
