"""The pytest plugin: what fails, with which message, and that it costs nothing if it is not used."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING

import pytest

from kvparity.contract import SPEC
from kvparity.driving.comparison import Comparison
from kvparity.operations import RECUR, Get, Set, init
from kvparity.traces.reader import Trace
from kvparity.traces.writer import TraceWriter
from kvparity.values.entry import KeysValues

if TYPE_CHECKING:
    from pathlib import Path

    from kvparity.operations import Operation

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("loaded")

SHADOWED = """
    from kvparity import RECUR, KeysValues, init

    def value(number):
        value = KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=2, head_dim=2, size=1)
        value._row.fill_(number)
        return value

    def set_twice(cache):
        for number, key in enumerate([1, 1, 2, 3]):
            cache.set(init(0), key, value(number))
        cache.get(init(0), 1)
"""


def plain(number: float) -> KeysValues:
    """A small value that is like no other number's."""
    value = KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=2, head_dim=2, size=1)
    value._row.fill_(number)
    return value


RESET_QUIRK: list[Operation] = [
    *(Set(pool=init(0), key=key, value=plain(number)) for number, key in enumerate([1, 1, 2, 3])),
    Get(pool=init(0), key=1),
]


def trace(path: Path, operations: list[Operation], *, served_by: str = "", candidate: str | None = None) -> None:
    """A recorded trace of those operations."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TraceWriter(path, served_by=served_by or "refactored-fifo", candidate=candidate) as writer:
        stream = writer.stream("search", SPEC)
        for operation in operations:
            writer.record(stream, operation)


def text_of(result: pytest.RunResult) -> str:
    """All that was printed."""
    return "\n".join(result.outlines)


def shows_no_traceback(result: pytest.RunResult) -> bool:
    """Whether not one line of our source, nor of pytest's traceback, is shown."""
    return not any(sign in text_of(result) for sign in ("Traceback", "pytest_plugin.py", ">   ", "harness/"))


# ---------------------------------------------------------------------- unused


def test_costs_nothing_where_it_is_not_used(pytester: pytest.Pytester) -> None:
    """A test run that uses none of it ends without torch, numpy or hypothesis."""
    pytester.makepyfile("def test_trivial(): pass")
    pytester.makeconftest(
        """
        import sys

        def pytest_unconfigure(config):
            heavy = {"torch", "numpy", "hypothesis", "kvparity.contract", "kvparity.registry"} & set(sys.modules)
            print("plugin:", config.pluginmanager.hasplugin("kvparity"), "loaded:", sorted(heavy))
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest")  # which would load it
    result.stdout.fnmatch_lines(["plugin: True loaded: []"])
    result.assert_outcomes(passed=1)


def test_the_marker_and_the_options_are_explained(pytester: pytest.Pytester) -> None:
    """`--markers` and `--help` name them."""
    pytester.runpytest_inprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.kvtrace(trace, ...): replay*"])
    pytester.runpytest_inprocess("--help").stdout.fnmatch_lines(
        ["*--kv-reference=NAME*", "*--kv-candidate=NAME*", "*kv_reference*", "*kv_candidate*", "*kv_regressions*"]
    )


# ---------------------------------------------------------------------- kv_shadow


def test_a_shadow_without_divergence_passes(pytester: pytest.Pytester) -> None:
    """Caches that agree fail nothing."""
    pytester.makepyfile(SHADOWED + "\n    def test_it(kv_shadow): set_twice(kv_shadow)")
    result = pytester.runpytest_inprocess("--kv-reference=refactored-fifo", "--kv-candidate=refactored-fifo")
    result.assert_outcomes(passed=1)


def test_a_divergence_fails_the_test_and_says_why(pytester: pytest.Pytester) -> None:
    """In its call phase, in the harness's words and without a traceback."""
    pytester.makepyfile(SHADOWED + "\n    def test_it(kv_shadow): set_twice(kv_shadow)")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "presence (behaviour): the reference legacy-evicting is wrong",
            "  operation  4 of kv_shadow: get of key 0x0000000000000001 in init[[]0]",
            "  reference  legacy-evicting: miss",
            "  candidate  refactored-fifo: hit *",
            "  why        legacy-evicting dropped this live key at operation *",
            "FAILED *::test_it - Failed: pr*",
        ]
    )
    assert shows_no_traceback(result)


