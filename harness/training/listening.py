"""`ShadowListener`: hears what one world model does, and makes a candidate do the same in its shadow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.containing import contained
from harness.errors import DivergedError
from harness.evidence import Evidence
from harness.loading import build_cache, build_with
from harness.operations import ALL, Checkout, Clear, Get, PoolId, Set, Write
from harness.shadow import ShadowCache
from harness.tally import Seen
from harness.training.tap import Own, Served
from harness.values import read

if TYPE_CHECKING:
    import torch

    from harness.caches import CacheSpec
    from harness.operations import Operation
    from harness.training.attachment import Attachment
    from harness.training.tap import Tap

_WEIGH_EVERY = 1024  # operations


class ShadowListener:
    """One world model's shadow. What goes wrong in it opens the guard, and never reaches the model.

    Args:
        attachment: what it is a part of.
        tap: tells what the model does.

    Attributes:
        passed_over: lookups that came while it paused.

    Raises:
        UnusableCacheError: the candidate cannot be built with these sizes.
    """

    def __init__(self, attachment: Attachment, tap: Tap) -> None:
        options, spec = attachment.options, tap.spec
        candidate = options.candidate
        self.passed_over = 0
        self._paused = False
        self._emptied = False
        self._tap: Tap | None = tap
        self._attachment = attachment
        self._own = _OwnCache()
        self._shadow: ShadowCache | None = ShadowCache(
            reference=self._own,
            candidate=(
                build_cache(candidate, spec)
                if isinstance(candidate, str)
                else build_with(candidate, spec, name=options.names[1])
            ),
            spec=spec,
            names=options.names,
            log=attachment.found,
            serve=options.serve,
            compare_every=options.compare_every,
            evidence=Evidence(timed=("candidate",)),  # the model's own caches did their part before they are asked
        )
        self._seen: Seen | None = None
        self._serves = options.serve == "candidate"
        self._kind: list[tuple[torch.Size, torch.dtype, torch.device]] | None = None
        self.under_way = False

    def heard(self, operation: Operation, own: Own) -> Served | None:
        """Do the same to the candidate; its answer, where it serves.

        Raises:
            DivergedError: the training is to stop at a divergence, and there was one.
        """
        attachment, guard = self._attachment, self._attachment.guard
        shadow, tap = self._shadow, self._tap
        if (
            shadow is None
            or tap is None
            or guard.stopped is not None
            or (self._paused and not self._resumes(operation))
        ):
            if guard.stopped is not None:
                self.retire()
            return None
        try:
            with attachment.lock:
                if self.under_way:
                    guard.stop("a signal's handler used the model in the middle of an operation")
                    return None
                self.under_way = True
                visit = guard.begin()
                try:
                    served = self._mirror(shadow, operation, own)
                    self._weigh(shadow)
                finally:
                    self.under_way = False
                    guard.finish(visit)
                attachment.judge()
                # With all caches empty, nothing is lost by looking away until they are so again.
                self._paused = isinstance(operation, Clear) and guard.is_short and not self._serves and tap.empty
        except DivergedError:
            raise
        except BaseException as error:  # noqa: BLE001  a defect of the harness must not be one of the training
            try:
                self.lost(contained(error))
            except BaseException:
                guard.stop("an interrupt came in the middle of an operation")
                raise
            return None
        return served

    def lost(self, error: BaseException) -> None:
        """The harness itself failed."""
        self._attachment.guard.stop(f"kvparity itself failed: {type(error).__name__}: {error}")

    def seen(self) -> Seen:
        """What came of it so far. A candidate that was taken out is not asked any more what it counted."""
        shadow = self._shadow  # which may go meanwhile: the garbage collector finds dead models at any moment
        if shadow is None:
            assert self._seen is not None
            return self._seen
        self.settle()
        if self._attachment.guard.stopped is not None:
            return Seen.of(shadow, without_its_word=True)
        shadow.check_stats()
        return Seen.of(shadow)

    def leave(self) -> None:
        """Listen no more, and have everything examined that was heard."""
        if self._tap is not None:
            self._tap.leave(self)
        self.settle()

    def settle(self) -> None:
        """Examine what waits for its fingerprints; a device may fail to hand them over."""
        with self._attachment.lock:
            if self._shadow is not None and not self.under_way:
                try:
                    self._shadow.settle()
                except BaseException as error:  # noqa: BLE001  a defect of the harness must not be one of the training
                    self.lost(contained(error))

    def retire(self) -> None:
        """Let go of the candidate, which was taken out or whose model is no more. What was seen of it stays."""
        with self._attachment.lock:
            if self._shadow is not None and not self.under_way:
                self._seen, self._shadow = self.seen(), None
                self._own.did = Own()

    def forget(self) -> None:
        """The model is no more: let go of its own caches, too."""
        self.retire()
        self._tap = None

    # ------------------------------------------------------------------ inside

    def _resumes(self, operation: Operation) -> bool:
        """Whether there is time again, and all caches are empty: then the candidate's are emptied, too."""
        if isinstance(operation, Get | Checkout):
            self.passed_over += 1
        tap = self._tap
        if not isinstance(operation, Clear) or self._attachment.guard.is_short or tap is None or not tap.empty:
            return False
        self._emptied = True
        return True

    def _mirror(self, shadow: ShadowCache, operation: Operation, own: Own) -> Served | None:
        if own.error is not None and _is_elsewhere(operation, shadow.spec):
            return None  # the model's own cache refused it, too
        self._own.did = own
        if self._emptied:  # this operation is one clear; those before it, and the sets between, were passed over
            self._emptied = False
            shadow.clear(ALL)
        try:
            match operation:
                case Set():
                    if self._serves:
                        self._kind = _kind_of(operation.value)
                    shadow.set(operation.pool, operation.key, operation.value, priority=operation.priority)
                case Clear():
                    shadow.clear(operation.pool)
                case Get():
                    shadow.get(operation.pool, operation.key)
                    return self._served(shadow)
                case Checkout():
                    shadow.checkout(operation.env, operation.key)
                    return self._served(shadow)
        except Exception as error:
            if error is not own.error:  # that one goes on to the model by itself
                raise
        return None

    def _served(self, shadow: ShadowCache) -> Served | None:
        """The candidate's answer, where it serves and can be used in the place of the model's own."""
        its = shadow.answers[1]
        if not self._serves or its.error is not None:
            return None
        if its.value is None or (self._kind is not None and _kind_of(its.value) == self._kind):
            return Served(its.value)
        return None

    def _weigh(self, shadow: ShadowCache) -> None:
        held = _size_bytes(shadow) if shadow.next_number % _WEIGH_EVERY == 0 else None
        if held is not None:
            self._attachment.guard.holds(held)


