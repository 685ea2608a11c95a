"""Campaigns: how work is split, that every engine gets the same result, and what happens when workers die."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

from kvparity import Comparison, Trace, UsageError
from kvparity.campaign import Done, Folder, Local, Lost, Setting, attempt, comparable, examples, run, trace_parts
from kvparity.campaign.tasks import digest
from kvparity.cli import main
from kvparity.registry import trace_path
from kvparity.report import verdict_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kvparity.campaign import Task

CARTPOLE = "cartpole-unizero"
HERE = str(Path(__file__).parents[1])


def setting(candidate: str = "refactored-lru", **options: Any) -> Setting:
    """The setting of a campaign whose caches may be in this folder."""
    fields: dict[str, Any] = {"tolerance": None, "known": (), "patience_s": 60.0, "folder": HERE, "inputs": {}}
    return Setting(reference="refactored-fifo", candidate=candidate, **(fields | options))


class Here:
    """An engine that does all tasks in this process, in a given order, and remembers them."""

    def __init__(self, order: slice = slice(None), *, stop_after: int | None = None) -> None:
        self.given: list[Task] = []
        self._order = order
        self._stop_after = stop_after

    def run(self, setting: Setting, tasks: Sequence[Task]) -> Iterator[tuple[Task, Done | Lost]]:
        self.given = list(tasks)
        for number, task in enumerate(tasks[self._order]):
            if number == self._stop_after:
                raise KeyboardInterrupt
            yield task, attempt(setting, task)


# ---------------------------------------------------------------------- how work is cut


def test_examples_are_split_into_ranges_with_seeds_of_their_own() -> None:
    """Every example is in one range, and the ranges depend on the count and the seed only."""
    cut = examples(250, seed=7)
    assert [(each.first, each.count) for each in cut] == [(1, 100), (101, 100), (201, 50)]
    assert len({each.seed for each in cut}) == 3
    assert cut == examples(250, seed=7)
    assert not {each.seed for each in cut} & {each.seed for each in examples(250, seed=8)}


def test_a_trace_is_split_by_stream() -> None:
    """Each stream is a task, because streams belong to caches of different models."""
    parts = trace_parts([CARTPOLE], steps=None)
    assert [(part.stream, part.title) for part in parts] == [
        (0, f"{CARTPOLE}, stream 0 (learn+collect+eval)"),
        (1, f"{CARTPOLE}, stream 1 (target)"),
    ]


def test_a_trace_behind_a_url_is_one_task() -> None:
    """Only the worker that replays it fetches it."""
    with fsspec.open("memory://elsewhere/part.kvtrace", "wb") as file:
        file.write(b"no trace at all, which nobody has looked at yet")
    [part] = trace_parts(["memory://elsewhere/part.kvtrace"], steps=5)
    assert (part.stream, part.title, part.steps) == (None, "memory://elsewhere/part.kvtrace", 5)


def test_the_streams_of_a_trace_add_up_to_the_whole(tmp_path: Path) -> None:
    """Operations, lookups, divergences and statistics are those of one replay of the whole trace."""
    for steps in (None, 2000):
        parts = run(setting(), trace_parts([CARTPOLE], steps=steps), Here(), Folder(tmp_path, setting()))
        with Trace(trace_path(CARTPOLE)) as trace:
            whole = Comparison("refactored-fifo", "refactored-lru").trace(trace, workload=CARTPOLE, steps=steps)
        assert parts.operations == whole.operations
        assert (parts.gets_compared, parts.values_compared) == (whole.gets_compared, whole.values_compared)
        assert (parts.by_group, parts.stats) == (whole.by_group, whole.stats)


def test_a_result_is_kept_under_everything_that_it_depends_on() -> None:
    """Another cache, source, version, trace or number of steps gives another name."""
    [part, other] = trace_parts([CARTPOLE], steps=None)
    digests = [
        digest(setting(), part),
        digest(setting(), other),
        digest(setting("refactored-priority"), part),
        digest(setting(inputs={"torch": "2.13.0"}), part),
        digest(setting(patience_s=None), part),
        digest(setting(), replace(part, identity="changed")),
        digest(setting(), replace(part, steps=10)),
        *(digest(setting(), each) for each in examples(200, seed=0)),
    ]
    assert len(set(digests)) == len(digests)
    assert digest(setting(), part) == digests[0]


# ---------------------------------------------------------------------- the result


def test_the_order_in_which_tasks_end_changes_nothing(tmp_path: Path) -> None:
    """Results are added up in the order of the tasks."""
    tasks = trace_parts([CARTPOLE, CARTPOLE], steps=400)
    results = [
        comparable(run(setting(), tasks, Here(order), Folder(tmp_path / name, setting())).as_dict())
        for name, order in (("forward", slice(None)), ("backward", slice(None, None, -1)))
    ]
    assert results[0] == results[1]


def test_a_comparison_leaves_out_times_only() -> None:
    """One more divergence is a difference, one more second is not."""
    result = json.loads(attempt(setting(), trace_parts([CARTPOLE], steps=400)[0]).result)  # type: ignore[union-attr]
    slower = {**result, "timing": {"elapsed_s": 1e9}, "latencies": {}, "timeline": {}, "provenance": {}}
    assert comparable(slower) == comparable(result)
    assert comparable({**result, "gets_compared": 0}) != comparable(result)
    assert comparable({"runs": [slower]}) == comparable({"runs": [result]})


def test_an_interrupted_campaign_continues(tmp_path: Path) -> None:
    """Finished tasks are not done again, and the sum is that of a campaign without an interrupt."""
    tasks = trace_parts([CARTPOLE, "cartpole-unizero-100sims"], steps=300)
    folder = Folder(tmp_path / "kept", setting())
    first = run(setting(), tasks, Here(stop_after=1), folder)
    assert first.interrupted
    assert first.missing == [f"{task} (interrupted before its end)" for task in tasks[1:]]
    rest = Here()
    result = run(setting(), tasks, rest, folder)
    assert rest.given == tasks[1:]
    assert not result.interrupted
    whole = run(setting(), tasks, Here(), Folder(tmp_path / "whole", setting()))
    assert comparable(result.as_dict()) == comparable(whole.as_dict())


def test_unfinished_tasks_are_listed(tmp_path: Path) -> None:
    """Failed tasks come first, with the reason, then eight unfinished tasks, then the number of the others."""
    url = "memory://bad.kvtrace"
    with fsspec.open(url, "wb") as file:
        file.write(b"nonsense")
    tasks = [*trace_parts([url], steps=None), *examples(2000, seed=0)]
    lost, *undone, others = run(setting(), tasks, Here(stop_after=1), Folder(tmp_path, setting())).missing
    assert lost.startswith(f"{url} (TraceError: ")
    assert undone == [f"{task} (interrupted before its end)" for task in tasks[1:9]]
    assert others == "12 more (interrupted likewise)"


def test_a_half_written_task_is_done_again(tmp_path: Path) -> None:
    """The result is written last, so files without a result do not count."""
    folder = Folder(tmp_path, setting())
    [task] = examples(1, seed=0)
    folder.files(task).mkdir()
    assert task not in folder
    folder.keep(task, Done(result="{}", files={"a": b"b"}))
    assert task in folder
    assert (folder.files(task) / "a").read_bytes() == b"b"


def test_one_bad_trace_ends_no_campaign(tmp_path: Path) -> None:
    """It is listed as missing, the status is 1, and the other tasks have their results."""
    url = "memory://bad.kvtrace"
    with fsspec.open(url, "wb") as file:
        file.write(b"nonsense")
    tasks = trace_parts([url, CARTPOLE], steps=100)
    result = run(setting(), tasks, Here(), Folder(tmp_path, setting()))
    assert len(result.runs) == 2
    [missing] = result.missing
    assert missing.startswith(f"{url} (TraceError: ")
    assert result.fails("corruption")


@pytest.mark.parametrize("content", ["cut short", "no trace", "a folder"])
def test_a_file_that_cannot_be_read_ends_no_campaign(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is listed as missing, the status is 1, and the other tasks have their results."""
    monkeypatch.chdir(tmp_path)
    bad = Path("bad.kvtrace")
    if content == "a folder":
        bad.mkdir()
    else:
        bad.write_bytes(b"nonsense" if content == "no trace" else trace_path(CARTPOLE).read_bytes()[:100_000])
    command = ["replay", CARTPOLE, str(bad), "--steps", "200", "--reference", "refactored-fifo"]
    assert main([*command, "--jobs", "1", "--quiet", "--json", "result.json"]) == 1
    result = json.loads(Path("result.json").read_text())
    [missing] = result["missing"]
    assert missing.startswith("bad.kvtrace (TraceError: ")
    assert sum(result["operations"].values()) == 200


