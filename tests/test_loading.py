"""Finding caches, scenarios and traces by name; and managers as caches."""

from __future__ import annotations

import sys
from importlib import metadata
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness import loading
from harness.caches import Cache, CacheSpec, PoolStats
from harness.contract import SPEC, entry, same
from harness.errors import UnusableCacheError, UsageError
from harness.loading import (
    CACHES,
    SCENARIOS,
    TRACES,
    ManagerCache,
    adapt,
    build_cache,
    installed,
    load_scenario,
    trace_path,
)
from harness.operations import ALL, ALL_INIT, RECUR, WM, PoolId, init
from refactored import KVCacheManager

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANAGER_METHODS = (
    "get_init_cache", "set_init_cache", "get_recur_cache", "set_recur_cache", "get_wm_cache", "set_wm_cache",
    "hierarchical_get", "clear_all", "clear_init_caches", "clear_recur_cache",
)  # fmt: skip


class FakePool:
    """A pool that notes what is called, under its name."""

    def __init__(self, name: str, calls: list[Any]) -> None:
        self.name = name
        self.calls = calls

    def clear(self) -> None:
        """Forget."""
        self.calls.append((self.name, "clear"))


class FakeManager:
    """Has `KVCacheManager`'s methods, notes each call, and answers a lookup with its arguments."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.init_pools = [FakePool(f"init {env}", self.calls) for env in range(2)]
        self.recur_pool = FakePool("recur", self.calls)
        self.wm_pool = FakePool("wm", self.calls)
        for method in MANAGER_METHODS:
            setattr(self, method, self._noting(method))

    def _noting(self, method: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append((method, *arguments, *([options] if options else [])))
            return (method, *arguments)

        return call


class Recorder:
    """A `Cache` that is built like a manager."""

    def __init__(self, config: SimpleNamespace, env_num: int) -> None:
        self.config = config
        self.env_num = env_num

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Store nothing."""

    def get(self, pool: PoolId, key: int) -> None:
        """Miss."""

    def checkout(self, env: int, key: int) -> None:
        """Miss."""

    def clear(self, pool: PoolId) -> None:
        """Forget nothing."""


class Nested:
    """Holds something with a dotted name."""

    Recorder = Recorder


class Scene:
    """A scenario of nothing."""

    name = "scene"
    summary = "nothing happens"
    spec = SPEC

    def operations(self, seed: int) -> Iterator[Any]:
        """None."""
        return iter((seed,))


SCENE = Scene()


def refuses(_config: SimpleNamespace, _env_num: int) -> None:
    """A factory that raises."""
    raise RuntimeError("out of luck")


def gives_nothing(_config: SimpleNamespace, _env_num: int) -> None:
    """A factory that returns None."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory; `sys.path` and modules are put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for module in ("kvparity_beside", "kvparity_broken"):
        sys.modules.pop(module, None)


def manager() -> KVCacheManager:
    """One of two environments."""
    return KVCacheManager(SPEC.config(), SPEC.env_num)


# ---------------------------------------------------------------------- names


def test_our_own_caches_are_installed() -> None:
    """Both generations of the original and the manager under each strategy, sorted."""
    assert list(installed(CACHES)) == [
        "legacy-evicting",
        "legacy-released",
        "refactored-fifo",
        "refactored-lru",
        "refactored-priority",
    ]


@pytest.mark.parametrize("name", list(installed(CACHES)))
def test_an_installed_name_builds_a_cache(name: str) -> None:
    """What is built holds a value and gives it back."""
    cache = build_cache(name, SPEC)
    cache.set(RECUR, 1, entry(1))
    assert same(cache.get(RECUR, 1), entry(1))


def test_each_build_is_a_new_cache() -> None:
    """Two caches of one name share nothing."""
    first, second = build_cache("refactored-fifo", SPEC), build_cache("refactored-fifo", SPEC)
    first.set(RECUR, 1, entry(1))
    assert second.get(RECUR, 1) is None


@pytest.mark.parametrize("name", list(installed(SCENARIOS)))
def test_an_installed_name_loads_a_scenario(name: str) -> None:
    """A scenario's name is the one that it is found by."""
    assert load_scenario(name).name == name


@pytest.mark.parametrize("name", list(installed(TRACES)))
def test_an_installed_name_is_a_traces_file(name: str) -> None:
    """A bundled trace is a file that is there."""
    assert trace_path(name).is_file()


