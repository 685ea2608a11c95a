"""Finding caches, scenarios and traces by name, and making anything with `KVCacheManager`'s methods a `Cache`.

A name is that of an installed entry point (groups `kvparity.caches`, `kvparity.scenarios`, `kvparity.traces`), or
`package.module:attribute` for what is not installed, or a trace's path. `fault:NAME` is a faulty cache from the
galleries installed in `kvparity.faults`, each a mapping from names to caches.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from functools import lru_cache
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import xxhash

from harness.caches import Cache, CacheFactory, CacheSpec, PoolStats
from harness.containing import contained
from harness.errors import UnusableCacheError, UsageError
from harness.operations import ALL, ALL_INIT, Operation, PoolId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.stateful import RuleBasedStateMachine

CACHES = "kvparity.caches"
SCENARIOS = "kvparity.scenarios"
TRACES = "kvparity.traces"
FAULTS = "kvparity.faults"
MACHINES = "kvparity.machines"
FAULT_PREFIX = "fault:"

DEFAULT_REFERENCE = "legacy-evicting"
DEFAULT_CANDIDATE = "refactored-fifo"

_CACHE_METHODS = ("set", "get", "checkout", "clear")
MANAGER_METHODS = (
    "get_init_cache", "set_init_cache", "get_recur_cache", "set_recur_cache", "get_wm_cache", "set_wm_cache",
    "hierarchical_get", "clear_all", "clear_init_caches", "clear_recur_cache",
)  # fmt: skip


@runtime_checkable
class Scenario(Protocol):
    """A workload: endless, seeded, lazily produced operations for caches of one spec."""

    name: str
    summary: str
    spec: CacheSpec

    def operations(self, seed: int) -> Iterator[Operation]:
        """The operations of this seed, without end."""


@lru_cache(maxsize=8)
def installed(group: str) -> dict[str, metadata.EntryPoint]:
    """What is installed in `group`, by name."""
    return {point.name: point for point in sorted(metadata.entry_points(group=group))}


def load_scenario(name: str) -> Scenario:
    """The scenario of that name.

    Raises:
        UsageError: there is none, or what the name leads to is not a scenario.
    """
    scenario = _load(SCENARIOS, "scenario", name)
    if not isinstance(scenario, Scenario):
        raise UsageError(f"{name} is not a scenario: it needs name, summary, spec and operations(seed)")
    return scenario


def load_machine() -> type[RuleBasedStateMachine]:
    """The state machine that fuzzing runs: the entry point `operations` of group `kvparity.machines`.

    Raises:
        UsageError: it is not installed, or is none.
    """
    machine = _load(MACHINES, "state machine", "operations")
    if not isinstance(machine, type) or not callable(getattr(machine, "new_trial", None)):
        raise UsageError(f"the state machine {machine!r} is none: it needs a method new_trial(spec)")
    return machine


def trace_path(name: str) -> Path:
    """The file of the bundled trace of that name, or the name itself as a path.

    Raises:
        UsageError: there is neither a bundled trace nor a file of that name.
    """
    points = installed(TRACES)
    path = Path(name)
    if name in points and not path.is_file():
        bundled: Path = _load(TRACES, "trace", name)
        return bundled
    if not path.exists():
        nearest = difflib.get_close_matches(name, points, n=1, cutoff=0.0)
        hint = f": did you mean the bundled {nearest[0]}?" if nearest else ""
        raise UsageError(f"there is no trace {name!r}, neither as a file nor bundled{hint}")
    return path


def faults() -> dict[str, CacheFactory]:
    """The faulty caches of every installed gallery, by name.

    Raises:
        UsageError: a gallery cannot be loaded.
    """
    return {name: fault for gallery in installed(FAULTS) for name, fault in _load(FAULTS, "gallery", gallery).items()}


def build_cache(name: str, spec: CacheSpec) -> Cache:
    """A new, empty cache of that name and these sizes.

    Raises:
        UsageError: there is no such name.
        UnusableCacheError: it cannot be built, or is not a cache.
    """
    return build_with(factory_of(name), spec, name=name)


def factory_of(name: str) -> CacheFactory:
    """The class or factory of that name.

    Raises:
        UsageError: there is none.
    """
    factory: CacheFactory = _fault(name) if name.startswith(FAULT_PREFIX) else _load(CACHES, "cache", name)
    return factory


def build_with(factory: Any, spec: CacheSpec, *, name: str) -> Cache:
    """A new, empty cache of these sizes from a class or factory that is at hand; `name` is what errors call it.

    Raises:
        UnusableCacheError: it cannot be built, or is not a cache.
    """
    if not callable(factory):
        raise UnusableCacheError(
            f"{name} is not a cache: it is a {type(factory).__name__}, expected a class or factory called with"
            " (config, env_num)"
        )
    try:
        built = factory(spec.config(), spec.env_num)
    except BaseException as error:  # noqa: BLE001  it may even try to end the program
        reason = contained(error)
        raise UnusableCacheError(
            f"{name} cannot be built with (config, env_num={spec.env_num}): {type(reason).__name__}: {reason}"
        ) from reason
    return adapt(built, name=name)


def adapt(built: Any, *, name: str = "") -> Cache:
    """`built` itself where it is a `Cache`, wrapped where it is shaped like `KVCacheManager`.

    Raises:
        UnusableCacheError: it is neither; the message names the methods that it lacks.
    """
    name = name or type(built).__name__
    if all(callable(getattr(built, method, None)) for method in _CACHE_METHODS):
        cache: Cache = built
        return cache
    lacks = [method for method in MANAGER_METHODS if not callable(getattr(built, method, None))]
    if not lacks:
        return ManagerCache(built)
    if len(lacks) == len(MANAGER_METHODS):
        raise UnusableCacheError(
            f"{name} gives a {type(built).__name__}, and that is no cache: it has none of KVCacheManager's methods"
            f" ({MANAGER_METHODS[0]}, ...)"
        )
    raise UnusableCacheError(f"{name} is no KVCacheManager: it lacks {', '.join(lacks)}")


class ManagerCache:
    """A manager as a `Cache`: pools become methods, and each checkout gets a key of its own in the wm pool.

    Its own key, because two environments may check out the same latent at once and each must own its copy.
    """

    def __init__(self, manager: Any) -> None:
        self.manager = manager
        self._checkouts = count()  # `next` of it is one step: no two threads get one ticket

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Store through `set_init_cache`, `set_recur_cache` or `set_wm_cache`."""
        options = {} if priority is None or not self._takes_priority(pool) else {"priority": priority}
        if pool.family == "init":
            self.manager.set_init_cache(pool.env, key, value, **options)
        elif pool.family == "recur":
            self.manager.set_recur_cache(key, value, **options)
        else:
            self.manager.set_wm_cache(key, value, **options)

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Look up through `get_init_cache`, `get_recur_cache` or `get_wm_cache`."""
        if pool.family == "init":
            return self.manager.get_init_cache(pool.env, key)
        if pool.family == "recur":
            return self.manager.get_recur_cache(key)
        return self.manager.get_wm_cache(key)

    def checkout(self, env: int, key: int) -> Any | None:
        """`hierarchical_get`, then the entry's copy in the wm pool."""
        found = self.manager.hierarchical_get(env, key)
        if found is None:
            return None
        # A hash, as a workload's own keys are, so that it meets them as seldom as they meet each other.
        ticket = xxhash.xxh3_64_intdigest(b"kvparity checkout %d" % next(self._checkouts))
        self.manager.set_wm_cache(ticket, found)
        return self.manager.get_wm_cache(ticket)

    def clear(self, pool: PoolId) -> None:
        """`clear_recur_cache`, `clear_init_caches`, `clear_all`, or the `clear` of one pool object."""
        if pool.family == "recur":
            self.manager.clear_recur_cache()
        elif pool == ALL_INIT:
            self.manager.clear_init_caches()
        elif pool == ALL:
            self.manager.clear_all()
        else:
            self._pool(pool).clear()

    def stats(self, pool: PoolId) -> PoolStats:
        """What the pool object's `stats` counted and its `len`, as far as it has them."""
        held = self._pool(pool)
        stats = getattr(held, "stats", None)
        counts = {name: _count(getattr(stats, name, None)) for name in ("hits", "misses", "evictions")}
        if getattr(held, "enable_stats", True) is False:
            counts = {}
        length = len(held) if hasattr(held, "__len__") else None
        return PoolStats(length=length, size_bytes=_count(getattr(held, "size_bytes", None)), **counts)

    def strategy(self, pool: PoolId) -> str:
        """What the pool object declares as its `eviction_strategy`; `fifo` where it declares nothing."""
        declared = getattr(self._pool(pool), "eviction_strategy", "fifo")
        return str(getattr(declared, "value", declared)).lower()

    def _takes_priority(self, pool: PoolId) -> bool:
        return self.strategy(pool) == "priority"

    def _pool(self, pool: PoolId) -> Any:
        if pool.family == "init":
            return self.manager.init_pools[pool.env]
        return self.manager.recur_pool if pool.family == "recur" else self.manager.wm_pool


def _count(number: Any) -> int | None:
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _fault(name: str) -> CacheFactory:
    gallery = faults()
    fault = name.removeprefix(FAULT_PREFIX)
    if fault not in gallery:
        nearest = difflib.get_close_matches(fault, gallery, n=1, cutoff=0.0)
        hint = f"did you mean {FAULT_PREFIX}{nearest[0]}? " if nearest else ""
        raise UsageError(f"there is no fault {fault!r}: {hint}`kvparity list faults` names all")
    return gallery[fault]


def _load(group: str, noun: str, name: str) -> Any:
    points = installed(group)
    if name not in points and ":" not in name:
        nearest = difflib.get_close_matches(name, points, n=1, cutoff=0.0)
        hint = f"did you mean {nearest[0]}? " if nearest else ""
        raise UsageError(
            f"there is no {noun} {name!r}: {hint}`kvparity list` names all; package.module:attribute also works"
        )
    try:
        return points[name].load() if name in points else _attribute(name)
    except Exception as error:
        raise UsageError(f"{noun} {name!r} cannot be loaded: {type(error).__name__}: {error}") from error


def _attribute(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    found = importlib.import_module(module_name)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found
