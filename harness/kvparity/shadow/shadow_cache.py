"""`ShadowCache`: two caches behind the face of one. It serves one of them and compares every lookup of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from kvparity.operations import init
from kvparity.shadow.locking import one_at_a_time
from kvparity.shadow.mirror import Mirror

if TYPE_CHECKING:
    from kvparity.operations import PoolId


class ShadowCache(Mirror):
    """Two caches behind the face of one. The caller gets the reference's own answer, exceptions included.

    Each operation goes to the reference and then to the candidate. The arguments are those of `Mirror`. The candidate
    can change neither what the caller gets nor what the caller gave. Only a candidate that serves gives the answers,
    and where it fails, the reference's answer is used.

    Entries are lent as the reference lends them: whether another thread may overwrite them depends on the reference.

    Attributes:
        raised: the last exception of the reference that was passed on.
    """

    raised: BaseException | None = None

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Store `value` on both sides.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        with self.lock:
            begun = self.begin_set(pool, key, value)
            error = self.reference.set(pool, key, value, priority)
            self.finish_set(begun, priority, error)
            if error is not None:
                self._raise(error)

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Look `key` up on both sides, compare, and return the reference's answer.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        with self.lock:
            number = self.begin("get", pool)
            compared = self.counts.compares_next()
            outcome = (self.reference.ask if compared else self.reference.peek)("get", pool, key)
            self.finish_get(number, pool, key, outcome, compared)
            return self._answer()

    def checkout(self, env: int, key: int) -> Any | None:
        """The search's lookup on both sides; the working copy that is returned is the reference's.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        with self.lock:
            number = self.begin("checkout", init(env))
            compared = self.counts.compares_next()
            outcome = (self.reference.ask if compared else self.reference.peek)("checkout", env, key)
            self.finish_checkout(number, env, key, outcome, compared)
            return self._answer()

    @one_at_a_time
    def clear(self, pool: PoolId) -> None:
        """Clear `pool` on both sides.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        begun = self.begin_clear(pool)
        error = self.reference.clear(pool)
        self.finish_clear(begun, error)
        if error is not None:
            self._raise(error)

    def _answer(self) -> Any | None:
        """What the caller gets: the reference's answer or exception, unless a candidate serves and did not fail."""
        reference, candidate = self.answers
        if self._candidate_serves and candidate.error is None:
            return candidate.value
        if reference.error is not None and reference.value is None:
            self._raise(reference.error)
        return reference.value

    def _raise(self, error: BaseException) -> NoReturn:
        """Pass on what the reference raised."""
        self.raised = error
        raise error