@pytest.mark.parametrize(
    ("load", "name", "message"),
    [
        (
            lambda name: build_cache(name, SPEC),
            "refactored-lur",
            "there is no cache 'refactored-lur': did you mean refactored-lru?",
        ),
        (
            load_scenario,
            "mtcs",
            "there is no scenario 'mtcs': did you mean mcts?",
        ),
        (
            trace_path,
            "unizero",
            "there is no trace 'unizero', neither as a file nor bundled: did you mean the bundled cartpole-unizero?",
        ),
    ],
    ids=["cache", "scenario", "trace"],
)
def test_an_unknown_name_suggests_the_nearest(load: Any, name: str, message: str) -> None:
    """One line names what was asked for, the most similar name, and what else would work."""
    with pytest.raises(UsageError) as raised:
        load(name)
    what, _, hint = str(raised.value).partition("? ")
    assert (f"{what}?" if hint else what) == message
    assert hint in ("", "`kvparity list` names all; package.module:attribute also works")


def test_without_anything_installed_nothing_is_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no names, none is the nearest."""
    monkeypatch.setattr(loading, "installed", lambda _group: {})
    with pytest.raises(UsageError, match=r"^there is no cache 'fifo': `kvparity list` names all"):
        build_cache("fifo", SPEC)
    with pytest.raises(UsageError, match=r"^there is no trace 'cartpole', neither as a file nor bundled$"):
        trace_path("cartpole")


def test_a_file_is_a_trace_by_its_path(here: Path) -> None:
    """A path that exists is taken as it is, even before a bundled trace of that name."""
    path = here / "cartpole-unizero"
    path.write_bytes(b"")
    assert trace_path(str(path)) == path
    assert trace_path("cartpole-unizero").resolve() == path


# ---------------------------------------------------------------------- package.module:attribute


@pytest.mark.parametrize("attribute", ["Recorder", "Nested.Recorder"])
def test_an_attribute_of_a_module_is_a_cache(attribute: str) -> None:
    """Nothing has to be installed, and the constructor gets the sizes."""
    cache: Any = build_cache(f"{__name__}:{attribute}", CacheSpec(env_num=3, init_pool_size=4, num_simulations=5))
    assert type(cache) is Recorder
    assert cache.env_num == 3
    assert vars(cache.config) == {
        "env_num": 3,
        "game_segment_length": 4,
        "num_simulations": 5,
        "max_cache_size": 15,
        "init_pool_size": 4,
        "recur_pool_size": 15,
    }


def test_an_attribute_of_a_module_is_a_scenario() -> None:
    """Anything with name, summary, spec and operations."""
    assert load_scenario(f"{__name__}:SCENE") is SCENE


def test_a_module_of_the_working_directory_is_found(here: Path) -> None:
    """As `python -m` finds it."""
    (here / "kvparity_beside.py").write_text("from refactored import fifo as build\n")
    assert isinstance(build_cache("kvparity_beside:build", SPEC), ManagerCache)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "kvparity_none.module:Cache",
            "cache 'kvparity_none.module:Cache' cannot be loaded: ModuleNotFoundError: No module named 'kvparity_none'",
        ),
        (
            "harness.caches:Cahce",
            "cache 'harness.caches:Cahce' cannot be loaded: AttributeError: module 'harness.caches' has no attribute",
        ),
        (":Cache", "cache ':Cache' cannot be loaded: ValueError: Empty module name"),
    ],
)
def test_what_cannot_be_imported_is_one_line(name: str, message: str) -> None:
    """The name, and Python's own words for what is wrong with it."""
    with pytest.raises(UsageError) as raised:
        build_cache(name, SPEC)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_a_module_that_raises_when_imported_is_one_line(here: Path) -> None:
    """Whatever a user's module does wrong is told with its type."""
    (here / "kvparity_broken.py").write_text("1 / 0\n")
    with pytest.raises(
        UsageError, match=r"^cache 'kvparity_broken:Cache' cannot be loaded: ZeroDivisionError: division by zero$"
    ):
        build_cache("kvparity_broken:Cache", SPEC)


@pytest.mark.parametrize(
    ("group", "load"),
    [(CACHES, lambda name: build_cache(name, SPEC)), (SCENARIOS, load_scenario), (TRACES, trace_path)],
)
def test_an_installed_name_that_cannot_be_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, group: str, load: Any
) -> None:
    """An entry point of a package that is broken is told like a module that is."""
    point = metadata.EntryPoint(name="theirs", value="kvparity_none:thing", group=group)
    monkeypatch.setattr(loading, "installed", lambda _group: {"theirs": point})
    noun = group.removeprefix("kvparity.").removesuffix("s")
    with pytest.raises(
        UsageError, match=rf"^{noun} 'theirs' cannot be loaded: ModuleNotFoundError: No module named 'kvparity_none'$"
    ):
        load("theirs")


def test_a_scenario_that_lacks_something_is_refused() -> None:
    """What a scenario needs is named."""
    with pytest.raises(
        UsageError, match=r"^harness:init is not a scenario: it needs name, summary, spec and operations\(seed\)$"
    ):
        load_scenario("harness:init")


# ---------------------------------------------------------------------- what is built


