"""Serving a training's world models by one cache alone: by their own caches, or by a candidate instead.

Unlike in a shadow, nothing is done twice, nothing is compared, and no exception is caught. So the training costs what
it costs with that cache, and its result is that cache's doing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from kvparity.caches.exceptions import Raised, attempt
from kvparity.caches.protocol import PoolStats, as_stats, counts
from kvparity.operations import ALL, ALL_INIT, RECUR, Checkout, Clear, Get, PoolId, init
from kvparity.registry import build_cache
from kvparity.training.lightzero.managers import ATTRIBUTE, ManagerTap
from kvparity.training.lightzero.models import tap_of
from kvparity.training.lightzero.rings import RingTap, ServedSlot
from kvparity.training.lightzero.tap import StandIn, number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.caches.protocol import Cache, CacheSpec
    from kvparity.operations import Operation
    from kvparity.training.lightzero.tap import OwnOutcome, Served, Tap

LOOKUPS = "lookups"


class Server(Protocol):
    """Serves world models."""

    def meet(self, world_model: Any) -> None:
        """Serve another world model.

        Raises:
            UnusableCacheError: kvparity does not know such a world model, or the candidate cannot be built for it.
        """

    def leave(self) -> None:
        """The training has ended: give the models their own caches back."""

    def stats(self) -> dict[str, dict[str, int | None]]:
        """Hits, misses and evictions of each family of pools, and of all lookups under `LOOKUPS`; None if not known."""


class OwnCaches:
    """The models' own caches serve, and lookups are counted."""

    def __init__(self) -> None:
        self._counts = _Counts()
        self._taps: list[Tap] = []

    def meet(self, world_model: Any) -> None:
        """See `Server.meet`."""
        tap = tap_of(world_model)
        tap.join(self)
        self._taps.append(tap)

    def leave(self) -> None:
        """See `Server.leave`."""
        for tap in self._taps:
            tap.leave(self)

    def stats(self) -> dict[str, dict[str, int | None]]:
        """See `Server.stats`. LightZero does not say how many keys its caches evicted."""
        return self._counts.table

    def hear(self, operation: Operation, own: OwnOutcome) -> Served | None:
        """Count a lookup."""
        hit = own.value is not None
        if isinstance(operation, Get):
            self._counts.add(LOOKUPS, hit=hit)
            self._counts.add(operation.pool.family, hit=hit)
        elif isinstance(operation, Checkout):
            self._counts.add(LOOKUPS, hit=hit)
            if hit and own.source is None:
                self._counts.lose_track("init", "recur")
            self._counts.add("init", hit=own.source == "init")
            if own.source != "init":
                self._counts.add("recur", hit=hit)
        return None

    def give_up(self, error: BaseException) -> None:
        """A call that is not known here is not counted."""


class CandidateCaches:
    """A candidate serves instead of the models' own caches.

    Args:
        candidate: name of the candidate.
    """

    def __init__(self, candidate: str) -> None:
        self._candidate = candidate
        self._counts = _Counts()
        self._places: list[tuple[Cache, CacheSpec, Callable[[], None]]] = []

    def meet(self, world_model: Any) -> None:
        """See `Server.meet`."""
        tap = tap_of(world_model)
        cache = build_cache(self._candidate, tap.spec)
        if isinstance(tap, ManagerTap):
            own = getattr(world_model, ATTRIBUTE)
            setattr(world_model, ATTRIBUTE, _CandidateManager(own, cache, self._counts))
            self._places.append((cache, tap.spec, lambda: setattr(world_model, ATTRIBUTE, own)))
        else:
            rings = _CandidateRings(world_model, cache, self._counts)
            rings.install()
            self._places.append((cache, tap.spec, rings.remove))

    def leave(self) -> None:
        """See `Server.leave`."""
        for _, _, put_back in self._places:
            put_back()

    def stats(self) -> dict[str, dict[str, int | None]]:
        """See `Server.stats`. The numbers of each family of pools are the candidate's own statistics."""
        table = dict(self._counts.table)
        for cache, spec, _ in self._places:
            for pool in spec.pools:
                counted = _statistics_of(cache, pool)
                row = table.setdefault(pool.family, {"hits": 0, "misses": 0, "evictions": 0})
                for name, number in (
                    ("hits", counted.hits),
                    ("misses", counted.misses),
                    ("evictions", counted.evictions),
                ):
                    before = row[name]
                    row[name] = None if before is None or number is None else before + number
        return table


def _statistics_of(cache: Cache, pool: PoolId) -> PoolStats:
    """The candidate's own statistics; empty if it has none, or fails to say."""
    counted = attempt(lambda: as_stats(cache.stats(pool)) if counts(cache) else PoolStats())
    return PoolStats() if isinstance(counted, Raised) else counted


