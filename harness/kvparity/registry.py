"""Finding caches, scenarios and traces by name.

A name is one of:

- the name of an installed entry point, in the groups `kvparity.caches`, `kvparity.scenarios` and `kvparity.traces`;
- `package.module:attribute` or `path/to/file.py:attribute`, for a cache or scenario that is not installed;
- `fault:NAME`, for a faulty cache. The group `kvparity.faults` has galleries, which map names to caches;
- the path of a trace.
"""

from __future__ import annotations

import difflib
import inspect
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from kvparity.caches.adapter import adapt
from kvparity.caches.exceptions import Raised, attempt, describe_error
from kvparity.caches.protocol import CacheSpec
from kvparity.errors import UnusableCacheError, UsageError
from kvparity.importing import attribute, own_name_today

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.stateful import RuleBasedStateMachine

    from kvparity.caches.protocol import Cache, CacheFactory
    from kvparity.operations import Operation

CACHES = "kvparity.caches"
SCENARIOS = "kvparity.scenarios"
TRACES = "kvparity.traces"
FAULTS = "kvparity.faults"
MACHINES = "kvparity.machines"
FAULT_PREFIX = "fault:"

DEFAULT_REFERENCE = "legacy-evicting"
DEFAULT_CANDIDATE = "refactored-fifo"


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
    """The entry points of `group`, by name."""
    return {point.name: point for point in sorted(metadata.entry_points(group=group))}


def load_scenario(name: str) -> Scenario:
    """The scenario of that name.

    Raises:
        UsageError: it does not exist, cannot be imported, or is not a scenario.
    """
    scenario: Scenario = _load(SCENARIOS, "scenario", name)
    if not all(hasattr(scenario, each) for each in ("name", "summary", "spec", "operations")):
        raise UsageError(f"{name} is not a scenario: it needs name, summary, spec and operations(seed)")
    if not isinstance(scenario.spec, CacheSpec):
        raise UsageError(f"{name} is not a scenario: its spec is {scenario.spec!r}, expected a CacheSpec")
    try:
        inspect.signature(scenario.operations).bind(0)
    except TypeError as error:
        hint = ": this is a class, name an instance of it" if isinstance(scenario, type) else ""
        raise UsageError(f"{name} is not a scenario: operations(seed) cannot be called{hint} ({error})") from None
    return scenario


def load_machine() -> type[RuleBasedStateMachine]:
    """The state machine that fuzzing runs: the entry point `operations` of group `kvparity.machines`.

    Raises:
        UsageError: it is not installed, or is not a state machine.
    """
    machine = _load(MACHINES, "state machine", "operations")
    if not isinstance(machine, type) or not callable(getattr(machine, "new_trial", None)):
        raise UsageError(f"{machine!r} is not a state machine: it needs a method new_trial(spec)")
    return machine


def trace_path(name: str) -> Path:
    """The file of that path, or else of the bundled trace of that name.

    Raises:
        UsageError: neither exists.
    """
    points = installed(TRACES)
    path = Path(name)
    if name in points and not path.is_file():
        bundled: Path = _load(TRACES, "trace", name)
        return bundled
    if not path.exists():
        nearest = difflib.get_close_matches(name, points, n=1, cutoff=0.0)
        hint = f". Did you mean the bundled {nearest[0]}?" if nearest else ""
        raise UsageError(f"there is no trace {name!r}: it is neither a file nor bundled{hint}")
    return path


def faults() -> dict[str, CacheFactory]:
    """The faulty caches of every installed gallery, by name.

    Raises:
        UsageError: a gallery cannot be loaded.
    """
    return {name: fault for gallery in installed(FAULTS) for name, fault in _load(FAULTS, "gallery", gallery).items()}


def build_cache(name: str, spec: CacheSpec) -> Cache:
    """A new, empty cache with these sizes.

    Raises:
        UsageError: a cache of that name does not exist, or cannot be imported.
        UnusableCacheError: it cannot be built, or is not a cache.
    """
    return build_with(factory_of(name), spec, name=name)


def is_path(name: str) -> bool:
    """Whether a cache is named by its module or file, and is neither installed nor a fault."""
    return ":" in name and not name.startswith(FAULT_PREFIX) and name not in installed(CACHES)


def factory_of(name: str) -> CacheFactory:
    """The class or factory of that name.

    Raises:
        UsageError: it does not exist, or cannot be imported.
    """
    factory: CacheFactory = _fault(name) if name.startswith(FAULT_PREFIX) else _load(CACHES, "cache", name)
    return factory


def build_with(factory: Any, spec: CacheSpec, *, name: str) -> Cache:
    """A new, empty cache with these sizes, built by a class or factory. Errors call it `name`.

    Raises:
        UnusableCacheError: it cannot be built, or is not a cache.
    """
    if not callable(factory):
        raise UnusableCacheError(
            f"{name} is not a cache: it is a {type(factory).__name__}, expected a class or factory called with"
            " (config, env_num)"
        )
    built = attempt(factory, spec.config(), spec.env_num)
    if isinstance(built, Raised):
        raise UnusableCacheError(
            f"{name} cannot be built with (config, env_num={spec.env_num}): {describe_error(built.error)}"
        ) from built.error
    return adapt(built, name=name)


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
        if name.endswith(".py"):
            raise UsageError(f"{name} is a file: name what is in it, as in {name}:MyManager")
        nearest = difflib.get_close_matches(name, points, n=1, cutoff=0.0)
        hint = f"did you mean {nearest[0]}? " if nearest else ""
        raise UsageError(
            f"there is no {noun} {name!r}: {hint}`kvparity list` names all; package.module:attribute and"
            " path/to/file.py:attribute also work"
        )
    loaded = attempt(points[name].load) if name in points else attempt(attribute, name)
    if isinstance(loaded, Raised):
        today = own_name_today(name)
        hint = f" (this is your own module; kvparity's is called {today} today)" if today else ""
        raise UsageError(f"{noun} {name!r} cannot be loaded: {describe_error(loaded.error)}{hint}") from loaded.error
    return loaded