class _OwnCache:
    """The model's own caches as a `Cache`: they have done it already, and this says what came of it."""

    def __init__(self) -> None:
        self.did = Own()

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        del pool, key, value, priority
        self._outcome()

    def get(self, pool: PoolId, key: int) -> Any | None:
        del pool, key
        return self._outcome()

    def checkout(self, env: int, key: int) -> Any | None:
        del env, key
        return self._outcome()

    def clear(self, pool: PoolId) -> None:
        del pool
        self._outcome()

    def _outcome(self) -> Any | None:
        if self.did.error is not None:
            raise self.did.error
        return self.did.value


def _is_elsewhere(operation: Operation, spec: CacheSpec) -> bool:
    """Whether it is about an environment that there is not."""
    env = operation.env if isinstance(operation, Checkout | Write) else operation.pool.env
    return env is not None and not 0 <= env < spec.env_num


def _size_bytes(shadow: ShadowCache) -> int | None:
    """What the candidate says that it holds."""
    try:
        sizes = [shadow.candidate.stats(pool).size_bytes for pool in shadow.spec.pools]
    except BaseException as error:  # noqa: BLE001  a cache whose statistics fail does not say
        contained(error)
        return None
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _kind_of(value: Any) -> list[tuple[torch.Size, torch.dtype, torch.device]] | None:
    """What a consumer needs an entry to be like; None where its sizes are none."""
    tensors, sizes = read(value)
    if not all([0 <= size <= tensor.shape[2] for tensor, size in zip(tensors, sizes, strict=True)]):
        return None
    return [(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors]