def test_a_factory_that_raises_is_told_with_its_error() -> None:
    """The sizes that it was called with, the type and the words of what it raised."""
    with pytest.raises(UnusableCacheError) as raised:
        build_cache(f"{__name__}:refuses", SPEC)
    name = f"{__name__}:refuses"
    assert str(raised.value) == f"{name} cannot be built with (config, env_num=2): RuntimeError: out of luck"


def test_what_cannot_be_called_is_refused() -> None:
    """A name may lead to anything, of which only classes and factories build."""
    with pytest.raises(
        UnusableCacheError,
        match=r"^harness:RECUR is not a cache: it is a PoolId, expected a class or factory called",
    ):
        build_cache("harness:RECUR", SPEC)


def test_what_is_nothing_like_a_cache_is_refused() -> None:
    """Something without any of a manager's methods is told by its type."""
    with pytest.raises(
        UnusableCacheError,
        match=r"gives_nothing gives a NoneType, and that is no cache: it has none of KVCacheManager's methods",
    ):
        build_cache(f"{__name__}:gives_nothing", SPEC)


@pytest.mark.parametrize("lost", MANAGER_METHODS)
def test_a_manager_that_lacks_a_method_is_told_which(lost: str) -> None:
    """Each method that a cache is made of is asked for by name."""
    fake = FakeManager()
    setattr(fake, lost, None)
    with pytest.raises(UnusableCacheError, match=f"^FakeManager is no KVCacheManager: it lacks {lost}$"):
        adapt(fake)


def test_all_methods_that_a_manager_lacks_are_told() -> None:
    """At once, and under the name that it was asked for by."""
    fake = SimpleNamespace(**dict.fromkeys(MANAGER_METHODS[2:], print))
    with pytest.raises(
        UnusableCacheError, match=r"^mine:Manager is no KVCacheManager: it lacks get_init_cache, set_init_cache$"
    ):
        adapt(fake, name="mine:Manager")


def test_a_cache_is_taken_as_it_is() -> None:
    """What has the four methods is not wrapped."""
    cache = Recorder(SPEC.config(), 2)
    assert adapt(cache) is cache


# ---------------------------------------------------------------------- managers as caches


@pytest.mark.parametrize(
    ("pool", "called"),
    [
        (init(1), ("set_init_cache", 1, 7, "value")),
        (RECUR, ("set_recur_cache", 7, "value")),
        (WM, ("set_wm_cache", 7, "value")),
    ],
    ids=str,
)
def test_a_set_calls_the_pools_set(pool: PoolId, called: tuple[Any, ...]) -> None:
    """Once, with key and value, and for an init pool with its environment."""
    fake = FakeManager()
    adapt(fake).set(pool, 7, "value")
    assert fake.calls == [called]


@pytest.mark.parametrize(
    ("pool", "called"),
    [(init(1), ("get_init_cache", 1, 7)), (RECUR, ("get_recur_cache", 7)), (WM, ("get_wm_cache", 7))],
    ids=str,
)
def test_a_get_calls_the_pools_get(pool: PoolId, called: tuple[Any, ...]) -> None:
    """Once, and what it returned is the answer."""
    fake = FakeManager()
    assert adapt(fake).get(pool, 7) == called
    assert fake.calls == [called]


@pytest.mark.parametrize(
    ("pool", "called"),
    [
        (RECUR, ("clear_recur_cache",)),
        (ALL_INIT, ("clear_init_caches",)),
        (ALL, ("clear_all",)),
        (init(1), ("init 1", "clear")),
        (WM, ("wm", "clear")),
    ],
    ids=str,
)
def test_a_clear_calls_the_clear_of_what_it_names(pool: PoolId, called: tuple[Any, ...]) -> None:
    """The manager's own method where there is one, else that of the one pool."""
    fake = FakeManager()
    adapt(fake).clear(pool)
    assert fake.calls == [called]


def test_a_checkout_is_a_lookup_and_a_copy_in_the_wm_pool() -> None:
    """What `hierarchical_get` found is set in the wm pool, and got from there under the same key."""
    fake = FakeManager()
    copy = adapt(fake).checkout(1, 7)
    lookup, stored, got = fake.calls
    assert lookup == ("hierarchical_get", 1, 7)
    assert stored == ("set_wm_cache", got[1], lookup)
    assert copy == got
    assert got[0] == "get_wm_cache"


def test_a_checkout_that_misses_touches_no_wm_pool() -> None:
    """Without an entry there is no copy to make."""
    fake = FakeManager()
    fake.hierarchical_get = lambda _env, _key: None
    assert adapt(fake).checkout(1, 7) is None
    assert fake.calls == []


