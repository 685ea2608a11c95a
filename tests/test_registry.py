"""Finding caches, scenarios and traces by name."""

from __future__ import annotations

import sys
from importlib import metadata
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from kvparity import registry
from kvparity.caches.adapter import ManagerCache
from kvparity.caches.protocol import CacheSpec
from kvparity.contract import SPEC, entry, same
from kvparity.errors import UnusableCacheError, UsageError
from kvparity.operations import RECUR, PoolId
from kvparity.registry import (
    CACHES,
    SCENARIOS,
    TRACES,
    build_cache,
    installed,
    load_scenario,
    trace_path,
)
from kvparity_refactored import KVCacheManager

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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


class Instanceless(Scene):
    """A class that is a scenario itself."""

    @classmethod
    def operations(cls, seed: int) -> Iterator[Any]:
        """None."""
        return iter((seed,))


class Wrapped:
    """Has nothing of its own."""

    def __getattr__(self, name: str) -> Any:
        return getattr(SCENE, name)


SCENE = Scene()
WRAPPED: Any = Wrapped()
SPECLESS = SimpleNamespace(name="scene", summary="", spec=None, operations=SCENE.operations)
SEEDLESS = SimpleNamespace(name="scene", summary="", spec=SPEC, operations=lambda: iter(()))


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
            "there is no trace 'unizero': it is neither a file nor bundled. Did you mean the bundled cartpole-unizero?",
        ),
    ],
    ids=["cache", "scenario", "trace"],
)
def test_an_unknown_name_suggests_the_nearest(load: Any, name: str, message: str) -> None:
    """One line names what was asked for, the most similar name, and what else would work."""
    with pytest.raises(UsageError) as raised:
        load(name)
    what, _, hint = str(raised.value).partition("? `")
    assert (f"{what}?" if hint else what) == message
    also = "kvparity list` names all; package.module:attribute and path/to/file.py:attribute also work"
    assert hint in ("", also)


def test_without_anything_installed_nothing_is_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no names, none is the nearest."""
    monkeypatch.setattr(registry, "installed", lambda _group: {})
    with pytest.raises(UsageError, match=r"^there is no cache 'fifo': `kvparity list` names all"):
        build_cache("fifo", SPEC)
    with pytest.raises(UsageError, match=r"^there is no trace 'cartpole': it is neither a file nor bundled$"):
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
    (here / "kvparity_beside.py").write_text("from kvparity_refactored import fifo as build\n")
    assert isinstance(build_cache("kvparity_beside:build", SPEC), ManagerCache)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "kvparity_none.module:Cache",
            "cache 'kvparity_none.module:Cache' cannot be loaded: ModuleNotFoundError: No module named 'kvparity_none'",
        ),
        (
            "kvparity.caches.protocol:Cahce",
            (
                "cache 'kvparity.caches.protocol:Cahce' cannot be loaded: AttributeError: module"
                " 'kvparity.caches.protocol' has no attribute"
            ),
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
    """The error names the type of the exception."""
    (here / "kvparity_broken.py").write_text("1 / 0\n")
    with pytest.raises(
        UsageError, match=r"^cache 'kvparity_broken:Cache' cannot be loaded: ZeroDivisionError: division by zero$"
    ):
        build_cache("kvparity_broken:Cache", SPEC)


def test_a_module_that_exits_when_imported_is_one_line(here: Path) -> None:
    """A script that was meant to be run does not end kvparity with a status of its own."""
    (here / "kvparity_broken.py").write_text("raise SystemExit(1)\n")
    with pytest.raises(UsageError, match=r"^cache 'kvparity_broken:Cache' cannot be loaded: SystemExit: 1$"):
        build_cache("kvparity_broken:Cache", SPEC)


@pytest.mark.parametrize(
    ("group", "load"),
    [(CACHES, lambda name: build_cache(name, SPEC)), (SCENARIOS, load_scenario), (TRACES, trace_path)],
)
def test_an_installed_name_that_cannot_be_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, group: str, load: Any
) -> None:
    """A broken entry point is reported like a broken module."""
    point = metadata.EntryPoint(name="theirs", value="kvparity_none:thing", group=group)
    monkeypatch.setattr(registry, "installed", lambda _group: {"theirs": point})
    noun = group.removeprefix("kvparity.").removesuffix("s")
    with pytest.raises(
        UsageError, match=rf"^{noun} 'theirs' cannot be loaded: ModuleNotFoundError: No module named 'kvparity_none'$"
    ):
        load("theirs")


def test_a_scenario_that_lacks_something_is_refused() -> None:
    """What a scenario needs is named."""
    with pytest.raises(
        UsageError, match=r"^kvparity:init is not a scenario: it needs name, summary, spec and operations\(seed\)$"
    ):
        load_scenario("kvparity:init")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Scene", r"operations\(seed\) cannot be called: this is a class, name an instance of it \(missing .*\)$"),
        ("SEEDLESS", r"operations\(seed\) cannot be called \(too many positional arguments\)$"),
        ("SPECLESS", r"its spec is None, expected a CacheSpec$"),
    ],
)
def test_a_scenario_that_cannot_be_used_is_refused(name: str, message: str) -> None:
    """A class, operations that take no seed, and what is no spec: each is one line."""
    with pytest.raises(UsageError, match=rf"^{__name__}:{name} is not a scenario: {message}"):
        load_scenario(f"{__name__}:{name}")


def test_a_class_whose_operations_need_no_instance_is_a_scenario() -> None:
    """What counts is that it can be asked for operations."""
    assert load_scenario(f"{__name__}:Instanceless") is Instanceless  # type: ignore[comparison-overlap]


def test_a_scenario_may_pass_on_what_it_is_asked() -> None:
    """A wrapper's attributes are those of what is in it, on every Python."""
    assert load_scenario(f"{__name__}:WRAPPED") is WRAPPED


# ---------------------------------------------------------------------- what is built


def test_a_factory_that_raises_is_refused_with_its_error() -> None:
    """The sizes that it was called with, the type and the words of what it raised."""
    with pytest.raises(UnusableCacheError) as raised:
        build_cache(f"{__name__}:refuses", SPEC)
    name = f"{__name__}:refuses"
    assert (
        str(raised.value) == f"{name} cannot be built with (config, env_num={SPEC.env_num}): RuntimeError: out of luck"
    )


class Unspeakable(Exception):  # noqa: N818
    """An exception whose message cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError("unspeakable")


def raises_what_cannot_be_shown(_config: SimpleNamespace, _env_num: int) -> None:
    """A factory whose exception is broken, too."""
    raise Unspeakable


def test_a_factory_whose_exception_has_no_message_is_refused() -> None:
    """Its type stands for what it does not say."""
    with pytest.raises(UnusableCacheError, match=r": Unspeakable: \(its message raised RuntimeError\)$"):
        build_cache(f"{__name__}:raises_what_cannot_be_shown", SPEC)


def test_what_cannot_be_called_is_refused() -> None:
    """A name may lead to anything, but only classes and factories can build a cache."""
    with pytest.raises(
        UnusableCacheError,
        match=r"^kvparity:RECUR is not a cache: it is a PoolId, expected a class or factory called",
    ):
        build_cache("kvparity:RECUR", SPEC)


def test_what_is_nothing_like_a_cache_is_refused() -> None:
    """The error names the type of what was built."""
    with pytest.raises(
        UnusableCacheError,
        match=r"gives_nothing returned a NoneType, which is not a cache: it needs the methods set, get, ",
    ):
        build_cache(f"{__name__}:gives_nothing", SPEC)
