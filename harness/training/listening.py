"""`ShadowListener`: hears what one world model does, and makes a candidate do the same in its shadow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import DivergedError
from harness.evidence import Evidence
from harness.loading import build_cache, build_with
from harness.operations import ALL, Checkout, Clear, Get, PoolId, Set, Write
from harness.shadow import ShadowCache
from harness.training.tap import Own, Served
from harness.values import read

if TYPE_CHECKING:
    import torch

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
        shadow: the model's own caches and the candidate.
        passed_over: lookups that came while it paused.

    Raises:
        UnusableCacheError: the candidate cannot be built with these sizes.
    """

    def __init__(self, attachment: Attachment, tap: Tap) -> None:
        candidate, spec = attachment.candidate, tap.spec
        self.passed_over = 0
        self._paused = False
        self._emptied = False
        self._tap = tap
        self._attachment = attachment
        self._own = _OwnCache()
        self.shadow = ShadowCache(
            reference=self._own,
            candidate=(
                build_cache(candidate, spec)
                if isinstance(candidate, str)
                else build_with(candidate, spec, name=attachment.names[1])
            ),
            spec=spec,
            names=attachment.names,
            log=attachment.log,
            serve=attachment.serve,
            compare_every=attachment.compare_every,
            evidence=Evidence(timed=("candidate",)),  # the model's own caches did their part before they are asked
        )
        self._serves = attachment.serve == "candidate"
        self._kind: list[tuple[torch.Size, torch.dtype, torch.device]] | None = None
        self._under_way = False
        self._says_its_size = self._size_bytes() is not None

    def heard(self, operation: Operation, own: Own) -> Served | None:
        """Do the same to the candidate; its answer, where it serves.

        Raises:
            DivergedError: the training is to stop at a divergence, and there was one.
        """
        attachment, guard = self._attachment, self._attachment.guard
        if guard.stopped is not None or (self._paused and not self._resumes(operation)):
            return None
        try:
            with attachment.lock:
                if self._under_way:
                    guard.stop("a signal's handler used the model in the middle of an operation")
                    return None
                self._under_way = True
                visit = guard.begin(weigh=not self._says_its_size)
                try:
                    served = self._mirror(operation, own)
                    self._weigh()
                finally:
                    self._under_way = False
                    guard.finish(visit)
                attachment.judge()
                # With all caches empty, nothing is lost by looking away until they are so again.
                self._paused = isinstance(operation, Clear) and guard.is_short and not self._serves and self._tap.empty
        except DivergedError:
            raise
        except Exception as error:  # noqa: BLE001  a defect of the harness must not be one of the training
            self.lost(error)
            return None
        except BaseException:
            guard.stop("an interrupt came in the middle of an operation")
            raise
        return served

    def lost(self, error: Exception) -> None:
        """The harness itself failed."""
        self._attachment.guard.stop(f"kvparity itself failed: {type(error).__name__}: {error}")

    # ------------------------------------------------------------------ inside

    def _resumes(self, operation: Operation) -> bool:
        """Whether there is time again, and all caches are empty: then the candidate's are emptied, too."""
        if isinstance(operation, Get | Checkout):
            self.passed_over += 1
        if not isinstance(operation, Clear) or self._attachment.guard.is_short or not self._tap.empty:
            return False
        self._emptied = True
        return True

    def _mirror(self, operation: Operation, own: Own) -> Served | None:
        if own.error is not None and self._is_elsewhere(operation):
            return None  # the model's own cache refused it, too
        self._own.did = own
        shadow = self.shadow
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
                    return self._served()
                case Checkout():
                    shadow.checkout(operation.env, operation.key)
                    return self._served()
        except Exception as error:
            if error is not own.error:  # that one goes on to the model by itself
                raise
        return None

    def _served(self) -> Served | None:
        """The candidate's answer, where it serves and can be used in the place of the model's own."""
        its = self.shadow.answers[1]
        if not self._serves or its.error is not None:
            return None
        if its.value is None or (self._kind is not None and _kind_of(its.value) == self._kind):
            return Served(its.value)
        return None

    def _is_elsewhere(self, operation: Operation) -> bool:
        """Whether it is about an environment that there is not."""
        env = operation.env if isinstance(operation, Checkout | Write) else operation.pool.env
        return env is not None and not 0 <= env < self.shadow.spec.env_num

    def _weigh(self) -> None:
        held = self._size_bytes() if self.shadow.next_number % _WEIGH_EVERY == 0 else None
        if held is not None:
            self._attachment.guard.holds(held)

    def _size_bytes(self) -> int | None:
        """What the candidate says that it holds."""
        candidate = self.shadow.candidate
        try:
            sizes = [candidate.stats(pool).size_bytes for pool in self.shadow.spec.pools]
        except Exception:  # noqa: BLE001  a cache whose statistics fail does not say
            return None
        return None if None in sizes else sum(size for size in sizes if size is not None)


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


def _kind_of(value: Any) -> list[tuple[torch.Size, torch.dtype, torch.device]] | None:
    """What a consumer needs an entry to be like; None where its sizes are none."""
    tensors, sizes = read(value)
    if not all([0 <= size <= tensor.shape[2] for tensor, size in zip(tensors, sizes, strict=True)]):
        return None
    return [(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors]
