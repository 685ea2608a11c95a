"""The pytest plugin: options and fixtures that put a KV cache on trial, and recorded traces that are tests.

It costs nothing where it is not used: nothing of the harness, and so no torch, is imported before a test needs it.
docs/testing-your-cache.md says what it does for a user.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from kvparity.settings import REGRESSIONS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from kvparity.caches.protocol import CacheSpec
    from kvparity.driving.comparison import Comparison
    from kvparity.report.failure import Findings
    from kvparity.results.divergence import KnownDifference
    from kvparity.results.result import Result
    from kvparity.shadow.shadow_cache import ShadowCache
    from kvparity.traces.reader import TraceHeader

pytest.register_assert_rewrite("kvparity.contract")

SIDES = ("reference", "candidate")
_READABLE = 80  # characters of a test's name that are kept in that of a file


class _Watched(NamedTuple):
    """What is being compared in one test, and where its findings go."""

    findings: Findings
    names: tuple[str, str]
    workload: str
    command: str = ""
    shadow: ShadowCache | None = None


_WATCHED = pytest.StashKey[list[_Watched]]()
_RESULTS = pytest.StashKey[list["Result"]]()


# ---------------------------------------------------------------------- options


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--kv-reference` and `--kv-candidate`, and what a project says once in its ini file."""
    cache = "a name from `kvparity list`, fault:NAME, or package.module:attribute"
    group = parser.getgroup("kvparity", "kvparity: a KV cache on trial")
    group.addoption("--kv-reference", metavar="NAME", help=f"cache that serves: {cache}")
    group.addoption("--kv-candidate", metavar="NAME", help=f"cache on trial: {cache}")
    parser.addini("kv_reference", "cache that serves, where --kv-reference does not name one")
    parser.addini("kv_candidate", "cache on trial, where --kv-candidate does not name one")
    parser.addini(
        "kv_regressions",
        f"folders, relative to rootdir, whose *.kvtrace files are replayed as tests (default {REGRESSIONS})",
        type="args",
        default=[REGRESSIONS],
    )


def pytest_configure(config: pytest.Config) -> None:
    """Announce the marker that names traces, and refuse a regression folder that is not there."""
    config.addinivalue_line(
        "markers", "kvtrace(trace, ...): replay these traces through both caches before the test; see `kv_result`"
    )
    for name, folder in zip(config.getini("kv_regressions"), _regression_folders(config), strict=True):
        if name != REGRESSIONS and not folder.is_dir():
            raise pytest.UsageError(f"kv_regressions names {name!r}, and there is no folder {folder}")


def cache_name(config: pytest.Config, side: str, *, recorded: str | None = None) -> str:
    """The cache on that side of `SIDES`: the option's, else `recorded`, else the ini file's, else the default."""
    from kvparity.registry import DEFAULT_CANDIDATE, DEFAULT_REFERENCE  # noqa: PLC0415  see the module's docstring

    default = DEFAULT_REFERENCE if side == "reference" else DEFAULT_CANDIDATE
    name: str = config.getoption(f"kv_{side}") or recorded or config.getini(f"kv_{side}") or default
    return name


@contextmanager
def one_line_failure() -> Iterator[None]:
    """Within, kvparity's own errors fail the test with their message alone: a traceback would show our insides."""
    from kvparity.errors import KVParityError  # noqa: PLC0415
    from kvparity.text import one_line  # noqa: PLC0415

    try:
        yield
    except KVParityError as error:
        raise _failed(one_line(str(error))) from None


def _failed(text: str) -> BaseException:
    return pytest.fail.Exception(text, pytrace=False)


def _comparison(config: pytest.Config, header: TraceHeader | None = None) -> Comparison:
    from kvparity.driving.comparison import Comparison  # noqa: PLC0415

    recorded = (None, None) if header is None else (header.served_by, header.candidate)
    names = [cache_name(config, side, recorded=name) for side, name in zip(SIDES, recorded, strict=True)]
    for side, name, named in zip(SIDES, names, recorded, strict=True):
        if name == named and name not in _names_of_the_project(config):
            _refuse_to_import(name, side)
    return Comparison(*names, known=_known(config))


def _names_of_the_project(config: pytest.Config) -> set[str]:
    """Caches that somebody who may run code here has named."""
    return {str(say(f"kv_{side}")) for side in SIDES for say in (config.getoption, config.getini)}


