"""`ShadowedModel`: hears what one world model does with its caches, and makes a candidate do the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvparity.caches.exceptions import Raised, attempt, describe_error, reraise_if_interrupt
from kvparity.errors import DivergedError, NotKeysValuesError
from kvparity.operations import ALL, Checkout, Clear, Get, Set, Write
from kvparity.registry import build_cache, build_with
from kvparity.shadow.evidence import Evidence
from kvparity.shadow.mirror import Mirror
from kvparity.training.inline.trail import OPERATIONS, Trail
from kvparity.training.inline.usable_answers import UsableAnswers
from kvparity.values.entry import check

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from kvparity.caches.protocol import CacheSpec
    from kvparity.operations import Operation
    from kvparity.results.adding import ShadowTotals
    from kvparity.results.divergence import DivergenceLog
    from kvparity.training.inline.guard import Guard
    from kvparity.training.lightzero.tap import OwnOutcome, Served, Tap
    from kvparity.training.options import Options

_SIZE_EVERY = 1024  # operations between two times that the candidate is asked for its size
_TIMELINE_SHARE = 0.001  # of wall time
_SLOW_S = 0.05  # a candidate that takes longer for a batch of operations gets them one by one


class ShadowedModel:
    """A world model and the candidate that shadows it. A failure opens the guard and never reaches the model.

    Args:
        tap: reports what the model does.
        options: the candidate, and how it is compared with the model's own caches.
        guard: takes the candidate out if it costs too much; all models of a training share it.
        log: takes the divergences of all models.
        lock: held while the guard and the log are in use.
        judge: called after the candidate has done some operations; does what the options say about divergences.

    Attributes:
        passed_over: lookups that came while shadowing paused.
        under_way: whether an operation is under way.

    Raises:
        UnusableCacheError: the candidate cannot be built with the sizes of the model's pools.
    """

    def __init__(
        self,
        tap: Tap,
        *,
        options: Options,
        guard: Guard,
        log: DivergenceLog,
        lock: AbstractContextManager[bool],
        judge: Callable[[], None],
    ) -> None:
        spec, candidate = tap.spec, options.candidate
        self.passed_over = 0
        self._paused = False
        self._skipped_operations = False
        self._tap: Tap | None = tap
        self._guard = guard
        self._log = log
        self._lock = lock
        self._judge = judge
        self._answers = UsableAnswers() if options.serve == "candidate" else None
        with guard.leaving_no_trace():
            built = (
                build_cache(candidate, spec)
                if isinstance(candidate, str)
                else build_with(candidate, spec, name=options.names[1])
            )
        mirror = Mirror(
            reference=tap.strategies,
            candidate=built,
            spec=spec,
            names=options.names,
            log=log,
            serve=options.serve,
            compare_every=options.compare_every,
            # The reference is not timed: the model's own caches have done each operation before.
            evidence=Evidence(timed=("candidate",), share=_TIMELINE_SHARE),
        )
        self._totals: ShadowTotals | None = None
        self._trail: Trail | None = Trail(mirror, longest=1 if options.at_once else OPERATIONS)
        self._next_size_check = _SIZE_EVERY
        self.under_way = False

    def hear(self, operation: Operation, own: OwnOutcome) -> Served | None:
        """See `Listener.hear`: the candidate does the same operation, now or later.

        Returns:
            The candidate's answer if it serves and the model can use it; otherwise None.

        Raises:
            DivergedError: there was a divergence, and the options say to stop the training then.
        """
        guard, trail, tap = self._guard, self._trail, self._tap
        budget = guard.time
        if guard.stopped is not None:
            self.drop_candidate()
            return None
        if trail is None or tap is None or (self._paused and not self._can_resume(operation)):
            return None
        try:
            with self._lock:
                if self.under_way:
                    guard.stop("a signal's handler used the model in the middle of an operation")
                    return None
                self.under_way = True
                began = budget.now()
                try:
                    self._append(trail, operation, own)
                finally:
                    self.under_way = False
                    budget.spend(budget.now() - began)
                if not trail or not (trail.due or isinstance(operation, Clear)):
                    return None
                self._catch_up(trail)
                answers = self._answers
                # A pause begins and ends when all caches are empty, so that the candidate lacks no entry after it.
                self._paused = answers is None and isinstance(operation, Clear) and budget.is_short and tap.empty
                is_lookup = isinstance(operation, Get | Checkout)
                return None if answers is None or not is_lookup else answers.serve(trail.mirror.answers[1])
        except DivergedError:
            raise
        except BaseException as error:  # noqa: BLE001  a defect of kvparity must not end the training
            try:
                self.give_up(reraise_if_interrupt(error))
            except BaseException:
                guard.stop("an interrupt came in the middle of an operation")
                raise
            return None

    def give_up(self, error: BaseException) -> None:
        """Take the candidate out because kvparity itself failed."""
        self._guard.stop(f"kvparity itself failed: {describe_error(error)}")

    def totals(self) -> ShadowTotals:
        """What was seen so far. The candidate is asked for its statistics, unless it was taken out."""
        trail = self._trail  # kept here: if the model is garbage-collected meanwhile, the attribute becomes None
        if trail is None:
            return self.totals_so_far()
        self.settle()
        guard = self._guard
        if guard.stopped is not None:
            return trail.mirror.totals_so_far()
        with guard.leaving_no_trace():
            trail.mirror.check_stats()
            return trail.mirror.totals()

    def totals_so_far(self) -> ShadowTotals:
        """What was examined so far. The candidate is not asked, so any thread may call this."""
        trail = self._trail
        if trail is None:
            assert self._totals is not None
            return self._totals
        return trail.mirror.totals_so_far()

    def leave(self) -> None:
        """Stop listening to the model."""
        if self._tap is not None:
            self._tap.leave(self)

    def settle(self) -> None:
        """Let the candidate do what waits, and examine everything. If that fails, as a device may, open the guard."""
        with self._lock:
            trail = self._trail
            if trail is not None and not self.under_way:
                settled = attempt(self._settle, trail)
                if isinstance(settled, Raised):
                    self.give_up(settled.error)

    def drop_candidate(self) -> None:
        """Free the candidate, and keep what was seen of it. Does nothing while an operation is under way."""
        with self._lock:
            if self._trail is not None and not self.under_way:
                self._totals, self._trail = self.totals(), None

    def forget_model(self) -> None:
        """The model was garbage-collected: free the candidate, and the model's own caches."""
        self.drop_candidate()
        self._tap = None

    # ------------------------------------------------------------------ inside

    def _can_resume(self, operation: Operation) -> bool:
        """Whether a pause ends with this operation: there is time again, and it has emptied all caches."""
        if isinstance(operation, Get | Checkout):
            self.passed_over += 1
        tap = self._tap
        if not isinstance(operation, Clear) or self._guard.time.is_short or tap is None or not tap.empty:
            return False
        self._skipped_operations = True
        return True

    def _settle(self, trail: Trail) -> None:
        while trail and self._guard.stopped is None:
            self._catch_up(trail)
        trail.mirror.settle()

    def _append(self, trail: Trail, operation: Operation, own: OwnOutcome) -> None:
        """Note the operation for the candidate, with what the model's own cache did."""
        if own.error is not None and _is_unknown_environment(operation, trail.mirror.spec):
            return  # the model's own cache refused it, and the candidate need not see it
        if self._skipped_operations:
            self._skipped_operations = (
                False  # the pause ended: the model's caches are empty, and the candidate's must be, too
            )
            trail.clear(ALL, None)
        match operation:
            case Set():
                if own.error is not None and not _is_entry(operation.value):
                    return  # the same
                if self._answers is not None:
                    self._answers.expect(operation.value)
                trail.set(operation.pool, operation.key, operation.value, operation.priority, own.error)
            case Clear():
                trail.clear(operation.pool, own.error)
            case Get():
                trail.get(operation.pool, operation.key, own.value, own.error)
            case Checkout():
                trail.checkout(operation.env, operation.key, own.value, own.error)

    def _catch_up(self, trail: Trail) -> None:
        """Let the candidate do what waits, up to the first divergence, which is judged at once."""
        guard, log, now = self._guard, self._log, self._guard.time.now
        before = log.total
        self.under_way = True
        visit = guard.begin(len(trail))
        enough = visit.began + _SLOW_S
        try:
            trail.catch_up(lambda: log.total != before or now() > enough)
            if now() > enough:
                trail.longest = 1  # so that the guard can take it out after each operation
            self._check_size(trail.mirror)
        finally:
            self.under_way = False
            guard.finish(visit, left=len(trail))
        self._judge()

    def _check_size(self, mirror: Mirror) -> None:
        if mirror.next_number < self._next_size_check:
            return
        self._next_size_check = mirror.next_number + _SIZE_EVERY
        held = _size_bytes(mirror)
        if held is not None:
            self._guard.check_held(held)


def _is_unknown_environment(operation: Operation, spec: CacheSpec) -> bool:
    """Whether the operation names an environment that does not exist."""
    env = operation.env if isinstance(operation, Checkout | Write) else operation.pool.env
    return env is not None and not 0 <= env < spec.env_num


def _size_bytes(mirror: Mirror) -> int | None:
    """The bytes that the candidate holds by its own statistics; None if they do not say."""
    sizes = attempt(lambda: [mirror.candidate.stats(pool).size_bytes for pool in mirror.spec.pools])
    if isinstance(sizes, Raised) or None in sizes:
        return None
    return sum(size for size in sizes if size is not None)


def _is_entry(value: Any) -> bool:
    try:
        check(value)
    except NotKeysValuesError:
        return False
    return True
