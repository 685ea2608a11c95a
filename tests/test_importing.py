"""Names that lead to a module or a file: whose module it is, and what former names lead to."""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import kvparity_legacy
import kvparity_refactored
import kvparity_scenarios
from kvparity import Set, Trace, TraceWriter, build_cache, load_scenario
from kvparity.contract import SPEC, entry
from kvparity.errors import UsageError
from kvparity.importing import FORMER, attribute, is_own
from kvparity.operations import RECUR, Get
from kvparity.registry import factory_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
FAULTY = """
    from kvparity_refactored import KVCacheManager as Correct

    class KVCacheManager(Correct):
        def clear_recur_cache(self):
            pass
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory; `sys.path` and modules are put back.

    The folders of tests have the names of our former packages, too, and are out of sight here.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path) != ROOT / "tests"])
    for name in FORMER:
        monkeypatch.delitem(sys.modules, name, raising=False)
    before = set(sys.modules)
    yield tmp_path
    for module in set(sys.modules) - before:
        if module.partition(".")[0] not in ("kvparity", "torch", *FORMER.values()):
            del sys.modules[module]


def write(path: str, text: str = "") -> None:
    """A file of the user's, in the working directory."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(textwrap.dedent(text))


def kvparity(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own."""
    return python("-m", "kvparity", *arguments, cwd=cwd)


def python(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, in the working directory."""
    return subprocess.run(  # noqa: S603
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200"},
    )


# ---------------------------------------------------------------------- a user's folders are the user's


@pytest.fixture
def users_folders() -> None:
    """Folders of the user's own, with the names that kvparity's packages once had."""
    write("refactored/manager.py", FAULTY)
    write("harness/__init__.py", "OWN = True\n")
    write("scenarios/storm.yaml", "steps: 3\n")
    write("test_own.py", "import harness\n\ndef test_own():\n    assert harness.OWN\n")


@pytest.mark.usefixtures("users_folders")
@pytest.mark.parametrize("init", [False, True], ids=["a folder", "a package"])
def test_a_users_own_module_is_tested(*, init: bool) -> None:
    """Its fault is found, and the report names the file that the class came from."""
    if init:
        write("refactored/__init__.py")
    done = kvparity("run", "clear-storm", "--candidate", "refactored.manager:KVCacheManager", "--steps", "2000")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "stale_hit (corruption)" in done.stdout
    assert "wrong: candidate" in done.stdout
    file = Path("refactored") / "manager.py"
    assert f"candidate  refactored.manager:KVCacheManager ({file})" in done.stdout.splitlines()


@pytest.mark.usefixtures("users_folders")
def test_a_users_own_folders_disturb_no_command() -> None:
    """Not even one that loads all that is installed."""
    done = kvparity("list")
    assert done.returncode == 0, done.stderr
    assert "kvparity_refactored:fifo" in done.stdout


@pytest.mark.usefixtures("users_folders")
def test_a_users_own_folders_disturb_no_test_run() -> None:
    """The pytest plugin is loaded in every run of pytest."""
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_nothing_of_ours_has_a_users_name() -> None:
    """What is installed is importable as `kvparity...` only."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    packages = build["targets"]["wheel"]["packages"]
    assert {Path(package).name for package in packages} == {"kvparity", *FORMER.values()}
    for folder in build["dev-mode-dirs"]:
        [module] = pkgutil.iter_modules([str(ROOT / folder)])
        assert f"{folder}/{module.name}" in packages
    code = f"import importlib.util; print([name for name in {['harness', *FORMER]} if importlib.util.find_spec(name)])"
    assert python("-c", code).stdout == "[]\n"


# ---------------------------------------------------------------------- files


def test_a_file_is_named_by_its_path() -> None:
    """As a cache, and as a scenario; whether it belongs to a package or not."""
    write(
        "plain/mine.py", "from kvparity_refactored import fifo as build\nfrom kvparity_scenarios import mcts as scene\n"
    )
    write("source/package/__init__.py")
    write("source/package/other.py", "from kvparity_refactored import fifo\n")
    write("source/package/mine.py", "from .other import fifo as build\n")
    build_cache("plain/mine.py:build", SPEC)
    build_cache(f"{Path('plain').resolve()}/mine.py:build", SPEC)
    build_cache("source/package/mine.py:build", SPEC)
    assert load_scenario("plain/mine.py:scene") is load_scenario("mcts")


def test_a_file_alone_is_no_name() -> None:
    """It may hold several caches."""
    with pytest.raises(UsageError, match=r"^a/b\.py is a file: name what is in it, as in a/b\.py:MyManager$"):
        factory_of("a/b.py")


def test_two_files_of_one_name_are_two_modules() -> None:
    """The old and the new one lie in folders of their own."""
    for folder in ("old", "new"):
        write(f"{folder}/manager.py", f"class Manager:\n    came_from = {folder!r}\n")
    assert [factory_of(f"{folder}/manager.py:Manager").came_from for folder in ("old", "new")] == ["old", "new"]
    assert factory_of("old/manager.py:Manager") is factory_of("old/manager.py:Manager")


def test_a_file_that_is_hidden_by_another_is_refused() -> None:
    """Two packages of one name cannot both be imported: never is one tested in the place of the other."""
    for folder in ("old", "new"):
        write(f"{folder}/package/__init__.py")
        write(f"{folder}/package/manager.py", "class Manager: ...\n")
    factory_of("old/package/manager.py:Manager")
    found = Path("old/package/manager.py").resolve()
    with pytest.raises(UsageError) as raised:
        factory_of("new/package/manager.py:Manager")
    assert str(raised.value) == (
        "cache 'new/package/manager.py:Manager' cannot be loaded: ImportError: Python found another file under the name"
        f" package.manager: {found}"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.py:Cache", "FileNotFoundError: there is no file {here}/nowhere.py"),
        ("broken.py:Cache", "ZeroDivisionError: division by zero"),
        ("alone.py:Cache", "ModuleNotFoundError: No module named 'kvparity_none'"),
    ],
)
def test_a_file_that_cannot_be_imported_is_one_line(name: str, message: str, here: Path) -> None:
    """Each time anew: what failed is not kept."""
    write("broken.py", "1 / 0\n")
    write("alone.py", "import kvparity_none\n")
    for _ in range(2):
        with pytest.raises(UsageError) as raised:
            factory_of(name)
        assert str(raised.value) == f"cache {name!r} cannot be loaded: {message.format(here=here.resolve())}"


def test_the_file_of_a_file_is_named_in_the_report() -> None:
    """It is relative to the working directory, if the file is in it."""
    write("mine/manager.py", FAULTY)
    done = kvparity("run", "clear-storm", "--candidate", "mine/manager.py:KVCacheManager", "--steps", "300")
    assert f"candidate  mine/manager.py:KVCacheManager ({Path('mine', 'manager.py')})" in done.stdout.splitlines()


# ---------------------------------------------------------------------- former names


@pytest.mark.parametrize(
    ("former", "today"),
    [
        ("refactored:thread_safe", kvparity_refactored.thread_safe),
        ("refactored.manager:KVCacheManager", kvparity_refactored.KVCacheManager),
        ("legacy:EvictingCache", kvparity_legacy.EvictingCache),
        ("legacy.evicting:EvictingCache", kvparity_legacy.EvictingCache),
        ("scenarios:mcts", kvparity_scenarios.mcts),
    ],
)
@pytest.mark.parametrize("folder", [None, ROOT], ids=["anywhere", "in a checkout"])
def test_a_former_name_is_found(former: str, today: Any, folder: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from the root of a checkout, whose folders have these names and hold nothing but today's packages."""
    if folder is not None:
        monkeypatch.chdir(folder)
    assert attribute(former) is today


def test_every_former_module_of_caches_is_found() -> None:
    """Results of before may name any of them."""
    assert build_cache("scenarios.sound:SoundCache", SPEC)


@pytest.mark.parametrize(
    "own",
    ["refactored/__init__.py", "refactored.py", "refactored/other.py", "refactored/data.txt"],
    ids=["a package", "a module", "a folder of modules", "a folder of anything"],
)
def test_ours_never_stands_in_for_a_users(own: str) -> None:
    """Where the user has anything of that name, it is the user's that is meant; the error names ours."""
    write(own)
    with pytest.raises(UsageError) as raised:
        factory_of("refactored:thread_safe")
    assert str(raised.value).startswith("cache 'refactored:thread_safe' cannot be loaded: AttributeError: ")
    assert str(raised.value).endswith(
        " (this is your own module; kvparity's is called kvparity_refactored:thread_safe today)"
    )


def test_what_else_a_folder_of_ours_holds_is_the_users() -> None:
    """Somebody may keep kvparity's sources in a folder together with modules of their own."""
    write("refactored/kvparity_refactored/__init__.py")
    assert attribute("refactored:fifo") is kvparity_refactored.fifo
    write("refactored/manager.py", "class KVCacheManager: ...\n")
    sys.path_importer_cache.clear()
    assert attribute("refactored.manager:KVCacheManager") is not kvparity_refactored.KVCacheManager


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("refactored:thread_safe", True),
        ("kvparity_refactored:thread_safe", True),
        ("kvparity_legacy.evicting:EvictingCache", True),
        ("kvparity_refactored:nothing", False),
        ("kvparity_refactored.manager:torch.load", False),
        ("trap:thread_safe", False),
        ("trap.py:thread_safe", False),
        ("scenarios:thread_safe", False),
    ],
)
def test_what_is_our_own_is_known_without_importing_anything_else(name: str, *, own: bool) -> None:
    """Former names are, unless the user has a package of that name."""
    for trap in ("trap.py", "scenarios/__init__.py"):
        write(trap, "open('sprung', 'w').close()\nfrom kvparity_refactored import thread_safe\n")
    assert is_own(name) is own
    assert not Path("sprung").exists()


