"""One of the two caches under comparison, and what has been seen of it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from reprlib import repr as short
from typing import TYPE_CHECKING, Any, NamedTuple

from kvparity.caches.exceptions import describe_error, describe_failure, drop_traceback, reraise_if_interrupt
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
from kvparity.operations import RECUR, PoolId, covered, init
from kvparity.values.entry import check

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from kvparity.evidence.latency import Stopwatch
    from kvparity.values.fingerprints import Look

_REMEMBERED_DROPS = 4096


class Outcome(NamedTuple):
    """What one side did when asked.

    A hit has a value, its fingerprint and its device, a miss none of them. An exception is an error; with a value it is
    about that value, which is no entry.
    """

    value: Any = None
    fingerprint: bytes | None = None
    error: BaseException | None = None
    device: torch.device | None = None

    def __str__(self) -> str:
        if self.error is not None:
            return describe_failure(self.error)
        return "miss" if self.fingerprint is None else f"hit {self.fingerprint.hex()[:12]}"


MISS = Outcome()


def _seen(value: Any, fingerprint: bytes, device: torch.device | None) -> Outcome:
    """A hit. Made for each lookup on both sides, and the class itself takes more than twice as long for it."""
    return tuple.__new__(Outcome, (value, fingerprint, None, device))


class SeenDrop(NamedTuple):
    """A key that a side dropped of its own accord: during which operation, and for the set of which key."""

    number: int
    for_key: int
    drop: Drop


@dataclass(slots=True)
class Seen:
    """Lookups of one pool on one side, as the harness saw them."""

    hits: int = 0
    misses: int = 0


class Side:
    """A cache on one side.

    Args:
        role: `reference` or `candidate`.
        name: as the user knows it.
        cache: the cache.
        spec: its sizes.
        look: looks at an entry.
    """

    def __init__(self, role: str, name: str, cache: Cache, spec: CacheSpec, *, look: Callable[[Any], Look]) -> None:
        self.role = role
        self.name = name
        self.cache = cache
        self.spec = spec
        self.look = look
        self.seen = {pool: Seen() for pool in spec.pools}
        self._init_seen = [self.seen[init(env)] for env in range(spec.env_num)]
        self._recur_seen = self.seen[RECUR]
        self.lost_track: set[PoolId] = set()  # pools whose hits and misses can no longer be told from outside
        self.deviated: set[PoolId] = set()  # pools that were seen to leave their ideal
        self.stopwatch: Stopwatch | None = None  # times what is done while it is there
        self._drops: dict[PoolId, OrderedDict[int, SeenDrop]] = {pool: OrderedDict() for pool in spec.pools}
        self._strategies: dict[PoolId, str] = {}

    def listen(self, tell: Callable[[Drop], None]) -> None:
        """Tell of each drop that the cache reports from now on. One of a pool that there is not is its own error.

        Raises:
            UnusableCacheError: its `on_drop` cannot be set.
        """

        def note(drop: Drop) -> None:
            if drop.pool not in self._drops:
                raise KeyError(drop.pool)
            tell(drop)

        try:
            if reports_drops(self.cache):
                self.cache.on_drop = note
        except BaseException as error:
            reason = describe_error(reraise_if_interrupt(error))
            raise UnusableCacheError(
                f"{self.name} has an on_drop that cannot be set to a listener: {reason}"
            ) from error

    def strategy(self, pool: PoolId) -> str:
        """The declared eviction strategy of `pool`; first in, first out where nothing is declared.

        A cache is asked once for each pool.

        Raises:
            UnusableCacheError: it declares one that nobody knows, or cannot be asked.
        """
        if pool not in self._strategies:
            self._strategies[pool] = self._declared(pool)
        return self._strategies[pool]

    def stats(self, pool: PoolId) -> PoolStats:
        """What the cache says that it counted in `pool`; empty where it does not count.

        Raises:
            Exception: whatever the cache raises, or a TypeError where what it says is no statistics.
        """
        return as_stats(self.cache.stats(pool)) if counts(self.cache) else PoolStats()

    def account(self, *, without_its_word: bool = False) -> dict[str, dict[str, int | None]]:
        """What is known of each pool: as it was seen or, where it cannot be seen from outside, by the cache's word."""
        rows: dict[str, dict[str, int | None]] = {}
        for pool, seen in self.seen.items():
            says = PoolStats()
            try:
                says = says if without_its_word else self.stats(pool)
            except BaseException as error:  # noqa: BLE001  statistics that fail are reported as a divergence already
                reraise_if_interrupt(error)
            unseen = pool in self.lost_track
            rows[str(pool)] = {
                "hits": says.hits if unseen else seen.hits,
                "misses": says.misses if unseen else seen.misses,
                "evictions": says.evictions,
                "length": says.length,
                "size_bytes": says.size_bytes,
            }
        return rows

    def dropped(self, seen: SeenDrop) -> None:
        """Remember a drop that the cache reported."""
        drops = self._drops[seen.drop.pool]
        drops.pop(seen.drop.key, None)
        drops[seen.drop.key] = seen
        if len(drops) > _REMEMBERED_DROPS:
            drops.popitem(last=False)

    def last_drop(self, pool: PoolId, key: int) -> SeenDrop | None:
        """The last reported drop of `key` from `pool` since its last clear."""
        return self._drops[pool].get(key)

    def forget_drops(self, pool: PoolId) -> None:
        """After a clear the earlier drops explain nothing any more."""
        for each in covered(pool, self._drops):
            self._drops[each].clear()

    def set(self, pool: PoolId, key: int, value: Any, priority: float | None) -> BaseException | None:
        """Have the cache store `value`; what it raised."""
        try:
            if self.stopwatch is None:
                self.cache.set(pool, key, value, priority=priority)
            else:
                self.stopwatch.run(self.cache.set, pool, key, value, priority=priority)
        except BaseException as error:  # noqa: BLE001  observing whatever a cache does is the point
            return self._kept(error)
        return None

    def clear(self, pool: PoolId) -> BaseException | None:
        """Have the cache clear `pool`; what it raised."""
        try:
            if self.stopwatch is None:
                self.cache.clear(pool)
            else:
                self.stopwatch.run(self.cache.clear, pool)
        except BaseException as error:  # noqa: BLE001  observing whatever a cache does is the point
            return self._kept(error)
        return None

    def ask(self, lookup: Callable[[Any, int], Any], where: Any, key: int) -> Outcome:
        """Call `lookup` and look at what it lends; an exception and rubbish are outcomes like others."""
        try:
            value = lookup(where, key) if self.stopwatch is None else self.stopwatch.run(lookup, where, key)
        except BaseException as error:  # noqa: BLE001  observing whatever a cache does is the point
            return Outcome(error=self._kept(error))
        if value is None:
            return MISS
        try:
            fingerprint, device = self.look(value)
        except BaseException as error:  # noqa: BLE001  and so is whatever it returns
            return Outcome(value, error=_what_is_wrong_with(value) or self._kept(error))
        return _seen(value, fingerprint, device)

    def look_at(self, value: Any) -> Outcome:
        """Look at what was lent, now or earlier."""
        try:
            fingerprint, device = self.look(value)
        except BaseException as error:  # noqa: BLE001  whatever a cache returns
            return Outcome(value, error=_what_is_wrong_with(value) or self._kept(error))
        return _seen(value, fingerprint, device)

    def peek(self, lookup: Callable[[Any, int], Any], where: Any, key: int) -> Outcome:
        """Call `lookup` and do not look at what it lends: an outcome without a fingerprint."""
        try:
            value = lookup(where, key) if self.stopwatch is None else self.stopwatch.run(lookup, where, key)
        except BaseException as error:  # noqa: BLE001  observing whatever a cache does is the point
            return Outcome(error=self._kept(error))
        return MISS if value is None else Outcome(value)

    def peek_for_use(self, lookup: Callable[[Any, int], Any], where: Any, key: int) -> Outcome:
        """The same for somebody who is to work with what is lent: that it is an entry at all is made sure of."""
        answer = self.peek(lookup, where, key)
        try:
            if answer.value is not None:
                check(answer.value)
        except BaseException as error:  # noqa: BLE001  whatever a cache returns
            return answer._replace(error=self._kept(error))
        return answer

    def saw(self, pool: PoolId, *, hit: bool) -> None:
        """Count a lookup of one pool."""
        if hit:
            self.seen[pool].hits += 1
        else:
            self.seen[pool].misses += 1

    def saw_checkout(self, env: int, source: PoolId | None) -> None:
        """Count a checkout that was answered from `source`: a miss of the init pool where it was not that."""
        if source is None:
            self._init_seen[env].misses += 1
            self._recur_seen.misses += 1
        elif source == RECUR:
            self._init_seen[env].misses += 1
            self._recur_seen.hits += 1
        else:
            self._init_seen[env].hits += 1

    def _declared(self, pool: PoolId) -> str:
        known = f"known are {', '.join(STRATEGIES)}"
        try:
            declared = self.cache.strategy(pool) if declares_strategy(self.cache) else "fifo"
        except BaseException as error:
            raise UnusableCacheError(
                f"{self.name} cannot be asked for strategy({pool}), which names its eviction strategy; {known}:"
                f" {describe_error(reraise_if_interrupt(error))}"
            ) from error
        if not isinstance(declared, str) or declared not in STRATEGIES:
            raise UnusableCacheError(
                f"{self.name} declares the eviction strategy {short(declared)} for {pool}; {known}"
            )
        return declared

    def _kept(self, error: BaseException) -> BaseException:
        """`error`, to be kept: a candidate's without its traceback, a reference's as its caller is to get it."""
        return drop_traceback(reraise_if_interrupt(error)) if self.role == "candidate" else reraise_if_interrupt(error)


def _what_is_wrong_with(value: Any) -> NotKeysValuesError | None:
    try:
        check(value)
    except NotKeysValuesError as error:
        drop_traceback(error)
        return error
    except BaseException as error:  # noqa: BLE001  it does not even let itself be looked at
        reraise_if_interrupt(error)
    return None
