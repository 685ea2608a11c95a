"""The pytest plugin: options and fixtures that test a KV cache, and recorded traces that are tests.

It costs nothing if it is not used: it imports the rest of kvparity, and so torch, only when a test needs it.
docs/testing-your-cache.md explains it to users.
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
_READABLE = 80  # characters of a test's name that a file name keeps


class _Watched(NamedTuple):
    """A comparison in a test, which fails the test if it finds something."""

    findings: Findings
    names: tuple[str, str]
    workload: str
    command: str = ""
    shadow: ShadowCache | None = None


_WATCHED = pytest.StashKey[list[_Watched]]()
_RESULTS = pytest.StashKey[list["Result"]]()


# ---------------------------------------------------------------------- options


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--kv-reference` and `--kv-candidate`, and the settings of the ini file."""
    cache = "a name from `kvparity list`, fault:NAME, package.module:attribute or path/to/file.py:attribute"
    group = parser.getgroup("kvparity", "kvparity: tests of KV caches")
    group.addoption("--kv-reference", metavar="NAME", help=f"the trusted cache: {cache}")
    group.addoption("--kv-candidate", metavar="NAME", help=f"the cache under test: {cache}")
    parser.addini("kv_reference", "the trusted cache, if --kv-reference is not given")
    parser.addini("kv_candidate", "the cache under test, if --kv-candidate is not given")
    parser.addini(
        "kv_regressions",
        f"folders, relative to rootdir, whose *.kvtrace files are replayed as tests (default {REGRESSIONS})",
        type="args",
        default=[REGRESSIONS],
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker `kvtrace`.

    Raises:
        pytest.UsageError: a folder of `kv_regressions` does not exist.
    """
    config.addinivalue_line(
        "markers",
        "kvtrace(trace, ...): replay these traces through both caches before the test; `kv_result` is the result",
    )
    for name, folder in zip(config.getini("kv_regressions"), _regression_folders(config), strict=True):
        if name != REGRESSIONS and not folder.is_dir():
            raise pytest.UsageError(f"kv_regressions names {name!r}, but the folder {folder} does not exist")


def cache_name(config: pytest.Config, side: str, *, recorded: str | None = None) -> str:
    """The cache on a side of `SIDES`: what the option names, else `recorded`, else the ini file's, else the default."""
    from kvparity.registry import DEFAULT_CANDIDATE, DEFAULT_REFERENCE  # noqa: PLC0415  see the module's docstring

    default = DEFAULT_REFERENCE if side == "reference" else DEFAULT_CANDIDATE
    name: str = config.getoption(f"kv_{side}") or recorded or config.getini(f"kv_{side}") or default
    return name


@contextmanager
def one_line_failure() -> Iterator[None]:
    """Within, kvparity's own errors fail the test with their message only, without a traceback of kvparity's code."""
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
    """The caches that the command line and the ini file name. Whoever writes these may run code here anyway."""
    return {str(say(f"kv_{side}")) for side in SIDES for say in (config.getoption, config.getini)}


def _refuse_to_import(name: str, side: str) -> None:
    """Raise if only a trace names this module. A trace may come from anybody, so nothing is imported on its behalf.

    It may name caches that are installed, and kvparity's own.

    Raises:
        UsageError: the name leads to any other module or file.
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
    """The differences that the settings in rootdir accept."""
    from kvparity.settings import settings_in  # noqa: PLC0415

    return settings_in(config.rootpath).known


# ---------------------------------------------------------------------- fixtures


@pytest.fixture
def kv_spec() -> CacheSpec:
    """The sizes of the caches of `kv_shadow`: small pools, which fill soon. Override it for other sizes."""
    from kvparity.caches.protocol import CacheSpec  # noqa: PLC0415

    return CacheSpec(env_num=2, init_pool_size=3, num_simulations=4)


@pytest.fixture
def kv_shadow(request: pytest.FixtureRequest, kv_spec: CacheSpec) -> ShadowCache:
    """The reference, with the candidate in its shadow. The test fails if they diverge unexpectedly."""
    with one_line_failure():
        comparison = _comparison(request.config)
        shadow = comparison.shadow(kv_spec)
    names = (shadow.reference.name, shadow.candidate.name)
    _watch(request.node, _Watched(shadow.log, names, "kv_shadow", shadow=shadow))
    return shadow


@pytest.fixture
def kv_result(request: pytest.FixtureRequest) -> Result:
    """The result of replaying the traces of the `kvtrace` marker; for several traces, the sum."""
    from kvparity.results.adding import merge  # noqa: PLC0415

    results = request.node.stash.get(_RESULTS, [])
    if not results:
        raise _failed("kv_result needs a trace: mark the test with @pytest.mark.kvtrace('FILE.kvtrace')")
    return merge(results)


def _watch(item: pytest.Item, watched: _Watched) -> None:
    item.stash.setdefault(_WATCHED, []).append(watched)


# ---------------------------------------------------------------------- the test itself


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Replay the traces of the `kvtrace` marker, before fixtures are set up."""
    item.stash[_WATCHED], item.stash[_RESULTS] = [], []  # a plugin may run a test again
    for marker in item.iter_markers("kvtrace"):
        if not marker.args or marker.kwargs:
            raise _failed("@pytest.mark.kvtrace takes the names of traces, as in kvtrace('FILE.kvtrace')")
        for name in marker.args:
            with one_line_failure():
                result = _replay(item, _trace_of(item, str(name)), str(name))
            item.stash[_RESULTS].append(result)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that passed although its caches diverged; if it failed anyway, add the divergences to its report."""
    try:
        returned = yield
    except (Exception, pytest.fail.Exception):  # what pytest.fail raises is not an Exception
        if text := _failures(item):
            item.add_report_section("call", "kvparity", text)
        raise
    if text := _failures(item):
        raise _failed(text)
    return returned


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Free the caches. The item itself lives as long as the session."""
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
    """Keep the operations that a trial failed with, such as one of Hypothesis's state machine.

    Only this hook sees the failures of unittest's test cases.
    """
    report = yield
    if call.excinfo is not None and "kvparity.search.trial" in sys.modules:
        report.sections.extend(("kvparity", text) for text in _kept(item, call.excinfo.value))
    return report


def _kept(item: pytest.Item, error: BaseException) -> Iterator[str]:
    from kvparity.search.case_files import write_trace  # noqa: PLC0415  see the module's docstring
    from kvparity.search.trial import PartedError  # noqa: PLC0415

    found = [each for each in getattr(error, "exceptions", (error,)) if isinstance(each, PartedError)]
    cache = getattr(item.config, "cache", None)  # None with `-p no:cacheprovider`
    if cache is None:
        return
    for number, each in enumerate(found, start=1):
        path = cache.mkdir("kvparity") / f"{_file_name(item.nodeid)}-{number}.kvtrace"
        path.unlink(missing_ok=True)
        write_trace(each.case, each.divergence, path, each.comparison, source=f"found by {item.nodeid}")
        yield f"its operations are kept in {path}"


def _file_name(nodeid: str) -> str:
    """The end of the test's name, as far as a file name can hold it, and a digest that makes it unique."""
    import xxhash  # noqa: PLC0415

    readable = re.sub(r"\W+", "_", nodeid, flags=re.ASCII)[-_READABLE:].strip("_")
    return f"{readable}-{xxhash.xxh3_64_hexdigest(nodeid.encode(errors='surrogatepass'))}"


# ---------------------------------------------------------------------- traces


def _trace_of(item: pytest.Item, name: str) -> Path:
    """The file of that name beside the test, or else in rootdir, or else the bundled trace."""
    from kvparity.errors import UsageError  # noqa: PLC0415
    from kvparity.registry import TRACES, installed, trace_path  # noqa: PLC0415

    folders = (item.path.parent, item.config.rootpath)
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    if name not in installed(TRACES):
        raise UsageError(
            f"there is no trace {name!r} in {folders[0]}, in {folders[1]}, or among the bundled traces"
            f" {', '.join(installed(TRACES))}"
        )
    return trace_path(name)


def _replay(item: pytest.Item, path: Path, workload: str, *, by_header: bool = False) -> Result:
    """Replay a trace through new caches. With `by_header`, the caches that the trace names come before the ini file's.

    Raises:
        UsageError: a cache cannot be found, or the trace has no lookup to compare.
        KeyboardInterrupt: the replay was interrupted.
    """
    from kvparity.errors import UsageError  # noqa: PLC0415
    from kvparity.traces.reader import Trace  # noqa: PLC0415

    with Trace(path) as trace:
        comparison = _comparison(item.config, trace.header if by_header else None)
        try:
            result = comparison.trace(trace, workload=workload)
        except UsageError as error:
            remedy = f"; {workload} names it, and --kv-reference or --kv-candidate replaces it" if by_header else ""
            raise UsageError(f"{error}{remedy}") from None
    if result.interrupted:
        raise KeyboardInterrupt
    if not result.gets_compared:
        raise UsageError(
            f"{workload} compares nothing: none of its {result.operations_total:,} operations is a lookup, so it would"
            " pass whatever the candidate does; record a trace with gets or checkouts"
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
    """Collect each `*.kvtrace` file in a regression folder as a test."""
    if file_path.suffix != ".kvtrace":
        return None
    if not any(folder in file_path.parents for folder in _regression_folders(parent.config)):
        return None
    return RegressionFile.from_parent(parent, path=file_path)


def _regression_folders(config: pytest.Config) -> list[Path]:
    return [Path(os.path.normpath(config.rootpath / folder)) for folder in config.getini("kv_regressions")]


class RegressionFile(pytest.File):
    """A recorded trace on which two caches once diverged."""

    def collect(self) -> Iterator[pytest.Item]:
        """The one test of the file: its replay."""
        yield Regression.from_parent(self, name="replay")


class Regression(pytest.Item):
    """The replay of one trace. It passes if both caches agree on all of it."""

    def runtest(self) -> None:
        """Replay it."""
        with one_line_failure():
            _replay(self, self.path, _seen_from(self.config.rootpath, self.path), by_header=True)

    def reportinfo(self) -> tuple[Path, None, str]:
        """The file, and the title of the test."""
        return self.path, None, f"replay of {self.path.name}"