def regression(name: str) -> None:
    """A trace in the regression folder that names its candidate."""
    Path("tests/regressions").mkdir(parents=True)
    with TraceWriter(Path("tests/regressions/a.kvtrace"), served_by="refactored-fifo", candidate=name) as writer:
        stream = writer.stream("search", SPEC)
        writer.record(stream, Set(pool=RECUR, key=1, value=entry(1)))
        writer.record(stream, Get(pool=RECUR, key=1))


def test_a_regression_of_before_is_replayed() -> None:
    """A trace that names one of kvparity's own caches by its former path needs no word of the user."""
    regression("refactored:thread_safe")
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_a_regression_imports_no_package_of_the_users() -> None:
    """Also not where its name is a former one of ours."""
    regression("refactored:thread_safe")
    write("refactored/__init__.py", "open('sprung', 'w').close()\n")
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 1
    assert "modules named only inside a trace file are not imported" in done.stdout
    assert not Path("sprung").exists()


def test_what_was_written_before_is_read() -> None:
    """Results and traces, by the command line."""
    golden = ROOT / "tests" / "golden"
    for name in ("result-1-merged", "result-1-training"):
        done = kvparity("report", str(golden / f"{name}.json"), "-o", name)
        assert done.returncode == 0, done.stderr
    fields = json.loads((golden / "result-1-merged.json").read_text())
    Path("former.json").write_text(json.dumps({**fields, "candidate": "refactored:thread_safe"}))
    done = kvparity("verdict", "former.json")
    assert (done.returncode, done.stderr) == (1, "")
    assert "refactored:thread_safe" in done.stdout
    for path in sorted(golden.glob("*.kvtrace")):
        with Trace(path) as trace:
            served_by = str(trace.header.served_by)
        done = kvparity("replay", str(path), "--reference", served_by, "--candidate", "refactored:lru", "--quiet")
        assert done.returncode == 1, done.stderr
        assert done.stdout.startswith("DIVERGENCE: "), done.stdout
