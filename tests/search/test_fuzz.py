"""Fuzzing finds each fault once, passes sound caches, repeats, and keeps what it found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

import kvparity.search.fuzz_folder as command
from kvparity import Comparison, KnownDifference, Trace
from kvparity.cli import build_parser, main
from kvparity.search.case import Signature, first_divergence
from kvparity.search.fuzz import Fuzzer
from kvparity.search.trial import PartedError
from kvparity_scenarios.correct_cache import CorrectCache
from kvparity_scenarios.faults import FAULTS
from kvparity_scenarios.machine import CacheMachine

if TYPE_CHECKING:
    from pathlib import Path

    from kvparity.search.fuzz import Finding

SOUND = {
    "refactored-fifo": "kvparity_scenarios.correct_cache:CorrectCache",
    "refactored-lru": "kvparity_scenarios.correct_cache:CorrectLru",
}
FOUND = ("keys-lose-upper-half", "update-renews", "forgets-sizes", "working-copy-is-entry", "length-is-capacity")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tensors are small; and what a command keeps, it keeps in a folder of the test."""
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)


def fuzzed(reference: str, candidate: str, examples: int = 200, **options: Any) -> tuple[Fuzzer, list[Finding]]:
    """A fuzzer that is done, and what it found."""
    fuzzer = Fuzzer(Comparison(reference, candidate), examples=examples, **options)
    return fuzzer, list(fuzzer.findings())


def reference_of(fault: str) -> str:
    """The sound cache of a fault's strategy."""
    return f"refactored-{FAULTS[fault].eviction}"


# ---------------------------------------------------------------------- what is found


@pytest.mark.parametrize("name", FOUND)
def test_a_fault_is_found_and_blamed(name: str) -> None:
    """Within 200 examples something as bad as the fault declares is found, and nobody but the candidate is blamed."""
    _, findings = fuzzed(reference_of(name), f"fault:{name}")
    assert FAULTS[name].severity in {finding.divergence.severity for finding in findings}
    assert {finding.divergence.wrong for finding in findings} == {"candidate"}


@pytest.mark.parametrize("reference", SOUND)
def test_nothing_is_found_of_a_sound_cache(reference: str) -> None:
    """Not in 200 examples, of which most look something up that is there."""
    fuzzer, findings = fuzzed(reference, SOUND[reference])
    assert findings == []
    result = fuzzer.result()
    assert (fuzzer.examples, result.examples) == (200, 200)
    assert result.values_compared > 1000
    assert result.operations_total == fuzzer.operations


def test_each_way_to_part_is_found_once() -> None:
    """The original differs in several; each has a signature of its own."""
    _, findings = fuzzed("legacy-evicting", "refactored-fifo")
    signatures = [Signature.of(finding.divergence) for finding in findings]
    assert len(signatures) > 2
    assert len(set(signatures)) == len(signatures)


def test_a_finding_is_found_again_in_its_case() -> None:
    """The case, and nothing else, shows the same divergence."""
    comparison = Comparison("legacy-evicting", "refactored-fifo")
    _, findings = fuzzed("legacy-evicting", "refactored-fifo", 50)
    for finding in findings:
        signature = Signature.of(finding.divergence)
        again = first_divergence(comparison, finding.case.spec, finding.case.operations, signature)
        assert again is not None


def test_known_differences_are_no_findings() -> None:
    """They are counted."""
    known = [KnownDifference(pattern="*", side="reference", reason="quirks of the original")]
    fuzzer = Fuzzer(Comparison("legacy-evicting", "refactored-fifo", known=known), examples=100)
    assert list(fuzzer.findings()) == []
    assert fuzzer.result().by_known["quirks of the original"] > 0


# ---------------------------------------------------------------------- how long it takes, and what it repeats


def test_the_same_seed_tries_the_same() -> None:
    """And another seed tries something else."""
    first, again, other = (fuzzed("legacy-evicting", "refactored-fifo", 50, seed=seed) for seed in (3, 3, 4))
    assert [finding.after for finding in first[1]] == [finding.after for finding in again[1]]
    assert first[0].operations == again[0].operations != other[0].operations


def test_time_runs_out() -> None:
    """No example begins when it has; the first always does not, where there is none at all."""
    fuzzer = Fuzzer(Comparison("refactored-fifo", "refactored-fifo"), seconds=0)
    assert list(fuzzer.findings()) == []
    assert fuzzer.examples == 0


def test_what_failed_is_tried_first_the_next_time(tmp_path: Path) -> None:
    """The database has it, for whichever seed comes next, and trying it again does not take it out."""
    comparison = Comparison("refactored-fifo", "fault:keys-as-floats")
    first = next(Fuzzer(comparison, examples=300, seed=1, database=tmp_path).findings())
    for seed in (2, 3):
        _, again = fuzzed("refactored-fifo", "fault:keys-as-floats", 3, seed=seed, database=tmp_path)
        assert Signature.of(first.divergence) in [Signature.of(finding.divergence) for finding in again]