def test_a_failure_counts_the_others_and_shows_the_tensors(pytester: pytest.Pytester) -> None:
    """The first corruption comes with its difference, and the rest is counted by kind."""
    pytester.makepyfile(
        SHADOWED
        + """
    def test_it(kv_shadow):
        for key in range(3):
            kv_shadow.set(RECUR, key, value(key + 1))
            kv_shadow.get(RECUR, key)
    """
    )
    result = pytester.runpytest_inprocess("--kv-candidate=fault:forgets-v")
    result.stdout.fnmatch_lines(
        [
            "stale_hit (corruption): the candidate fault:forgets-v is wrong",
            "  tensors    layer 0, V: Tensor-likes are not equal!",
            "             Mismatched elements: 4 / 4 (100.0%)",
            "  more       2 more; all: stale_hit x 3 (wrong: candidate)",
        ]
    )


def test_statistics_are_checked_when_the_body_is_done(pytester: pytest.Pytester) -> None:
    """A counter that is wrong fails a test in which every answer was right."""
    pytester.makepyfile(SHADOWED + "\n    def test_it(kv_shadow): kv_shadow.get(RECUR, 1)")
    pytester.makepyfile(
        counting="""
        from kvparity import PoolStats
        from kvparity_scenarios.correct_cache import CorrectCache

        class Lies(CorrectCache):
            def stats(self, pool):
                return PoolStats(hits=7)
        """
    )
    result = pytester.runpytest_inprocess("--kv-candidate=counting:Lies")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["stats (behaviour): the candidate counting:Lies is wrong"])