def test_a_campaign_without_any_result_is_incomplete(tmp_path: Path) -> None:
    """A campaign without results is never parity."""
    url = "memory://bad.kvtrace"
    with fsspec.open(url, "wb") as file:
        file.write(b"nonsense")
    result = run(setting(), trace_parts([url], steps=None), Here(), Folder(tmp_path, setting()))
    assert str(verdict_line(result, fail_on="behaviour")).startswith("INCOMPLETE: no result of memory://bad.kvtrace (")


# ---------------------------------------------------------------------- real processes


def test_a_task_whose_worker_dies_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed once, it still has a result, and so have the other tasks."""
    monkeypatch.setenv("KVPARITY_TEST_MARK", str(tmp_path / "mark"))
    tasks = trace_parts([CARTPOLE], steps=200)
    dying = setting("support.deadly:DiesOnce")
    result = run(dying, tasks, Local(1), Folder(tmp_path / "kept", dying))
    assert (tmp_path / "mark").exists()
    assert result.missing == []
    assert result.operations_total == 200
    assert result.total == 0


def test_a_task_that_kills_every_worker_is_missing(tmp_path: Path) -> None:
    """It is tried three times, then listed with how its worker died."""
    tasks = trace_parts([CARTPOLE], steps=200)[:1]
    dying = setting("support.deadly:Dies")
    seen: list[int] = []
    result = run(dying, tasks, Local(2), Folder(tmp_path, dying), progress=seen.append)
    assert result.missing == [f"{tasks[0]} (its worker died 3 times, at last with exit status 3)"]
    assert seen == [0, 1]


@pytest.mark.parametrize(
    "task", [trace_parts([CARTPOLE], steps=200)[0], examples(5, seed=0)[0]], ids=lambda task: type(task).__name__
)
def test_a_candidate_that_hangs_blocks_no_worker(task: Task, tmp_path: Path) -> None:
    """Its call is ended after `--patience`, and the task has a result."""
    hanging = setting("support.deadly:Hangs", patience_s=0.2)
    result = run(hanging, [task], Local(1), Folder(tmp_path, hanging))
    assert result.missing == []
    assert any("is not asked again" in each.candidate for each in result.kept)


def test_ctrl_c_ends_a_campaign_that_the_same_command_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The status is 3, finished tasks are reported, and none is done twice."""
    monkeypatch.setenv("KVPARITY_TEST_MARK", str(tmp_path / "mark"))
    monkeypatch.chdir(HERE)
    kept, whole = tmp_path / "kept", tmp_path / "whole"
    caches = ["--reference", "refactored-fifo", "--candidate", "support.deadly:Interrupts", "--quiet"]
    command = ["replay", CARTPOLE, "--jobs", "1", *caches, "--campaign"]
    assert main([*command, str(kept)]) == 3
    undone = f"{CARTPOLE}, stream 1 (target) (interrupted before its end)"
    assert f"no result of {undone}; no corruption found" in capsys.readouterr().out
    [first] = kept.glob("*.json")
    written = first.stat().st_mtime_ns
    assert main([*command, str(kept), "--json", str(tmp_path / "a.json")]) == 0
    assert len(list(kept.glob("*.json"))) == 2
    assert first.stat().st_mtime_ns == written
    assert main([*command, str(whole), "--json", str(tmp_path / "b.json")]) == 0
    a, b = (comparable(json.loads((tmp_path / name).read_text())) for name in ("a.json", "b.json"))
    assert a == b