def test_environments_that_check_out_one_key_get_copies_of_their_own() -> None:
    """Neither sees what the other writes, and the entry stays as it was."""
    cache = adapt(manager())
    cache.set(RECUR, 1, entry(1))
    first, second = cache.checkout(0, 1), cache.checkout(1, 1)
    assert first is not None
    first._keys_values[0]._k_cache._cache.fill_(9)
    assert same(second, entry(1))
    assert same(cache.get(RECUR, 1), entry(1))


@pytest.mark.parametrize("key", [0, 1, 2**63, 2**64 - 2, 2**64 - 1])
def test_a_working_copy_takes_no_key_that_a_workload_uses(key: int) -> None:
    """Neither the ends of the key range nor the key that was checked out become keys of the wm pool."""
    cache = adapt(manager())
    cache.set(RECUR, key, entry(1))
    for env in (0, 1):
        cache.checkout(env, key)
        assert cache.get(WM, key) is None


def test_working_copies_take_keys_of_64_bits() -> None:
    """Thousands of them, each another one, so that any manager of 64-bit keys can hold them."""
    fake = FakeManager()
    cache = adapt(fake)
    keys = [cache.checkout(0, 7)[1] for _ in range(5000)]
    assert len(set(keys)) == 5000
    assert all(0 <= key < 2**64 for key in keys)


@pytest.mark.parametrize(
    ("strategy", "passed"),
    [("priority", [{"priority": 2.5}]), ("fifo", []), (SimpleNamespace(value="PRIORITY"), [{"priority": 2.5}])],
    ids=["priority", "fifo", "enumeration"],
)
@pytest.mark.parametrize("pool", [init(1), RECUR, WM], ids=str)
def test_a_priority_goes_to_pools_that_evict_by_it(pool: PoolId, strategy: Any, passed: list[Any]) -> None:
    """Other managers' methods may not take one."""
    fake = FakeManager()
    cache = adapt(fake)
    for held in (*fake.init_pools, fake.recur_pool, fake.wm_pool):
        held.eviction_strategy = strategy
    cache.set(pool, 7, "value", priority=2.5)
    [call] = fake.calls
    assert [argument for argument in call if isinstance(argument, dict)] == passed


def test_a_set_without_priority_passes_none() -> None:
    """A pool that evicts by priority keeps its own default."""
    fake = FakeManager()
    fake.recur_pool.eviction_strategy = "priority"
    adapt(fake).set(RECUR, 7, "value")
    assert fake.calls == [("set_recur_cache", 7, "value")]


@pytest.mark.parametrize("pool", [init(1), RECUR, WM], ids=str)
@pytest.mark.parametrize(
    ("declared", "name"), [("lru", "lru"), ("LRU", "lru"), (SimpleNamespace(value="priority"), "priority")]
)
def test_the_strategy_is_what_the_pool_declares(pool: PoolId, declared: Any, name: str) -> None:
    """As text or as an enumeration's value, in lower case."""
    fake = FakeManager()
    for held in (fake.init_pools[1], fake.recur_pool, fake.wm_pool):
        held.eviction_strategy = declared
    assert ManagerCache(fake).strategy(pool) == name


def test_a_pool_that_declares_nothing_is_first_in_first_out() -> None:
    """The default of every comparison."""
    assert ManagerCache(FakeManager()).strategy(RECUR) == "fifo"


def test_statistics_are_the_pools_own() -> None:
    """Hits, misses, evictions, keys and bytes as the manager's pool counted them."""
    cache = ManagerCache(manager())
    for key in range(SPEC.init_pool_size + 1):
        cache.set(init(0), key, entry(key))
    for key in (0, 1, 2):
        cache.get(init(0), key)
    allocated = SPEC.init_pool_size * 4 * 1 * 2 * 8 * 4 * 4
    assert cache.stats(init(0)) == PoolStats(hits=2, misses=1, evictions=1, length=3, size_bytes=allocated)
    assert cache.stats(init(1)).length == 0


def test_statistics_that_a_pool_has_not_are_none() -> None:
    """Neither absent ones nor ones that are no whole numbers are made up."""
    fake = FakeManager()
    fake.recur_pool.stats = SimpleNamespace(hits=3, misses=2.5, evictions=True)
    assert ManagerCache(fake).stats(RECUR) == PoolStats(hits=3)
    assert ManagerCache(fake).stats(WM) == PoolStats()


def test_statistics_that_are_switched_off_are_none() -> None:
    """A manager that does not count says nothing, whatever its counters stand at."""
    cache = ManagerCache(KVCacheManager(SPEC.config(), SPEC.env_num, enable_stats=False))
    cache.set(RECUR, 1, entry(1))
    cache.get(RECUR, 1)
    stats = cache.stats(RECUR)
    assert (stats.hits, stats.misses, stats.evictions, stats.length) == (None, None, None, 1)


def test_an_adapted_manager_is_a_cache() -> None:
    """It has what the protocol asks for."""
    cache: Cache = adapt(manager())
    assert cache.get(RECUR, 1) is None