def test_a_failing_body_is_shown_with_the_divergences_beside_it(pytester: pytest.Pytester) -> None:
    """Its own assertion is the failure; what the caches did is a section of the report."""
    pytester.makepyfile(
        SHADOWED
        + """
    def test_it(kv_shadow):
        set_twice(kv_shadow)
        assert 1 + 1 == 3
    """
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E * assert (1 + 1) == 3", "*Captured kvparity call*", "presence (behaviour): *"])


ACCEPTED = 'pattern = "presence *: *still named this key as its owner*"\nside = "reference"\nreason = "a quirk"\n'


@pytest.mark.parametrize(("file", "table"), [("kvparity.toml", "known"), ("pyproject.toml", "tool.kvparity.known")])
def test_a_known_difference_fails_nothing(pytester: pytest.Pytester, file: str, table: str) -> None:
    """What the settings in rootdir accept is accepted here too, wherever pytest is started."""
    pytester.makeini("[pytest]\n")
    (pytester.path / file).write_text(f"[[{table}]]\n{ACCEPTED}")
    below = pytester.path / "below"
    below.mkdir()
    (below / "test_it.py").write_text(textwrap.dedent(SHADOWED + "\n    def test_it(kv_shadow): set_twice(kv_shadow)"))
    pytester.runpytest_inprocess("below").assert_outcomes(passed=1)
    os.chdir(below)
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_settings_come_from_one_file(pytester: pytest.Pytester) -> None:
    """As for the command: where kvparity.toml is, pyproject.toml says nothing."""
    pytester.makepyfile(SHADOWED + "\n    def test_it(kv_shadow): set_twice(kv_shadow)")
    pytester.makepyprojecttoml(f"[[tool.kvparity.known]]\n{ACCEPTED}")
    (pytester.path / "kvparity.toml").touch()
    pytester.runpytest_inprocess().assert_outcomes(failed=1)


def test_settings_that_are_not_understood_are_one_line(pytester: pytest.Pytester) -> None:
    """Which names the file and the table."""
    pytester.makepyfile("def test_it(kv_shadow): pass")
    pytester.makepyprojecttoml("[tool.kvparity]\nknow = []\n")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*pyproject.toml [[]tool.kvparity]: expected [[][[]known]] tables, *, found know"])
    assert shows_no_traceback(result)


def test_a_test_module_says_how_large_the_caches_are(pytester: pytest.Pytester) -> None:
    """By a `kv_spec` of its own."""
    pytester.makepyfile(
        """
        import pytest
        from kvparity import CacheSpec

        @pytest.fixture
        def kv_spec():
            return CacheSpec(env_num=5)

        def test_it(kv_shadow):
            assert kv_shadow.spec.env_num == 5
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_the_option_comes_before_the_ini_file_before_the_default(pytester: pytest.Pytester) -> None:
    """For each side by itself."""
    pytester.makeini("[pytest]\nkv_reference = refactored-lru\nkv_candidate = refactored-priority\n")
    pytester.makepyfile(
        """
        def test_names(kv_shadow):
            assert (kv_shadow.reference.name, kv_shadow.candidate.name) == ("refactored-lru", "legacy-evicting")
        """
    )
    pytester.runpytest_inprocess("--kv-candidate=legacy-evicting").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("candidate", "line"),
    [
        ("nonsense", "there is no cache 'nonsense': did you mean *? `kvparity list` names all; package.module:*"),
        ("broken:Cache", "broken:Cache cannot be built with (config, env_num=2): RuntimeError: no memory left"),
        ("broken:number", "broken:number is not a cache: it is a int, expected a class or factory called with *"),
    ],
)
def test_a_cache_that_cannot_be_built_is_one_line(pytester: pytest.Pytester, candidate: str, line: str) -> None:
    """Without a traceback of ours."""
    pytester.makepyfile(
        broken="number = 3\nclass Cache:\n    def __init__(self, config, env_num):\n"
        "        raise RuntimeError('no memory\\nleft')\n"
    )
    pytester.makepyfile("def test_it(kv_shadow): pass")
    result = pytester.runpytest_inprocess(f"--kv-candidate={candidate}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([line])
    assert shows_no_traceback(result)


# ---------------------------------------------------------------------- the marker


def test_a_trace_is_replayed_before_the_body(pytester: pytest.Pytester) -> None:
    """Its result is `kv_result`: of several traces, the sum; found beside the test, in rootdir, or bundled."""
    trace(pytester.path / "sub" / "beside.kvtrace", RESET_QUIRK)
    trace(pytester.path / "in_root.kvtrace", RESET_QUIRK)
    test = pytester.path / "sub" / "test_traces.py"
    test.write_text(
        "import pytest\n\n"
        "@pytest.mark.kvtrace('beside.kvtrace', 'in_root.kvtrace', 'cartpole-unizero')\n"
        "def test_three(kv_result):\n"
        "    assert kv_result.workload == 'beside.kvtrace, in_root.kvtrace, cartpole-unizero'\n"
        "    assert kv_result.gets_compared == 1 + 1 + 1398\n"
    )
    pytester.runpytest_inprocess("--kv-reference=refactored-fifo").assert_outcomes(passed=1)


def test_a_trace_that_diverges_fails_the_test(pytester: pytest.Pytester) -> None:
    """The failure names the command that shows it again, whether the test uses the result or not."""
    trace(pytester.path / "small one.kvtrace", RESET_QUIRK)
    pytester.makepyfile("import pytest\n@pytest.mark.kvtrace('small one.kvtrace')\ndef test_it(): pass")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "  operation  4 of small one.kvtrace: get of key *",
            "  repeat     kvparity replay 'small one.kvtrace' --reference legacy-evicting --candidate refactored-fifo",
        ]
    )
    assert shows_no_traceback(result)


@pytest.mark.parametrize(
    ("marked", "line"),
    [
        (
            "@pytest.mark.kvtrace('absent.kvtrace')",
            "there is no trace 'absent.kvtrace' in *, in *, or among the bundled traces cartpole-unizero, *",
        ),
        ("@pytest.mark.kvtrace('foreign.kvtrace')", "* is not a kvparity trace: it does not begin like an SQLite *"),
        (
            "@pytest.mark.kvtrace('sets.kvtrace')",
            "sets.kvtrace compares nothing: none of its 1 operations is a lookup, *",
        ),
        ("@pytest.mark.kvtrace()", "@pytest.mark.kvtrace takes the names of traces, as in kvtrace('FILE.kvtrace')"),
        ("", "kv_result needs a trace: mark the test with @pytest.mark.kvtrace('FILE.kvtrace')"),
    ],
)
def test_a_marker_that_cannot_be_followed_is_one_line(pytester: pytest.Pytester, marked: str, line: str) -> None:
    """A file that is not there, that is no trace, that compares nothing, and no file at all."""
    (pytester.path / "foreign.kvtrace").write_text("something else")
    trace(pytester.path / "sets.kvtrace", [Set(pool=RECUR, key=1, value=plain(1))])
    pytester.makepyfile(f"import pytest\n{marked}\ndef test_it(kv_result): pass")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([line])
    assert shows_no_traceback(result)


def test_a_skipped_test_replays_nothing(pytester: pytest.Pytester) -> None:
    """Not even a trace that is not there is looked for."""
    pytester.makepyfile("import pytest\n@pytest.mark.skip\n@pytest.mark.kvtrace('absent')\ndef test_it(): pass")
    pytester.runpytest_inprocess().assert_outcomes(skipped=1)


# ---------------------------------------------------------------------- the regression folder


def test_a_trace_in_the_regression_folder_is_a_test(pytester: pytest.Pytester) -> None:
    """One that passes where both caches agree; traces elsewhere are none."""
    trace(pytester.path / "tests" / "regressions" / "deep" / "good.kvtrace", RESET_QUIRK, served_by="refactored-fifo")
    trace(pytester.path / "tests" / "other.kvtrace", RESET_QUIRK)
    result = pytester.runpytest_inprocess("-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["tests/regressions/deep/good.kvtrace::replay PASSED*"])


def test_a_regression_says_what_and_how_to_look_at_it(pytester: pytest.Pytester) -> None:
    """The trace, both caches as its header names them, the divergence and the command."""
    path = pytester.path / "tests" / "regressions" / "bad.kvtrace"
    trace(path, RESET_QUIRK, served_by="legacy-evicting", candidate="refactored-lru")
    pytester.makeini("[pytest]\nkv_reference = refactored-fifo\nkv_candidate = refactored-fifo\n")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*replay of bad.kvtrace*",
            "presence (behaviour): the reference legacy-evicting is wrong",
            "  operation  4 of tests/regressions/bad.kvtrace: *",
            "  candidate  refactored-lru: hit *",
            "  repeat     kvparity replay tests/regressions/bad.kvtrace --reference legacy-evicting --candidate *-lru",
        ]
    )
    assert shows_no_traceback(result)


def test_a_regression_is_put_to_the_cache_that_is_asked_for(pytester: pytest.Pytester) -> None:
    """The option comes before the header, and the ini file where the header names no candidate."""
    folder = pytester.path / "tests" / "regressions"
    trace(folder / "a.kvtrace", RESET_QUIRK, served_by="legacy-evicting", candidate="fault:forgets-v")
    trace(folder / "b.kvtrace", RESET_QUIRK, served_by="refactored-fifo")
    pytester.makeini("[pytest]\nkv_candidate = fault:forgets-v\n")
    asked = pytester.runpytest_inprocess("--kv-reference=refactored-fifo", "--kv-candidate=refactored-lru")
    asked.assert_outcomes(passed=2)
    unasked = pytester.runpytest_inprocess()
    unasked.assert_outcomes(failed=2)
    assert unasked.outlines.count("stale_hit (corruption): the candidate fault:forgets-v is wrong") == 2


def test_regression_folders_are_the_projects_choice(pytester: pytest.Pytester) -> None:
    """Those of `kv_regressions` count, and then the default one no more."""
    for folder in ("one", "two/deep", "tests/regressions"):
        trace(pytester.path / folder / "a.kvtrace", RESET_QUIRK)
    pytester.makeini("[pytest]\nkv_regressions = one two\n")
    pytester.runpytest_inprocess().assert_outcomes(passed=2)


def test_a_regression_folder_that_is_not_there_is_an_error(pytester: pytest.Pytester) -> None:
    """A misspelt folder would test nothing, and nobody would know."""
    pytester.makeini("[pytest]\nkv_regressions = tests/regresions\n")
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*kv_regressions names 'tests/regresions', but the folder * does not exist"])


@pytest.mark.parametrize(
    ("operations", "served_by", "line"),
    [
        (
            [Set(pool=RECUR, key=1, value=plain(1))],
            "refactored-fifo",
            "tests/regressions/a.kvtrace compares nothing: none of its 1 operations is a lookup, so it would pass *",
        ),
        (
            RESET_QUIRK,
            "the-training",
            "there is no cache 'the-training': *; tests/regressions/a.kvtrace names it, and --kv-reference or *",
        ),
    ],
    ids=["no-lookup", "no-such-cache"],
)
def test_a_regression_that_tests_nothing_fails(
    pytester: pytest.Pytester, operations: list[Operation], served_by: str, line: str
) -> None:
    """One that compares nothing, and one whose cache cannot be found."""
    trace(pytester.path / "tests" / "regressions" / "a.kvtrace", operations, served_by=served_by)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([line])
    assert shows_no_traceback(result)


def test_a_regression_that_is_no_trace_fails_in_one_line(pytester: pytest.Pytester) -> None:
    """As any file that cannot be read."""
    folder = pytester.path / "tests" / "regressions"
    folder.mkdir(parents=True)
    (folder / "a.kvtrace").write_text("something else")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*a.kvtrace is not a kvparity trace: it does not begin like an SQLite database"])
    assert shows_no_traceback(result)


MACHINE = """
    from hypothesis import Phase, settings
    from kvparity import Comparison
    from kvparity_scenarios.machine import CacheMachine

    class Machine(CacheMachine):
        comparison = Comparison("refactored-fifo", "fault:forgets-sizes")

    TestMachine = Machine.TestCase
    TestMachine.settings = settings(deadline=None, database=None, derandomize=True, phases=[Phase.generate])
"""


def test_what_a_state_machine_finds_is_kept(pytester: pytest.Pytester) -> None:
    """As a trace that shows it, which the report names; the failure itself is a program."""
    pytester.makepyfile(test_it=MACHINE)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    kept_in = "its operations are kept in *test_it_py_TestMachine_runTest-????????????????-1.kvtrace"
    result.stdout.fnmatch_lines(["*driver.apply(Set(pool=*", kept_in])
    [kept] = pytester.path.rglob("*.kvtrace")
    with Trace(kept) as trace:
        assert "test_it.py::TestMachine::runTest" in trace.header.note
        found = Comparison("refactored-fifo", "fault:forgets-sizes").trace(trace, workload="kept")
    assert found.by_kind["size"] == 1


def test_what_several_state_machines_find_is_kept_under_names_of_their_own(pytester: pytest.Pytester) -> None:
    """Wherever they lie, and however alike their names look once they are file names; none of them is too long."""
    deep = f"{'deep_' * 40}/{'deeper_' * 28}"
    for name in ("a/test_it.py", "b/test_it.py", "b_test_it.py", f"{deep}/test_it.py"):
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(MACHINE))
    result = pytester.runpytest_inprocess("--import-mode=importlib", "-o", "python_files=*test_it.py")
    result.assert_outcomes(failed=4)
    kept = {line.rpartition("/")[2] for line in result.outlines if " are kept in " in line}
    assert kept == {path.name for path in pytester.path.rglob("*.kvtrace")}
    assert len(kept) == 4
    assert all(len(name) < 128 for name in kept)