def _refuse_to_import(name: str, side: str) -> None:
    """Raise where a module would have to be imported because a trace names it: a trace is data, from anybody.

    Caches that are installed may be named, and so may kvparity's own.

    Raises:
        UsageError: it would.
    """
    from kvparity.errors import UsageError  # noqa: PLC0415
    from kvparity.importing import is_own  # noqa: PLC0415
    from kvparity.registry import is_path  # noqa: PLC0415

    if is_path(name) and not is_own(name):
        raise UsageError(
            f"the trace names the {side} {name!r}. For safety, modules named only inside a trace file are not imported."
            f" Pass `--kv-{side} {name}`, or set `kv_{side}` in pytest's configuration"
        )


def _known(config: pytest.Config) -> Sequence[KnownDifference]:
    """What the settings in rootdir accept, which lie where the command finds them in its working directory."""
    from kvparity.settings import settings_in  # noqa: PLC0415

    return settings_in(config.rootpath).known


# ---------------------------------------------------------------------- fixtures


@pytest.fixture
def kv_spec() -> CacheSpec:
    """The sizes of the caches behind `kv_shadow`: small pools, which fill soon. Override it for other sizes."""
    from kvparity.caches.protocol import CacheSpec  # noqa: PLC0415

    return CacheSpec(env_num=2, init_pool_size=3, num_simulations=4)


@pytest.fixture
def kv_shadow(request: pytest.FixtureRequest, kv_spec: CacheSpec) -> ShadowCache:
    """The candidate in the shadow of the reference; the test fails where they diverge unexpectedly."""
    with one_line_failure():
        comparison = _comparison(request.config)
        shadow = comparison.shadow(kv_spec)
    names = (shadow.reference.name, shadow.candidate.name)
    _watch(request.node, _Watched(shadow.log, names, "kv_shadow", shadow=shadow))
    return shadow


@pytest.fixture
def kv_result(request: pytest.FixtureRequest) -> Result:
    """What the replay of the test's `kvtrace` marker came to; of several traces, the sum."""
    from kvparity.results.adding import merge  # noqa: PLC0415

    results = request.node.stash.get(_RESULTS, [])
    if not results:
        raise _failed("kv_result needs a trace: mark the test with @pytest.mark.kvtrace('FILE.kvtrace')")
    return merge(results)


def _watch(item: pytest.Item, watched: _Watched) -> None:
    item.stash.setdefault(_WATCHED, []).append(watched)


# ---------------------------------------------------------------------- the test itself


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Replay the traces that the test is marked with, before its fixtures see them."""
    item.stash[_WATCHED], item.stash[_RESULTS] = [], []  # a test that is run again begins anew
    for marker in item.iter_markers("kvtrace"):
        if not marker.args or marker.kwargs:
            raise _failed("@pytest.mark.kvtrace takes the names of traces, as in kvtrace('FILE.kvtrace')")
        for name in marker.args:
            with one_line_failure():
                result = _replay(item, _trace_of(item, str(name)), str(name))
            item.stash[_RESULTS].append(result)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that passed but for what its caches did; add that to what another failure says."""
    try:
        returned = yield
    except (Exception, pytest.fail.Exception):  # what pytest.fail raises is none of the first
        if text := _failures(item):
            item.add_report_section("call", "kvparity", text)
        raise
    if text := _failures(item):
        raise _failed(text)
    return returned


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Let go of the caches: the item itself lives as long as the session."""
    item.stash[_WATCHED], item.stash[_RESULTS] = [], []


def _failures(item: pytest.Item) -> str:
    texts = []
    for watched in item.stash.get(_WATCHED, ()):
        from kvparity.report.failure import failure  # noqa: PLC0415

        if watched.shadow is not None:
            watched.shadow.check_stats()
        texts.append(failure(watched.findings, names=watched.names, workload=watched.workload, command=watched.command))
    return "\n\n".join(filter(None, texts))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what a trial found, such as Hypothesis's state machine's; unittest's failures are known here only."""
    report = yield
    if call.excinfo is not None and "kvparity.search.trial" in sys.modules:
        report.sections.extend(("kvparity", text) for text in _kept(item, call.excinfo.value))
    return report


