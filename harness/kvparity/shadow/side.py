"""`Side`: one of the two caches, and the only place that calls it."""

from __future__ import annotations

from reprlib import repr as short
from threading import get_ident
from typing import TYPE_CHECKING, Any

from kvparity.caches.exceptions import describe_error, drop_traceback, reraise_if_interrupt
from kvparity.caches.protocol import (
    Cache,
    CacheSpec,
    Drop,
    PoolStats,
    as_stats,
    counts,
    declares_strategy,
    reports_drops,
)
from kvparity.errors import NotKeysValuesError, UnusableCacheError
from kvparity.judging.oracle import STRATEGIES
from kvparity.judging.outcome import MISS, Outcome, hit
from kvparity.judging.side_record import SideRecord
from kvparity.shadow.timeout import announce
from kvparity.values.entry import check

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.evidence.latency import Stopwatch
    from kvparity.operations import PoolId
    from kvparity.values.fingerprints import Look


class Side:
    """A cache on one side. Whatever it does, exceptions included, becomes an `Outcome`.

    Args:
        role: `reference` or `candidate`.
        name: as the user knows it.
        cache: the cache.
        spec: its sizes.
        look: takes the fingerprint of an entry.

    Attributes:
        record: what was seen of the cache.
        stopwatch: times the calls while it is there.
        calling: the thread in which a call of the cache is under way; 0 where none is. The time-out reads it.

    Raises:
        UnusableCacheError: the cache declares an unknown eviction strategy, or cannot be asked for its strategy.
    """

    def __init__(self, role: str, name: str, cache: Cache, spec: CacheSpec, *, look: Callable[[Any], Look]) -> None:
        self.cache = cache
        self.look = look
        strategies = {pool: _declared_strategy(cache, name, pool) for pool in spec.pools}
        self.record = SideRecord(role, name, spec, strategies)
        self.stopwatch: Stopwatch | None = None
        self.calling = 0
        announce(self)

    @property
    def role(self) -> str:
        """`reference` or `candidate`."""
        return self.record.role

    @property
    def name(self) -> str:
        """As the user knows it."""
        return self.record.name

    def listen(self, report: Callable[[Drop], None]) -> None:
        """Call `report` for each drop that the cache reports from now on; a drop in an unknown pool raises KeyError.

        Raises:
            UnusableCacheError: the cache's `on_drop` cannot be set.
        """

        def note(drop: Drop) -> None:
            if drop.pool not in self.record.counts:
                raise KeyError(drop.pool)
            report(drop)

        try:
            if reports_drops(self.cache):
                self.cache.on_drop = note
                self.record.reports_drops = True
        except BaseException as error:
            raise UnusableCacheError(
                f"{self.name} has an on_drop that cannot be set to a listener:"
                f" {describe_error(reraise_if_interrupt(error))}"
            ) from error

    # ------------------------------------------------------------------ operations

    def set(self, pool: PoolId, key: int, value: Any, priority: float | None) -> BaseException | None:
        """Have the cache store `value`. Returns what it raised."""
        try:
            self.calling = get_ident()
            if self.stopwatch is None:
                self.cache.set(pool, key, value, priority=priority)
            else:
                self.stopwatch.run(self.cache.set, pool, key, value, priority=priority)
            self.calling = 0
        except BaseException as error:  # noqa: BLE001  a cache can raise anything, and that is an outcome
            self.calling = 0
            return self._kept(error)
        return None

    def clear(self, pool: PoolId) -> BaseException | None:
        """Have the cache clear `pool`. Returns what it raised."""
        return self._call("clear", pool).error

    def ask(self, lookup: str, where: Any, key: int) -> Outcome:
        """Look `key` up with the cache's method `lookup`, `get` or `checkout`, and look at the entry that is lent."""
        value = None
        try:
            self.calling = get_ident()
            method = getattr(self.cache, lookup)
            value = method(where, key) if self.stopwatch is None else self.stopwatch.run(method, where, key)
            self.calling = 0
            if value is None:
                return MISS
            fingerprint, device = self.look(value)
        except BaseException as error:  # noqa: BLE001  a cache can raise and return anything, and that is an outcome
            self.calling = 0
            return self._failed(value, error)
        return hit(value, fingerprint, device)

    def peek(self, lookup: str, where: Any, key: int) -> Outcome:
        """The same without looking at the entry: a hit has no fingerprint."""
        return self._call(lookup, where, key)

    def look_at(self, value: Any) -> Outcome:
        """Look at an entry that was lent, now or earlier."""
        try:
            fingerprint, device = self.look(value)
        except BaseException as error:  # noqa: BLE001  a cache can return anything
            return self._failed(value, error)
        return hit(value, fingerprint, device)

    def checked(self, outcome: Outcome) -> Outcome:
        """The outcome of a lookup whose value somebody will use; an error where the value is not a valid entry."""
        if outcome.value is None:
            return outcome
        try:
            check(outcome.value)
        except BaseException as error:  # noqa: BLE001  a cache can return anything
            return outcome._replace(error=self._kept(error))
        return outcome

    # ------------------------------------------------------------------ what the cache reports of itself

    def stats(self, pool: PoolId) -> PoolStats:
        """What the cache says that it counted in `pool`; empty where it does not count.

        Raises:
            Exception: whatever the cache raises; TypeError where what it returns is not statistics.
        """
        return as_stats(self.cache.stats(pool)) if counts(self.cache) else PoolStats()

    def reported_stats(self) -> dict[PoolId, PoolStats | BaseException]:
        """What the cache says that it counted in each pool, or what it raised.

        The working pool is left out: how often that is asked depends on how a cache makes its working copies.
        """
        return {pool: self._asked_for_stats(pool) for pool in self.record.counts if pool.family != "wm"}

    def account(self, *, ask: bool = True) -> dict[str, dict[str, int | None]]:
        """What is known of each pool: what was seen and, where it cannot be seen from outside, what the cache says.

        Args:
            ask: False leaves out what the cache says.
        """
        rows: dict[str, dict[str, int | None]] = {}
        for pool, seen in self.record.counts.items():
            reported = self._asked_for_stats(pool) if ask else PoolStats()
            if isinstance(reported, BaseException):  # the judge has reported it already
                reported = PoolStats()
            unseen = pool in self.record.lost_track
            rows[str(pool)] = {
                "hits": reported.hits if unseen else seen.hits,
                "misses": reported.misses if unseen else seen.misses,
                "evictions": reported.evictions,
                "length": reported.length,
                "size_bytes": reported.size_bytes,
            }
        return rows

    # ------------------------------------------------------------------ inside

    def _call(self, method: str, *arguments: Any) -> Outcome:
        """Call the cache: what it returned, a miss, or what it raised."""
        try:
            self.calling = get_ident()
            call = getattr(self.cache, method)
            value = call(*arguments) if self.stopwatch is None else self.stopwatch.run(call, *arguments)
            self.calling = 0
        except BaseException as error:  # noqa: BLE001  the same
            self.calling = 0
            return self._failed(None, error)
        return MISS if value is None else Outcome(value)

    def _failed(self, value: Any, error: BaseException) -> Outcome:
        """The outcome of a call that raised `error`, or that returned a `value` which cannot be looked at."""
        invalid = None if value is None else _what_is_wrong_with(value)
        return Outcome(value, error=invalid or self._kept(error))

    def _asked_for_stats(self, pool: PoolId) -> PoolStats | BaseException:
        try:
            return self.stats(pool)
        except BaseException as error:  # noqa: BLE001  statistics that fail are a finding
            return reraise_if_interrupt(error)

    def _kept(self, error: BaseException) -> BaseException:
        """`error`, to be kept: a candidate's without its traceback, a reference's as its caller is to get it."""
        return drop_traceback(reraise_if_interrupt(error)) if self.role == "candidate" else reraise_if_interrupt(error)


def _declared_strategy(cache: Cache, name: str, pool: PoolId) -> str:
    """The eviction strategy that a cache declares for `pool`; `fifo` where it declares nothing."""
    known = f"known are {', '.join(STRATEGIES)}"
    try:
        declared = cache.strategy(pool) if declares_strategy(cache) else "fifo"
    except BaseException as error:
        raise UnusableCacheError(
            f"{name} cannot be asked for strategy({pool}), which names its eviction strategy; {known}:"
            f" {describe_error(reraise_if_interrupt(error))}"
        ) from error
    if not isinstance(declared, str) or declared not in STRATEGIES:
        raise UnusableCacheError(f"{name} declares the eviction strategy {short(declared)} for {pool}; {known}")
    return declared


def _what_is_wrong_with(value: Any) -> NotKeysValuesError | None:
    try:
        check(value)
    except NotKeysValuesError as error:
        drop_traceback(error)
        return error
    except BaseException as error:  # noqa: BLE001  it does not even let itself be looked at
        reraise_if_interrupt(error)
    return None
