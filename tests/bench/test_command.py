"""`kvparity bench`: what it prints, and with which status it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kvparity.bench.json_file import read_bench
from kvparity.bench.measure import measure
from kvparity.cli import main

if TYPE_CHECKING:
    from kvparity.bench.workload import Workload

SMALL = ["--steps", "1200", "--repeats", "2"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests run in a folder of their own."""
    monkeypatch.chdir(tmp_path)


def bench(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """What a small bench prints."""
    assert main(["bench", *arguments, *SMALL]) == status
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr of a command that ends with status 2."""
    assert main(["bench", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("kvparity: error: ")
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""
    return captured.err


def test_all_strategies_are_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    """They are compared with the original, in every measure."""
    printed = bench(capsys, "mcts")
    for name in ("legacy-evicting", "refactored-fifo", "refactored-lru", "refactored-priority"):
        assert printed.count(name) >= 6
    for heading in (
        "own time",
        "operations/s",
        "p50",
        "p99",
        "max",
        "hits",
        "evicted",
        "moved",
        "peak",
        "steady",
        "allocs",
    ):
        assert heading in printed
    for kind in ("cycle", "checkout", "set", "get", "clear"):
        assert f"\n{kind} " in printed


def test_workloads_are_scenarios_and_traces(capsys: pytest.CaptureFixture[str]) -> None:
    """They are measured one after the other, and the heading says how much of each was used."""
    printed = bench(capsys, "cartpole-unizero", "revisit", "--candidate", "refactored-lru")
    assert "cartpole-unizero: 1,200 of 2,965 operations" in printed
    assert "\nrevisit: 1,200 operations" in printed


def test_quiet_prints_the_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each workload, and one for each kind of pool."""
    printed = bench(capsys, "mcts", "--sweep", "--quiet", "--candidate", "refactored-fifo")
    times, inits, recur = printed.splitlines()
    assert times.endswith("(too few repeats for an interval)")
    assert times.startswith("mcts: share of legacy-evicting's time: refactored-fifo ")
    assert inits.startswith("mcts: each init pool needs ")
    assert recur.startswith("mcts: the recur pool needs ")


def test_a_sweep_needs_no_timing(capsys: pytest.CaptureFixture[str]) -> None:
    """The bench says that the bundled training's recur pool is too small for its searches."""
    assert main(["bench", "cartpole-unizero-100sims", "--sweep", "--repeats", "0"]) == 0
    printed = capsys.readouterr().out
    assert "has 400 slots (num_simulations 50); the workload fills 800 slots (num_simulations 100)" in printed
    assert "TOO SMALL: share of lookups lost: fifo 5.1%, lru 10.3%, priority 5.1%" in printed
    assert "█" in printed
    assert "p50" not in printed


def test_the_reference_against_itself_shows_the_noise(capsys: pytest.CaptureFixture[str]) -> None:
    """The candidate then has a name of its own."""
    printed = bench(capsys, "mcts", "--candidate", "legacy-evicting")
    assert "legacy-evicting (again)" in printed


def test_the_file_holds_what_programs_ask_for() -> None:
    """Settings, machine, and the overall ratio with its interval."""
    arguments = ["bench", "mcts", *SMALL, "--quiet", "--json", "bench.json", "--candidate", "refactored-lru"]
    assert main([*arguments, "--sweep"]) == 0
    found = read_bench(Path("bench.json"))
    assert (found.settings.reference, found.settings.candidates) == ("legacy-evicting", ("refactored-lru",))
    assert (found.settings.repeats, found.settings.steps) == (2, 1200)
    assert found.provenance.command.startswith("kvparity bench mcts --steps 1200")
    assert set(found.provenance.inputs) == {"cache legacy-evicting", "cache refactored-lru"}
    [run] = found.runs
    assert set(run.figures) == {"legacy-evicting", "refactored-lru"}
    ratio = run.ratios["refactored-lru"]["time"]
    assert ratio.low <= ratio.median <= ratio.high
    assert set(run.ratios["refactored-lru"]) == {
        "time", "cycle", "checkout", "set", "get", "pass", "peak memory", "steady memory", "bytes moved"
    }  # fmt: skip
    assert [swept.family for swept in run.sweeps] == ["init", "recur"]


def test_a_cache_that_raises_is_a_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    """The other caches are measured all the same."""
    printed = bench(
        capsys, "mcts", "--candidate", "support.doubles:RaisesOnSet", "--candidate", "refactored-fifo", status=1
    )
    said = [line for line in printed.splitlines() if "raised MemoryError: full at operation 0: set of" in line]
    assert len(said) == 1
    assert re.search(r"refactored-fifo \d+\.\d\d ", printed)
    assert printed.rstrip().endswith("support.doubles:RaisesOnSet raised")


def test_a_reference_that_raises_leaves_no_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    """A line says so in place of the verdict."""
    printed = bench(capsys, "mcts", "--reference", "support.doubles:RaisesOnSet", "--quiet", status=1)
    assert printed == "mcts: support.doubles:RaisesOnSet raised, so there are no ratios\n"


def test_a_candidate_that_finds_less_is_pointed_out(capsys: pytest.CaptureFixture[str]) -> None:
    """A line warns that it does not do the same work."""
    printed = bench(capsys, "mcts", "--candidate", "support.doubles:AlwaysMisses")
    assert "support.doubles:AlwaysMisses hits 0.00% of all lookups, legacy-evicting 100.00%: they do not" in printed


# ---------------------------------------------------------------- against an earlier one


def earlier(change: float) -> Path:
    """A small bench, in which the candidate's peak memory was another."""
    path = Path("earlier.json")
    assert main(["bench", "mcts", *SMALL, "--quiet", "--candidate", "refactored-fifo", "--json", str(path)]) == 0
    fields = json.loads(path.read_text())
    ratios = fields["runs"][0]["ratios"]["refactored-fifo"]
    fields["runs"][0]["ratios"]["refactored-fifo"] = {"peak memory": ratios["peak memory"]}
    ratios["peak memory"]["median"] *= change
    path.write_text(json.dumps(fields))
    return path


@pytest.mark.parametrize(("change", "status"), [(0.8, 1), (0.95, 0)])
def test_a_ratio_that_got_worse_is_status_1(change: float, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The status is 1 if it rose by more than a tenth."""
    path = earlier(change)
    printed = bench(capsys, "mcts", "--quiet", "--candidate", "refactored-fifo", "--against", str(path), status=status)
    assert printed.splitlines()[-1].startswith(
        f"against earlier.json: {status} of 1 ratios are worse by more than 10%;"
    )
    assert ("worse: peak memory of refactored-fifo in mcts: " in printed) is bool(status)


def test_worse_is_what_the_option_says() -> None:
    """With `--worse`, three times as much can still be acceptable."""
    path = earlier(0.5)
    arguments = ["bench", "mcts", *SMALL, "--quiet", "--candidate", "refactored-fifo", "--against", str(path)]
    assert main([*arguments, "--worse", "200%"]) == 0


# ---------------------------------------------------------------- interrupted


def test_an_interrupt_keeps_the_workloads_that_are_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status is 3, and the file holds what was measured before."""
    measured: list[str] = []

    def once(workload: Workload, *arguments: Any, **options: Any) -> Any:
        if measured:
            raise KeyboardInterrupt
        measured.append(workload.name)
        return measure(workload, *arguments, **options)

    monkeypatch.setattr("kvparity.commands.bench.measure", once)
    printed = bench(capsys, "mcts", "revisit", "--quiet", "--json", "bench.json", status=3)
    assert printed.splitlines()[-1].startswith("INTERRUPTED: ")
    found = read_bench(Path("bench.json"))
    assert (found.interrupted, [run.workload for run in found.runs]) == (True, ["mcts"])


def test_an_interrupt_before_anything_is_done_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status is 3, and no file is written."""

    def never(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kvparity.commands.bench.measure", never)
    assert main(["bench", "mcts", *SMALL, "--json", "bench.json"]) == 3
    assert not Path("bench.json").exists()


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mctss"], "there is no scenario and no trace 'mctss': did you mean mcts?"),
        (["mcts", "nowhere.kvtrace"], "there is no scenario and no trace 'nowhere.kvtrace'"),
        (
            ["mcts", "--candidate", "refactored-fif"],
            "there is no cache 'refactored-fif': did you mean refactored-fifo?",
        ),
        (["mcts", "--reference", "json:dumps"], "json:dumps cannot be built"),
        (["--repeats", "-1"], "'-1' is not an integer of at least 0"),
        (["--repeats", "0"], "--repeats 0 times nothing: add --sweep, or give at least 1"),
        (["--steps", "0"], "'0' is not an integer of at least 1"),
        (["--entry", "2x8"], "'2x8' is not a shape such as 2x8x20x96"),
        (["--entry", "2x8x0x96"], "'2x8x0x96' is not a shape"),
        (["--worse", "0.1"], "'0.1' is not a percentage such as 10%"),
        (["--worse", "-5%"], "expected one argument"),
        (["--worse", "much%"], "'much%' is not a percentage such as 10%"),
        (["--json", "nowhere/bench.json"], "nowhere/bench.json cannot be written"),
        (["--against", "nowhere.json"], "nowhere.json cannot be read"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused before anything is measured, with status 2."""
    assert message in refused(capsys, *arguments)


def test_an_earlier_bench_of_something_else_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused before anything is measured."""
    path = earlier(1.0)
    capsys.readouterr()
    assert "made with steps 1200, this one with 500" in refused(
        capsys, "mcts", "--steps", "500", "--against", str(path)
    )