def test_an_interrupt_ends_it_with_what_was_found() -> None:
    """Ctrl-C in the middle of an example."""

    def interrupt(fuzzer: Fuzzer) -> None:
        if fuzzer.examples == 40:
            raise KeyboardInterrupt

    fuzzer, findings = fuzzed("legacy-evicting", "refactored-fifo", 1000, progress=interrupt)
    assert findings
    assert fuzzer.interrupted
    assert fuzzer.result().interrupted
    assert fuzzer.examples == 40


class Flaky(FAULTS["by-reference"]):  # type: ignore[misc]
    """Wrong in every second life."""

    lives = 0

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        type(self).lives += 1
        self.wrong = self.lives % 2

    def copy(self, value: Any, slot: Any) -> Any:
        return super().copy(value, slot) if self.wrong else CorrectCache.copy(self, value, slot)


def test_a_flaky_candidate_is_a_finding() -> None:
    """What does not fail twice has failed once."""
    _, findings = fuzzed("refactored-fifo", f"{__name__}:Flaky", 50)
    assert findings
    assert {finding.divergence.wrong for finding in findings} == {"candidate"}


# ---------------------------------------------------------------------- the machine by itself


def test_the_machine_is_a_test_of_its_own() -> None:
    """A subclass that names a comparison fails with a program, shrunk by Hypothesis."""

    class Machine(CacheMachine):
        comparison = Comparison("refactored-fifo", "fault:recur-never-cleared")

    options = settings(
        max_examples=300, deadline=None, database=None, derandomize=True, print_blob=False, report_multiple_bugs=False
    )
    with pytest.raises(PartedError, match=r"driver\.apply\(Clear\(pool=RECUR\)\)"):
        run_state_machine_as_test(Machine, settings=options)


# ---------------------------------------------------------------------- the command


def fuzz(folder: Path, *arguments: str) -> int:
    """The status of `kvparity fuzz` with a seed."""
    return main(["fuzz", "--seed", "1", "-o", str(folder), *arguments])


def test_the_command_keeps_each_finding_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a trace that names both caches, a test and a program; in the JSON result too."""
    status = fuzz(tmp_path / "kept", "--examples", "50", "--json", str(tmp_path / "r.json"))
    assert status == 1
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["fuzzing"]["examples"] == 50
    cases = result["fuzzing"]["cases"]
    assert cases
    assert {str(path) for path in (tmp_path / "kept").glob("*.kvtrace")} == {case["trace"] for case in cases}
    for case in cases:
        assert case["reproducible"]
        assert case["operations"] <= 8
        assert f"written: {case['trace']}" in printed
        with Trace(case["trace"]) as trace:
            assert (trace.header.served_by, trace.header.candidate) == ("legacy-evicting", "refactored-fifo")
            result = Comparison("legacy-evicting", "refactored-fifo").trace(trace, workload="kept")
        assert case["kind"] in result.by_kind
    assert "driver.apply(Set(pool=" in printed


def test_the_command_writes_a_finding_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The next time it says where it is."""
    candidate = ("--candidate", "fault:length-is-capacity")
    assert fuzz(tmp_path, "--examples", "5", *candidate) == 1
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.kvtrace")}
    assert written
    capsys.readouterr()
    assert fuzz(tmp_path, "--examples", "20", *candidate) == 1
    printed = capsys.readouterr().out
    assert any(f"found again: {path}: " in printed for path in written)
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_the_command_says_how_much_was_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing was found."""
    names = ("--reference", "refactored-fifo", "--candidate", "kvparity_scenarios.correct_cache:CorrectCache")
    assert fuzz(tmp_path, "--time", "1s", "--quiet", *names) == 0
    [verdict] = capsys.readouterr().out.splitlines()
    assert verdict.startswith("PARITY: no corruption found; ")
    assert verdict.endswith(" examples")
    assert list(tmp_path.glob("*.kvtrace")) == []


def test_the_command_keeps_what_is_flaky_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says that it is."""
    monkeypatch.setattr(command, "first_divergence", lambda *_: None)
    assert fuzz(tmp_path, "--examples", "20", "--candidate", "fault:length-is-capacity") == 1
    assert "flaky: stats, wrong: candidate: " in capsys.readouterr().out
    assert list(tmp_path.glob("stats-candidate-*.kvtrace"))


def test_an_interrupt_while_minimizing_keeps_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The status is that of an interrupt, the case is there."""

    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kvparity.search.minimize.Minimizer._search", interrupted)
    assert fuzz(tmp_path, "--examples", "20", "--candidate", "fault:length-is-capacity") == 3
    assert len(list(tmp_path.glob("*.kvtrace"))) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--time", "5 minutes"], "'5 minutes' is not a time such as 90s, 5m or 2h"),
        (["--time", "0s"], "'0s' is not a time"),
        (["--time", "nan"], "'nan' is not a time"),
        (["--examples", "0"], "'0' is not an integer of at least 1"),
        (["--candidate", "builtins:len"], "cannot be built with"),
        (["--candidate", "refactored-fifa"], "did you mean refactored-fifo?"),
        (["-o", "/dev/null/x"], "/dev/null/x cannot be made: Not a directory"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And status 2."""
    assert main(["fuzz", "--examples", "1", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1.5h", 5400)])
def test_times_have_units(text: str, seconds: float) -> None:
    """Seconds where nothing is said."""
    assert build_parser().parse_args(["fuzz", "--time", text]).time == seconds