def _kept(item: pytest.Item, error: BaseException) -> Iterator[str]:
    from kvparity.search.case_files import write_trace  # noqa: PLC0415  see the module's docstring
    from kvparity.search.trial import PartedError  # noqa: PLC0415

    found = [each for each in getattr(error, "exceptions", (error,)) if isinstance(each, PartedError)]
    cache = getattr(item.config, "cache", None)  # pytest may run without
    if cache is None:
        return
    for number, each in enumerate(found, start=1):
        path = cache.mkdir("kvparity") / f"{_file_name(item.nodeid)}-{number}.kvtrace"
        path.unlink(missing_ok=True)
        write_trace(each.case, each.divergence, path, each.comparison, source=f"found by {item.nodeid}")
        yield f"the operations of that are kept in {path}"


def _file_name(nodeid: str) -> str:
    """The end of it, as far as it is fit for a file's name, and a digest, without which two might have the same."""
    import xxhash  # noqa: PLC0415

    readable = re.sub(r"\W+", "_", nodeid, flags=re.ASCII)[-_READABLE:].strip("_")
    return f"{readable}-{xxhash.xxh3_64_hexdigest(nodeid.encode(errors='surrogatepass'))}"


# ---------------------------------------------------------------------- traces


def _trace_of(item: pytest.Item, name: str) -> Path:
    """The file of that name beside the test, then in rootdir; else the bundled trace."""
    from kvparity.errors import UsageError  # noqa: PLC0415
    from kvparity.registry import TRACES, installed, trace_path  # noqa: PLC0415

    folders = (item.path.parent, item.config.rootpath)
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    if name not in installed(TRACES):
        raise UsageError(
            f"there is no trace {name!r}, neither in {folders[0]} nor in {folders[1]}, and none is bundled under that"
            f" name: bundled are {', '.join(installed(TRACES))}"
        )
    return trace_path(name)


def _replay(item: pytest.Item, path: Path, workload: str, *, by_header: bool = False) -> Result:
    """All of a trace through new caches; `by_header` prefers the ones that it was kept for to the ini file's.

    Raises:
        UsageError: a cache cannot be found, or nothing was compared.
        KeyboardInterrupt: the replay was interrupted.
    """
    from kvparity.errors import UsageError  # noqa: PLC0415
    from kvparity.traces.reader import Trace  # noqa: PLC0415

    with Trace(path) as trace:
        comparison = _comparison(item.config, trace.header if by_header else None)
        try:
            result = comparison.trace(trace, workload=workload)
        except UsageError as error:
            remedy = f"; {workload} asks for it, and --kv-reference or --kv-candidate replaces it" if by_header else ""
            raise UsageError(f"{error}{remedy}") from None
    if result.interrupted:
        raise KeyboardInterrupt
    if not result.gets_compared:
        raise UsageError(
            f"{workload} compares nothing: there is no lookup among its {result.operations_total:,} operations, so it"
            " passes whatever the candidate does; record one with gets or checkouts"
        )
    file = _seen_from(item.config.invocation_params.dir, path)
    sides = ["--reference", comparison.reference, "--candidate", comparison.candidate]
    command = shlex.join(["kvparity", "replay", file, *sides])
    _watch(item, _Watched(result, (result.reference, result.candidate), workload, command))
    return result


def _seen_from(folder: Path, path: Path) -> str:
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


# ---------------------------------------------------------------------- the regression folder


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Each `*.kvtrace` file in a regression folder is a test."""
    if file_path.suffix != ".kvtrace":
        return None
    if not any(folder in file_path.parents for folder in _regression_folders(parent.config)):
        return None
    return RegressionFile.from_parent(parent, path=file_path)


def _regression_folders(config: pytest.Config) -> list[Path]:
    return [Path(os.path.normpath(config.rootpath / folder)) for folder in config.getini("kv_regressions")]


class RegressionFile(pytest.File):
    """A recorded trace that once told two caches apart."""

    def collect(self) -> Iterator[pytest.Item]:
        """Its replay."""
        yield Regression.from_parent(self, name="replay")


class Regression(pytest.Item):
    """The replay of one trace: passes where both caches agree on all of it."""

    def runtest(self) -> None:
        """Replay it; what is found fails the test as it does any other."""
        with one_line_failure():
            _replay(self, self.path, _seen_from(self.config.rootpath, self.path), by_header=True)

    def reportinfo(self) -> tuple[Path, None, str]:
        """The file, and what is done with it."""
        return self.path, None, f"replay of {self.path.name}"
