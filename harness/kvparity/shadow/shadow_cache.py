"""`ShadowCache`: two caches behind the face of one, which serves one of them and checks every lookup of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from kvparity.operations import init
from kvparity.shadow.locking import one_at_a_time
from kvparity.shadow.mirror import Mirror

if TYPE_CHECKING:
    from kvparity.operations import PoolId


class ShadowCache(Mirror):
    """Two caches behind the face of one. What a caller gets is the reference's own answer, exceptions included.

    Each operation goes to the reference and then to the candidate, as `Mirror` says, whose arguments these are, too.
    The candidate can change neither what the caller gets nor what the caller gave. Only one that serves gives the
    answers, and where that fails, it is the reference's.

    What the reference lends is lent as the reference lends it: whether another thread may overwrite that is up to it.

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
            number = self._begin("set", pool)
            taken = self._take(pool, key, value)
            mine = self.reference.set(pool, key, value, priority)
            self._candidate_sets(number, pool, key, priority, taken, mine)
            if mine is not None:
                self._raise(mine)

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Look `key` up on both sides, compare, and return the reference's answer.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        with self.lock:
            number = self._begin("get", pool)
            reference, compared = self.reference, self._compares_next()
            mine = (reference.ask if compared else reference.peek)(reference.cache.get, pool, key)
            self._candidate_gets(number, pool, key, mine, compared=compared)
            return self._answer()

    def checkout(self, env: int, key: int) -> Any | None:
        """The search's lookup on both sides; the working copy that is returned is the reference's.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        with self.lock:
            number = self._begin("checkout", init(env))
            reference, compared = self.reference, self._compares_next()
            mine = (reference.ask if compared else reference.peek)(reference.cache.checkout, env, key)
            self._candidate_checks_out(number, env, key, mine, compared=compared)
            return self._answer()

    @one_at_a_time
    def clear(self, pool: PoolId) -> None:
        """Clear `pool` on both sides.

        Raises:
            Exception: whatever the reference raises, after the candidate had its turn.
        """
        number, pools = self._begin_clear(pool)
        mine = self.reference.clear(pool)
        self._candidate_clears(number, pool, pools, mine)
        if mine is not None:
            self._raise(mine)

    def _answer(self) -> Any | None:
        """What the caller gets: the reference's answer or exception, unless a candidate serves and did not fail."""
        mine, its = self.answers
        if self._candidate_serves and its.error is None:
            return its.value
        if mine.error is not None and mine.value is None:
            self._raise(mine.error)
        return mine.value

    def _raise(self, error: BaseException) -> NoReturn:
        """Pass on what the reference raised."""
        self.raised = error
        raise error
