"""The command line: what it prints, and with which status it ends."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from kvparity import Comparison, Trace, trace_path
from kvparity.cli import COMMANDS, build_parser, main
from kvparity.commands.command import Command, Parser

KNOWN = """
[[known]]
pattern = "presence *: *still named this key as its owner*"
side = "reference"
reason = "the original drops re-set keys early"

[[known]]
pattern = "presence *: legacy-evicting dropped this live key *; fifo with * slots would still hold it"
side = "reference"
reason = "in the original a re-set uses up a slot"

[[known]]
pattern = "presence *: legacy-evicting still holds a key that *"
side = "reference"
reason = "the original keeps re-set keys longer"
"""


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line on stderr of a command that ends with status 2."""
    assert main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("kvparity: error: ")
    assert len(error.splitlines()) == 1
    return error


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds a `kvparity.toml` that it did not write."""
    monkeypatch.chdir(tmp_path)


# ---------------------------------------------------------------- status 0 and 1


def test_without_arguments_run_is_parity(capsys: pytest.CaptureFixture[str]) -> None:
    """The bundled trace and then mcts: at least 2,000 gets compared, no corruption, status 0."""
    assert main(["run"]) == 0
    verdict = capsys.readouterr().out.splitlines()[-1]
    assert verdict.startswith("PARITY: no corruption found; ")
    assert int(verdict.split("; ")[1].split(" gets compared")[0].replace(",", "")) >= 2000


def test_a_divergence_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    """The report groups by kind and names who is wrong."""
    assert main(["run", "pool-pressure", "--reference", "legacy-released", "--steps", "3000"]) == 1
    printed = capsys.readouterr().out
    assert "stale_hit (corruption) x" in printed
    assert "wrong: reference" in printed


@pytest.mark.parametrize(("fail_on", "status"), [("behaviour", 1), ("corruption", 0), ("never", 0)])
def test_fail_on_decides_what_counts(fail_on: str, status: int) -> None:
    """Differences of behaviour only count with `--fail-on behaviour`, which is the default."""
    assert main(["run", "revisit", "--steps", "1000", "--fail-on", fail_on, "--quiet"]) == status


def test_fail_on_never_lets_corruption_pass() -> None:
    """Corruption fails a command unless `--fail-on never` is given."""
    options = ["--reference", "legacy-released", "--steps", "3000", "--quiet"]
    assert main(["run", "pool-pressure", "--fail-on", "corruption", *options]) == 1
    assert main(["run", "pool-pressure", "--fail-on", "never", *options]) == 0


def test_quiet_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`--quiet` prints the verdict only."""
    assert main(["run", "mcts", "--steps", "500", "--quiet"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_several_workloads_have_one_verdict(tmp_path: Path) -> None:
    """The JSON result adds them up and keeps each."""
    path = tmp_path / "result.json"
    assert main(["run", "mcts", "reanalyze", "--steps", "500", "--quiet", "--json", str(path)]) == 0
    result = json.loads(path.read_text())
    assert result["workload"] == "mcts, reanalyze"
    assert sum(run["gets_compared"] for run in result["runs"]) == result["gets_compared"]


def test_the_json_result_has_the_published_fields(tmp_path: Path) -> None:
    """Programs may rely on these names and values."""
    path = tmp_path / "result.json"
    assert main(["run", "revisit", "--steps", "1000", "--seed", "3", "--quiet", "--json", str(path)]) == 1
    result = json.loads(path.read_text())
    assert result["schema"] == 1
    assert result["spec"] == {"env_num": 4, "init_pool_size": 4, "num_simulations": 6}
    assert (result["reference"], result["candidate"]) == ("legacy-evicting", "refactored-fifo")
    assert (result["workload"], result["seed"]) == ("revisit", 3)
    assert sum(result["operations"].values()) == 1000
    divergences = result["divergences"]
    assert divergences["total"] == divergences["unexpected"] == divergences["by_kind"]["presence"]
    assert divergences["by_severity"] == {"corruption": 0, "behaviour": divergences["total"]}
    assert divergences["by_side"]["reference"] == divergences["total"]
    assert result["first"][0]["kind"] == "presence"
    assert set(result["stats"]) == {"reference", "candidate"}
    assert set(result["stats"]["candidate"]) == {"init[0]", "init[1]", "init[2]", "init[3]", "recur", "wm"}
    assert result["timing"]["elapsed_s"] > 0


def test_a_report_is_a_page_and_the_result(tmp_path: Path) -> None:
    """`--report DIR` makes the folder, and writes both files."""
    folder = tmp_path / "deep" / "report"
    assert main(["run", "revisit", "--steps", "500", "--quiet", "--report", str(folder)]) == 1
    page = (folder / "index.html").read_text()
    assert "presence × " in page  # noqa: RUF001
    assert '<h1 id="verdict">DIVERGENCE</h1>' in page
    assert json.loads((folder / "result.json").read_text())["schema"] == 1


def test_known_differences_are_counted_and_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`kvparity.toml` in the working directory turns status 1 into 0, and the verdict does not say parity."""
    Path("kvparity.toml").write_text(KNOWN)
    path = tmp_path / "result.json"
    assert main(["run", "revisit", "--steps", "1000", "--quiet", "--json", str(path)]) == 0
    assert capsys.readouterr().out.startswith("ACCEPTED: ")
    divergences = json.loads(path.read_text())["divergences"]
    assert divergences["total"] > 0
    assert divergences["unexpected"] == 0
    assert sum(divergences["known"].values()) == divergences["total"]
    assert divergences["known"]["the original drops re-set keys early"] > 0


def test_a_tolerance_compares_too() -> None:
    """Equal caches are equal within any tolerance."""
    assert (
        main(["run", "mcts", "--steps", "500", "--quiet", "--compare", "tolerance", "--rtol", "0", "--atol", "0"]) == 0
    )


def test_a_recording_replays_to_the_same_result(tmp_path: Path) -> None:
    """A replay of what `--record` wrote has the same operations, comparisons and divergences."""
    trace, first, second = tmp_path / "a.kvtrace", tmp_path / "a.json", tmp_path / "b.json"
    assert main(["run", "revisit", "--steps", "1000", "--quiet", "--record", str(trace), "--json", str(first)]) == 1
    assert main(["replay", str(trace), "--quiet", "--json", str(second)]) == 1
    ran, replayed = (json.loads(path.read_text()) for path in (first, second))
    for name in ("spec", "operations", "gets_compared", "values_compared", "divergences", "first", "stats"):
        assert ran[name] == replayed[name], name
    answers = replayed["recorded_answers"]
    assert answers["given"] == answers["reproduced"] == replayed["gets_compared"]


def test_a_recording_may_keep_fingerprints_only(tmp_path: Path) -> None:
    """It is smaller, and its replay finds the same."""
    whole, small = tmp_path / "whole.kvtrace", tmp_path / "small.kvtrace"
    results = []
    for trace, tensors in ((whole, "full"), (small, "fingerprint")):
        options = ["--steps", "10000", "--quiet", "--reference", "legacy-released"]
        main(["run", "pool-pressure", *options, "--record", str(trace), "--tensors", tensors])
        path = tmp_path / "result.json"
        assert main(["replay", str(trace), "--quiet", "--reference", "legacy-released", "--json", str(path)]) == 1
        results.append(json.loads(path.read_text())["divergences"])
    assert small.stat().st_size < whole.stat().st_size / 4
    assert results[0] == results[1]


def test_steps_are_those_of_each_workload(tmp_path: Path) -> None:
    """`--steps` also limits the bundled trace, which comes first if no scenario is named."""
    path = tmp_path / "result.json"
    assert main(["run", "--steps", "200", "--quiet", "--json", str(path)]) == 0
    runs = json.loads(path.read_text())["runs"]
    assert [sum(run["operations"].values()) for run in runs] == [200, 200]


@pytest.mark.parametrize("command", [["run", "mcts"], ["replay", "cartpole-unizero"]])
def test_a_name_given_twice_counts_once(command: list[str], tmp_path: Path) -> None:
    """The same work is not done twice."""
    path, compared = tmp_path / "result.json", []
    for names in (command, [*command, command[-1]]):
        assert main([*names, "--steps", "300", "--quiet", "--json", str(path)]) == 0
        compared.append(json.loads(path.read_text())["gets_compared"])
    assert compared[0] == compared[1] > 0


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """`kvparity list` names caches, scenarios and bundled traces."""
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    for name in ("legacy-released", "refactored-priority", "numeric-edge", "cartpole-unizero-100sims"):
        assert name in printed


def test_python_runs_the_package() -> None:
    """`python -m kvparity` is `kvparity`, and `--version` is that of the installed package."""
    done = subprocess.run(
        [sys.executable, "-m", "kvparity", "--version"], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == f"kvparity {metadata.version('kvparity')}\n"


@pytest.mark.parametrize("command", [None, *(command.name for command in COMMANDS)])
def test_every_help_ends_with_an_example(command: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    """The example parses, and is an example of that command."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"] if command is None else [command, "--help"])
    assert ended.value.code == 0
    *_, heading, example = capsys.readouterr().out.splitlines()
    assert heading == "example:"
    program, *arguments = shlex.split(example)
    assert program == "kvparity"
    assert build_parser().parse_args(arguments).command.name == (command or "run")