def test_fuzzing_as_a_campaign_keeps_each_finding_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same finding of several tasks is kept once, and the result counts all examples."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kvparity.campaign.tasks.EXAMPLES_AT_ONCE", 20)
    command = ["fuzz", "--candidate", "fault:forgets-v", "--reference", "refactored-fifo", "--examples", "30"]
    assert main([*command, "--seed", "5", "--jobs", "2", "--json", "result.json", "-o", "found"]) == 1
    result = json.loads(Path("result.json").read_text())
    assert (result["workload"], result["seed"], result["fuzzing"]["examples"]) == ("fuzz", 5, 30)
    assert "runs" not in result
    cases = result["fuzzing"]["cases"]
    assert cases
    assert len({case["trace"] for case in cases}) == len(cases)
    assert Counter(path.suffix for path in Path("found").iterdir()) == {".kvtrace": len(cases), ".py": len(cases)}
    assert capsys.readouterr().out.count("found: ") == len(cases)


@pytest.mark.parametrize(
    "command",
    [
        ["replay", CARTPOLE, "cartpole-unizero-100sims", "--steps", "3000"],
        ["fuzz", "--candidate", "refactored-lru", "--examples", "30", "--seed", "3"],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_two_workers_get_the_same_result(command: list[str], engine: str, tmp_path: Path) -> None:
    """The result is that of one process, bit by bit, except for times."""
    if engine == "ray":
        pytest.importorskip("ray", reason="Ray is an extra")
    results, statuses = [], []
    for jobs in ("1", "2"):
        path = tmp_path / f"{jobs}.json"
        who = ["--jobs", "1"] if jobs == "1" else ["--engine", engine, "--jobs", jobs]
        line = [sys.executable, "-m", "kvparity", *command, *who, "--quiet", "--json", str(path)]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603
        assert done.stderr == ""
        statuses.append(done.returncode)
        results.append(comparable(json.loads(path.read_text())))
    assert results[0] == results[1]
    assert statuses[0] == statuses[1]


def test_who_starts_a_campaign_changes_nothing(tmp_path: Path) -> None:
    """Hypothesis draws numbers from the sources of loaded modules, but not from the program that starts the workers."""
    (tmp_path / "start.py").write_text(
        "import sys\nfrom kvparity.cli import main\nNUMBER = 987654321\n\n"
        "if __name__ == '__main__':\n    sys.exit(main())\n"
    )
    options = ["fuzz", "--candidate", "refactored-lru", "--examples", "30", "--seed", "3", "--jobs", "1", "--quiet"]
    results = []
    for start in (["-m", "kvparity"], ["start.py"]):
        line = [sys.executable, *start, *options, "--json", "result.json"]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603
        assert done.stderr == ""
        results.append(comparable(json.loads((tmp_path / "result.json").read_text())))
    assert results[0] == results[1]


def test_a_task_draws_the_same_whatever_its_worker_did_before(tmp_path: Path) -> None:
    """All that a task loads of kvparity is loaded before the first draw."""
    program = """
        import sys
        from kvparity.campaign import Done, Setting, attempt, examples
        from kvparity.search.fuzz import Fuzzer

        def loaded():
            return {name for name in sys.modules if name.startswith("kvparity")}

        at_first = []
        draw = Fuzzer._run
        Fuzzer._run = lambda *arguments: at_first.append(loaded()) or draw(*arguments)
        setting = Setting(
            reference="legacy-evicting", candidate="fault:forgets-v", tolerance=None, known=(), patience_s=60,
            folder=".", inputs={},
        )
        [task] = examples(30, seed=1)
        assert isinstance(attempt(setting, task), Done)
        assert loaded() == at_first[0], loaded() - at_first[0]
    """
    program = textwrap.dedent(program)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_ray_tries_a_task_again_whose_worker_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed once, it still has a result."""
    pytest.importorskip("ray", reason="Ray is an extra")
    monkeypatch.setenv("KVPARITY_TEST_MARK", str(tmp_path / "mark"))
    path = tmp_path / "r.json"
    caches = ["--reference", "refactored-fifo", "--candidate", "support.deadly:DiesOnce"]
    who = ["--engine", "ray", "--jobs", "1", "--quiet", "--json", str(path)]
    line = [sys.executable, "-m", "kvparity", "replay", CARTPOLE, "--steps", "200", *caches, *who]
    subprocess.run(line, cwd=HERE, capture_output=True, check=True)  # noqa: S603
    assert (tmp_path / "mark").exists()
    result = json.loads(path.read_text())
    assert "missing" not in result
    assert sum(result["operations"].values()) == 200


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["replay", CARTPOLE, "--address", "auto"], "--address is the address of a Ray cluster: add --engine ray"),
        (
            ["fuzz", "--jobs", "2", "--time", "1m"],
            "--time cannot be used in a campaign, which finds the same on any machine: give --examples instead",
        ),
        (["replay", CARTPOLE, "--jobs", "0"], "'0' is not an integer of at least 1"),
        (["replay", "memory://nowhere.kvtrace", "--jobs", "1"], "memory://nowhere.kvtrace does not exist"),
        (["replay", "nowhere.kvtrace", "--jobs", "1"], "'nowhere.kvtrace'"),
        (["replay", CARTPOLE, "--jobs", "1", "--candidate", "nonsense"], "there is no cache 'nonsense'"),
        (["replay", CARTPOLE, "--jobs", "1", "--campaign", __file__], "cannot be made"),
    ],
)
def test_bad_input_is_one_line(command: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what is wrong and how to correct it, before any process is started."""
    assert main(command) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_ray_is_an_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """If it is not installed, the command says how to install it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["replay", CARTPOLE, "--engine", "ray"]) == 2
    assert capsys.readouterr().err == "kvparity: error: --engine ray needs Ray: pip install 'kvparity[ray]'\n"


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """The error is one line."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be made"):
        Folder(tmp_path / "file", setting())