class _Counts:
    """Counts hits and misses."""

    def __init__(self) -> None:
        self.table: dict[str, dict[str, int | None]] = {}

    def add(self, name: str, *, hit: bool) -> None:
        """Count one more hit or miss."""
        row = self.table.setdefault(name, {"hits": 0, "misses": 0, "evictions": None})
        kind = "hits" if hit else "misses"
        count = row[kind]
        row[kind] = None if count is None else count + 1

    def lose_track(self, *names: str) -> None:
        """A lookup was answered by one of these pools, and nobody knows by which: their numbers are not known."""
        for name in names:
            self.table[name] = {"hits": None, "misses": None, "evictions": None}


class _CandidateRings(RingTap):
    """Takes the place of a model's dicts and slots, and asks the candidate instead.

    Where LightZero would copy a value into a slot, the candidate copies it. Where LightZero would make a working copy,
    it gets the one that the candidate lends.
    """

    def __init__(self, model: Any, cache: Cache, counts: _Counts) -> None:
        super().__init__(model)
        self._cache = cache
        self._counts = counts
        self._working_copy: Any = None
        self._copied = model.custom_copy_kv_cache_to_shared_wm

    @property
    def silent(self) -> bool:
        """Never, since the model has no other cache."""
        return False

    def stand_ins(self) -> dict[str, Any]:
        """What takes the place of the dicts, of the slots, and of the methods that copy."""
        return {
            **super().stand_ins(),
            "custom_copy_kv_cache_to_shared_init_envs": lambda src_kv, env_id: ServedSlot(src_kv),  # noqa: ARG005
            "custom_copy_kv_cache_to_shared_recur": ServedSlot,
            "custom_copy_kv_cache_to_shared_wm": self._copy_to_work_on,
        }

    def look_up(self, own: dict[Any, Any], pool: PoolId, key: Any, default: Any, *, searching: bool) -> Any:
        """The candidate's answer. A search gets it when it asks the first of its two dicts."""
        del own
        if searching and pool == RECUR:
            return ServedSlot(None)
        if searching:
            assert pool.env is not None
            found = self._working_copy = self._cache.checkout(pool.env, number_of(key))
        else:
            found = self._cache.get(pool, number_of(key))
        self._counts.add(LOOKUPS, hit=found is not None)
        return default if found is None else ServedSlot(found)

    def report_set(self, pool: PoolId, key: Any, index: Any) -> None:
        """Let the candidate store what the model would have copied into a slot."""
        self._cache.set(pool, number_of(key), index.value)

    def tell(self, operation: Operation, own: OwnOutcome) -> None:
        """Let the candidate clear what the model cleared."""
        del own
        if isinstance(operation, Clear):
            self._cache.clear(operation.pool)

    def _copy_to_work_on(self, src_kv: Any) -> Any:
        return src_kv if src_kv is self._working_copy else self._copied(src_kv)


class _CandidateManager(StandIn):
    """A candidate with the methods of a later LightZero's manager. All other methods are the manager's own."""

    def __init__(self, own: Any, cache: Cache, counts: _Counts) -> None:
        super().__init__(own)
        self._cache = cache
        self._counts = counts

    def get_init_cache(self, env_id: int, cache_key: Any) -> Any:
        """A lookup of root inference."""
        return self._counted(self._cache.get(init(env_id), number_of(cache_key)))

    def get_recur_cache(self, cache_key: Any) -> Any:
        """A lookup in recur alone."""
        return self._counted(self._cache.get(RECUR, number_of(cache_key)))

    def hierarchical_get(self, env_id: int, cache_key: Any) -> Any:
        """A search's lookup."""
        return self._counted(self._cache.checkout(env_id, number_of(cache_key)))

    def set_init_cache(self, env_id: int, cache_key: Any, kv_cache: Any, priority: float | None = None) -> None:
        """Root inference stores."""
        self._cache.set(init(env_id), number_of(cache_key), kv_cache, priority=priority)

    def set_recur_cache(self, cache_key: Any, kv_cache: Any, priority: float | None = None) -> None:
        """A simulation stores."""
        self._cache.set(RECUR, number_of(cache_key), kv_cache, priority=priority)

    def clear_recur_cache(self) -> None:
        """Before a search."""
        self._cache.clear(RECUR)

    def clear_init_caches(self) -> None:
        """Now and then."""
        self._cache.clear(ALL_INIT)

    def clear_all(self) -> None:
        """Before data are collected."""
        self._cache.clear(ALL)

    def _counted(self, found: Any) -> Any:
        self._counts.add(LOOKUPS, hit=found is not None)
        return found