def options_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """All arguments of a parser."""
    return [action for action in parser._actions if not isinstance(action, argparse._SubParsersAction)]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_option_says_what_it_does(command: Command) -> None:
    """No option is without a help text."""
    parser = Parser(example="")
    command.add_options(parser)
    assert [action.dest for action in options_of(parser) if not action.help] == []


# ---------------------------------------------------------------- status 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "mctss"], "there is no scenario 'mctss': did you mean mcts?"),
        (["run", "--candidate", "refactored-fif"], "there is no cache 'refactored-fif': did you mean refactored-fifo?"),
        (["run", "--steps", "-5"], "--steps: '-5' is not an integer of at least 1"),
        (["run", "--steps", "0"], "'0' is not an integer of at least 1"),
        (["run", "--steps", "many"], "'many' is not an integer of at least 1"),
        (["run", "--seed", "-1"], "'-1' is not an integer of at least 0"),
        (["run", "--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["replay"], "the following arguments are required: TRACE"),
        ([], "the following arguments are required: COMMAND"),
        (["replay", "nowhere.kvtrace"], "there is no trace 'nowhere.kvtrace'"),
        (["replay", "cartpole"], "Did you mean the bundled cartpole-unizero"),
        (["replay", "."], ". is a directory, not a trace file"),
        (["run", "--candidate", "no_such_module:Cache"], "No module named 'no_such_module'"),
        (["run", "--candidate", "support.doubles:Nothing"], "has no attribute 'Nothing'"),
        (["run", "--candidate", "json:dumps"], "json:dumps cannot be built with (config, env_num="),
        (["run", "--candidate", "builtins:list"], "builtins:list cannot be built"),
        (["run", "--candidate", "types:SimpleNamespace"], "cannot be built"),
        (["run", "--config", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["run", "--json", "nowhere/result.json"], "nowhere/result.json cannot be written"),
        (["run", "mcts", "revisit", "--record", "x.kvtrace"], "--record needs exactly one scenario"),
        (["run", "--record", "x.kvtrace"], "--record needs exactly one scenario"),
        (["run", "mcts", "--record", "nowhere/x.kvtrace"], "nowhere/x.kvtrace cannot be made"),
        (["compare-training", "--json", "nowhere/x.json", "x.py"], "nowhere/x.json cannot be written"),
        (["run", "mcts", "--json", "."], ". cannot be written: it is a directory"),
        (["run", "mcts", "--json", f"{'x' * 5000}/result.json"], "File name too long: 'xxx"),
        (["replay", "x" * 5000], "File name too long: 'xxx"),
        (["run", "mcts", "--steps", f"1{'0' * 24}"], f"is too large: expected {sys.maxsize} at most"),
        (["replay", "cartpole-unizero", "--steps", f"1{'0' * 24}"], "is too large: expected"),
        (["run", "mcts", "--patience", "1e300"], "'1e300' is too long: expected a year at most"),
        (["run", "mcts", "--patience", "inf"], "'inf' is too long: expected a year at most"),
        (["run", "mcts", "--patience", "1e-9"], "'1e-9' is too short: expected 0.01s at least, or none"),
        (["run", "mcts", "--patience", "500ms"], "'500ms' is not a time such as 90s, 5m or 2h"),
        (["fuzz", "--time", "5hs"], "'5hs' is not a time such as 90s, 5m or 2h"),
        (["fuzz", "--time", "s"], "'s' is not a time such as 90s, 5m or 2h"),
        (["bench", "mcts", "--entry", "1x1x1x99999999999999"], "'1x1x1x99999999999999' is too large: an entry has"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what is wrong and how to correct it, without a traceback, and the status is 2."""
    assert message in refused(capsys, *arguments)


def test_a_text_file_is_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """Its suffix makes no difference."""
    Path("notes.kvtrace").write_text("hello")
    assert "notes.kvtrace is not a kvparity trace" in refused(capsys, "replay", "notes.kvtrace")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_trace_is_an_error(share: float, capsys: pytest.CaptureFixture[str]) -> None:
    """It is an error wherever the file was cut."""
    whole = trace_path("cartpole-unizero").read_bytes()
    Path("cut.kvtrace").write_bytes(whole[: int(len(whole) * share)])
    assert "cut.kvtrace is" in refused(capsys, "replay", "cut.kvtrace")


def test_an_existing_recording_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """`--record` never overwrites."""
    Path("precious.kvtrace").write_text("precious")
    assert "exists already" in refused(capsys, "run", "mcts", "--record", "precious.kvtrace")
    assert Path("precious.kvtrace").read_text() == "precious"


@pytest.mark.parametrize("candidate", ["refactored-fif", "builtins:len"], ids=["there is none", "it cannot be built"])
def test_a_wrong_cache_leaves_no_recording(candidate: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The corrected command can write to the same file."""
    refused(capsys, "run", "mcts", "--candidate", candidate, "--record", "left.kvtrace")
    assert list(Path().iterdir()) == []
    assert main(["run", "mcts", "--steps", "100", "--quiet", "--record", "left.kvtrace"]) == 0


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["run", "mcts", "mctss"], "there is no scenario 'mctss'"),
        (["replay", "cartpole-unizero", "nowhere.kvtrace"], "there is no trace 'nowhere.kvtrace'"),
        (["replay", "cartpole-unizero", "cut.kvtrace"], "cut.kvtrace is incomplete"),
        (["replay", "cartpole-unizero", "memory://nowhere.kvtrace"], "memory://nowhere.kvtrace does not exist"),
    ],
)
def test_a_wrong_name_is_an_error_before_any_work(
    command: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The position of the wrong name makes no difference."""

    def work(*_: object, **__: object) -> None:
        raise AssertionError("work began")

    whole = trace_path("cartpole-unizero").read_bytes()
    Path("cut.kvtrace").write_bytes(whole[: len(whole) // 2])
    monkeypatch.setattr(Comparison, "_drive", work)
    assert message in refused(capsys, *command)


def test_what_was_found_is_printed_if_a_file_cannot_be_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict is printed although the file cannot be written."""

    def refuses(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kvparity.files._write", refuses)
    assert main(["run", "mcts", "--steps", "300", "--quiet", "--json", "result.json"]) == 2
    printed = capsys.readouterr()
    assert printed.out.startswith("PARITY: ")
    assert printed.err == "kvparity: error: result.json cannot be written: No space left on device\n"
    assert list(Path().iterdir()) == []


# ---------------------------------------------------------------- status 3


def test_an_interrupt_reports_what_was_found(tmp_path: Path) -> None:
    """Ctrl-C ends with status 3, a verdict on what was done so far, and a complete JSON result."""
    path = tmp_path / "result.json"
    trace = tmp_path / "mcts.kvtrace"
    options = ["run", "mcts", "--steps", "3000000", "--json", str(path), "--record", str(trace)]
    # Who starts the tests may ignore SIGINT (a shell does for its background jobs), and children inherit that.
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        " from kvparity.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    until = time.monotonic() + 60
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", program, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            while not _holds(trace.with_name("mcts.kvtrace-wal"), 1_000_000) and time.monotonic() < until:
                os.sched_yield()
            running.send_signal(signal.SIGINT)
            printed, error = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 3, error
    assert printed.splitlines()[-1].startswith("INTERRUPTED: no corruption found so far; ")
    assert json.loads(path.read_text())["interrupted"] is True
    with Trace(trace) as opened:
        assert opened.header.complete
        assert opened[len(opened) - 1].number > 0


def _holds(path: Path, size_bytes: int) -> bool:
    try:
        return path.stat().st_size >= size_bytes
    except FileNotFoundError:
        return False


def test_a_closed_pipe_is_no_error() -> None:
    """`kvparity list | head` ends quietly."""
    command = f"{sys.executable} -m kvparity list | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)  # noqa: S602
    assert done.stderr == ""


def ended(*arguments: str, stdout: int) -> tuple[int, str]:
    """Run a command in a process that prints to `stdout`. Returns its status and its stderr."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "kvparity", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_closed_pipe_changes_neither_status_nor_files() -> None:
    """If nobody reads what is printed, the status is still right, and the files are complete."""
    read, write = os.pipe()
    os.close(read)
    try:
        assert ended("run", "mcts", "--steps", "300", "--json", "same.json", stdout=write) == (0, "")
        assert ended("run", "revisit", "--steps", "600", "--json", "other.json", stdout=write) == (1, "")
        assert ended("verdict", "same.json", "--json", "verdict.json", stdout=write) == (4, "")
    finally:
        os.close(write)
    for name in ("same.json", "other.json", "verdict.json"):
        assert json.loads(Path(name).read_text())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_under_stdout_is_one_line() -> None:
    """The files, which may be on another disk, are complete."""
    with Path("/dev/full").open("w") as full:
        status, error = ended("run", "mcts", "--steps", "300", "--json", "same.json", stdout=full.fileno())
    assert (status, error) == (2, "kvparity: error: the output cannot be written: No space left on device\n")
    assert json.loads(Path("same.json").read_text())["gets_compared"]


def test_an_error_that_nobody_reads_keeps_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """`kvparity ... 2>&1 | true` with bad input is status 2."""

    def write(_: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(sys.stderr, "write", write)
    assert main(["run", "mctss"]) == 2
