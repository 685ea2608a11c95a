"""`kvparity verdict`: the three outcomes from real runs, what it writes, and one clear line for what it cannot use."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kvparity.cli import main
from kvparity.settings import Thresholds
from kvparity.training.paired.outcome import TrainingRun, pair
from kvparity.verdict.certificate import digest_of
from kvparity.verdict.material import read_material

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SIDES = ("legacy-evicting", "refactored-fifo")
SETTINGS = """
[[known]]
pattern = "presence *"
side = "reference"
reason = "quirks of the original | <b>"

[verdict]
memory-operations = 40000
memory-growth = 1000000000
"""
LEAK = """
from kvparity.values.entry import clone
from kvparity_scenarios.correct_cache import CorrectCache


class Leaking(CorrectCache):
    kept = []

    def set(self, pool, key, value, *, priority=None):
        self.kept.append(clone(value))
        super().set(pool, key, value, priority=priority)
"""


def bench(low: float, high: float, candidate: str = "refactored-fifo") -> dict[str, Any]:
    """The part of `kvparity bench --json` that a verdict reads."""
    ratio = {"median": (low + high) / 2, "low": low, "high": high, "confidence": 0.96, "repeats": 20}
    return {
        "settings": {"reference": "legacy-evicting", "candidates": [candidate]},
        "machine": {"torch": "2.13.0"},
        "runs": [{"workload": "mcts", "ratios": {candidate: {"time": ratio}}, "failures": {}}],
        "interrupted": False,
        "schema": 1,
    }


def trainings(*losses: float) -> dict[str, Any]:
    """What `kvparity compare-training --json` writes, where the candidate's training logged these losses."""
    stats: dict[str, dict[str, int | None]] = {"recur": {"hits": 1, "misses": 0, "evictions": 0}}
    legs = [
        TrainingRun(
            name=name,
            served_by=served_by,
            status=0,
            wall_s=2.0,
            iterations=2,
            samples=24,
            peak_bytes=1_000,
            mean_bytes=900.0,
            stats=stats,
            curves={"loss": list(logged)},
        )
        for name, served_by, logged in (
            ("reference", "lightzero", (2.0, 1.0)),
            ("candidate", "refactored-fifo", losses),
            ("reference again", "lightzero", (2.0, 1.0)),
        )
    ]
    return pair(*legs).as_dict()


def written(path: Path, fields: dict[str, Any]) -> str:
    """A file of those fields."""
    path.write_text(json.dumps(fields), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the result of a real run that exercises everything, and settings that accept what is known."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "kvparity.toml").write_text(SETTINGS)
    before = Path.cwd()
    os.chdir(folder)
    try:
        names = ("pool-pressure", "revisit", "clear-storm")
        assert main(["run", *names, "--steps", "5000", "--json", "result.json", "--quiet"]) == 0
        assert main(["run", names[0], "--steps", "40000", "--seed", "1", "--json", "long.json", "--quiet"]) == 0
    finally:
        os.chdir(before)
    written(folder / "bench.json", bench(0.6, 0.8))
    written(folder / "training.json", trainings(2.0, 1.0))
    return folder


@pytest.fixture
def here(runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working directory with links to those."""
    for file in runs.iterdir():
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def verdict(*arguments: str) -> int:
    """The exit status of `kvparity verdict`."""
    return main(["verdict", *arguments])


# ---------------------------------------------------------------- the three outcomes


@pytest.mark.usefixtures("here")
def test_a_run_and_a_bench_are_go(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0, and the last line says so."""
    assert verdict("result.json", "long.json", "bench.json") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].startswith("GO: 14 checks passed; not tested and not required: training")
    assert "certificate sha256" in printed


@pytest.mark.usefixtures("here")
def test_files_are_told_apart_by_what_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    """In any order, comparisons of trainings too."""
    assert verdict("training.json", "long.json", "bench.json", "result.json", "--quiet") == 0
    assert capsys.readouterr().out == "GO: 15 checks passed; not tested and not required: shapes\n"


@pytest.mark.usefixtures("here")
def test_a_run_alone_is_inconclusive(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 4; what is missing is named, with the command that supplies it."""
    assert verdict("result.json", "long.json") == 4
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == "INCONCLUSIVE: not yet tested: speed"
    assert "\n  kvparity bench --reference legacy-evicting --candidate refactored-fifo --json bench.json\n" in printed


@pytest.mark.usefixtures("here")
def test_the_commands_that_are_printed_are_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """A short run does not test enough; the commands that the verdict names test the rest."""
    Path("long.json").unlink()
    main(["run", "mcts", "--steps", "500", "--json", "short.json", "--quiet"])
    assert verdict("short.json", "bench.json") == 4
    lines = capsys.readouterr().out.splitlines()
    commands = [line.split()[1:] for line in lines if line.startswith("  kvparity run ")]
    for command, steps in zip(commands, ("40000", "5000"), strict=True):  # less than they say: this is a test
        assert main([*command, "--steps", steps, "--quiet"]) == 0
    assert verdict("short.json", "bench.json", "more.json", "long.json") == 0


@pytest.mark.parametrize(
    ("name", "candidate", "scenario"),
    [("corruption", "fault:by-reference", "mcts"), ("behaviour", "fault:forgets-misses", "mcts")],
)
@pytest.mark.usefixtures("here")
def test_a_faulty_cache_is_no_go(name: str, candidate: str, scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    """For one reason alone; status 1."""
    main(["run", scenario, "--steps", "1000", "--candidate", candidate, "--json", "faulty.json", "--quiet"])
    written(Path("fast.json"), bench(0.6, 0.8, candidate))
    capsys.readouterr()
    assert verdict("faulty.json", "fast.json", "--json", "v.json") == 1
    checks = json.loads(Path("v.json").read_text())["checks"]
    assert [each["name"] for each in checks if each["outcome"] == "failed"] == [name]
    assert capsys.readouterr().out.splitlines()[-1].startswith("NO-GO: ")


@pytest.mark.usefixtures("here")
def test_a_slow_cache_is_no_go(capsys: pytest.CaptureFixture[str]) -> None:
    """The real run is in order, the bench is not."""
    written(Path("slow.json"), bench(1.2, 1.4))
    assert verdict("result.json", "slow.json", "--quiet") == 1
    expected = "NO-GO: mcts 1.300 (96%: 1.200 to 1.400) times the time of legacy-evicting (limit 1.05)\n"
    assert capsys.readouterr().out == expected


@pytest.mark.usefixtures("here")
def test_another_training_is_no_go(capsys: pytest.CaptureFixture[str]) -> None:
    """Under one seed, where the reference repeats itself."""
    written(Path("other.json"), trainings(2.0, 1.5))
    assert verdict("result.json", "long.json", "bench.json", "other.json", "--quiet") == 1
    assert capsys.readouterr().out.startswith("NO-GO: loss differs from step 1 on: 1.0 and 1.5")


def test_a_leak_is_no_go(tmp_path: Path) -> None:
    """In a process of its own, which has nothing else to do: each set keeps 8 KB, and says nothing of it."""
    (tmp_path / "leak.py").write_text(LEAK)
    (tmp_path / "kvparity.toml").write_text("[verdict]\nmemory-operations = 40000\nmemory-floor = 4194304\n")

    def kvparity(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kvparity", *arguments]
        root = str(Path(__file__).parents[2])
        environment = {**os.environ, "PYTHONPATH": root}
        return subprocess.run(  # noqa: S603
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
        )

    candidate = ("--reference", "refactored-fifo", "--candidate", "leak:Leaking")
    run = kvparity("run", "pool-pressure", "--steps", "40000", *candidate, "--json", "leak.json", "--quiet")
    assert run.returncode == 0, run.stderr
    done = kvparity("verdict", "leak.json", "--quiet")
    assert done.stdout.startswith("NO-GO: the process grew by "), done.stdout
    assert done.returncode == 1


# ---------------------------------------------------------------- what it writes


@pytest.mark.usefixtures("here")
def test_the_json_verdict_holds_the_certificate() -> None:
    """With a digest over itself, that of each file, and of the caches' source."""
    verdict("result.json", "long.json", "bench.json", "--json", "v.json", "--quiet")
    found = json.loads(Path("v.json").read_text())
    assert (found["schema"], found["verdict"]) == (1, "GO")
    proof = found["certificate"]
    assert proof["sha256"] == digest_of(proof)
    assert set(proof["files"]) == {"result.json", "long.json", "bench.json"}
    assert {f"cache {name}" for name in SIDES} <= set(proof["inputs"])


@pytest.mark.usefixtures("here")
def test_the_certificate_says_what_was_compared() -> None:
    """Checks, runs, known differences, versions, digests, thresholds; no reason is markup."""
    verdict("result.json", "long.json", "bench.json", "--certificate", "c.md", "--quiet")
    text = Path("c.md").read_text(encoding="utf-8")
    assert text.startswith("# Certificate of parity: refactored-fifo in place of legacy-evicting\n")
    assert "| training | not tested | no trainings were compared |" in text
    assert "| pool-pressure | 0 | 5,000 | " in text
    assert r"times: quirks of the original \| \<b\>" in text
    assert "- cache refactored-fifo: `" in text
    assert "- time-ratio = 1.05" in text


@pytest.mark.usefixtures("here")
def test_a_run_with_a_tolerance_says_so_to_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """From `--rtol` to the first line of the certificate."""
    tolerance = ("--compare", "tolerance", "--rtol", "0.5", "--atol", "5")
    main(["run", "mcts", "--steps", "500", *tolerance, "--json", "tol.json", "--quiet"])
    Path("own.toml").write_text('[verdict]\nrequire = ["corruption"]\n')
    assert verdict("tol.json", "--config", "own.toml", "--certificate", "c.md") == 0
    assert "not bit by bit but within rtol 0.5, atol 5" in " ".join(capsys.readouterr().out.split())
    assert Path("c.md").read_text(encoding="utf-8").startswith("# Certificate of parity within rtol 0.5, atol 5: ")


@pytest.mark.usefixtures("here")
def test_the_runs_of_one_command_come_with_it() -> None:
    """On the certificate of that one file."""
    Path("own.toml").write_text('[verdict]\nrequire = ["corruption"]\nbehaviour = 9999\n')
    assert verdict("result.json", "--config", "own.toml", "--certificate", "c.md", "--quiet") == 0
    text = Path("c.md").read_text(encoding="utf-8")
    assert text.count("| kvparity run pool-pressure revisit clear-storm ") == 3
    assert "- cache refactored-fifo: `" in text
    assert "versions not kept" not in text


@pytest.mark.usefixtures("here")
def test_the_same_command_again_counts_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Its file is another one, for it took another time; what else is in a file counts."""
    for names, file in ((["mcts"], "one.json"), (["mcts"], "two.json"), (["mcts", "multitask"], "three.json")):
        assert main(["run", *names, "--steps", "300", "--json", file, "--quiet"]) == 0
    verdict("one.json", "two.json", "three.json")
    printed = " ".join(capsys.readouterr().out.split())
    assert "4 complete runs; a run that appears twice counts once: mcts with seed 0" in printed
    assert " 600 operations (10,000 required)" in printed


@pytest.mark.usefixtures("here")
def test_pipes_are_files_like_any_other() -> None:
    """Each is read once, and two pipes are two files if their contents differ."""
    names = []
    for fields in (bench(0.6, 0.8), bench(0.6, 0.9)):
        reading, writing = os.pipe()
        with os.fdopen(writing, "w") as file:
            json.dump(fields, file)
        names.append(Path(f"/dev/fd/{reading}"))
    material = read_material([Path("result.json"), *names])
    assert len(material.benches) == 2
    assert material.files["result.json"] == hashlib.sha256(Path("result.json").read_bytes()).hexdigest()


@pytest.mark.usefixtures("here")
def test_without_a_go_an_earlier_certificate_does_not_stay() -> None:
    """Whoever reads the file must not take it for today's."""
    verdict("result.json", "long.json", "bench.json", "--certificate", "c.md", "--quiet")
    verdict("result.json", "--certificate", "c.md", "--quiet")
    assert Path("c.md").read_text(encoding="utf-8").startswith("# No certificate: INCONCLUSIVE\n")


@pytest.mark.usefixtures("here")
def test_every_report_has_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    """Of that run alone."""
    main(["run", "mcts", "--steps", "200"])
    assert (
        "\n`kvparity verdict` on this alone: INCONCLUSIVE: not yet tested: speed, memory, " in capsys.readouterr().out
    )


# ---------------------------------------------------------------- bad input


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr of a command that ends with status 2."""
    assert verdict(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("kvparity: error: ")
    assert len(error.splitlines()) == 1
    return error


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["none.json"], "none.json cannot be read: No such file or directory"),
        (["kvparity.toml"], "kvparity.toml is no result, bench or comparison of trainings: "),
        (["bench.json"], "there is no result among these files: `kvparity run "),
        (["result.json", "result.json"], "result.json and result.json have the same content, which would count twice"),
        (["empty.json"], "empty.json is no result, bench or comparison of trainings: pass a file that run, "),
        (["list.json"], "list.json is no result, bench or comparison of trainings: pass a file that run, "),
        (
            ["result.json", "other.json"],
            "results of different caches cannot be added: legacy-evicting against refactored-fifo,",
        ),
        (
            ["result.json", "another.json"],
            "the bench timed another, and the results are of refactored-fifo: run `kvparity bench",
        ),
        (["result.json", "--certificate", "no/c.md"], "no/c.md cannot be written: there is no directory no"),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_cannot_be_used_is_told(files: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2 and one line."""
    written(Path("empty.json"), {})
    Path("list.json").write_text("[]")
    written(Path("another.json"), bench(1, 1, "another"))
    fields = json.loads(Path("result.json").read_text())
    written(Path("other.json"), {**fields, "candidate": "another"})
    assert message in refused(capsys, *files)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("speed = 3", "[verdict]: unknown name 'speed', expected one of require, behaviour, time-ratio, "),
        ('require = ["luck"]', "[verdict]: require must be a list of names out of corruption, behaviour, "),
        ("require = 3", "[verdict]: require must be a list of names out of "),
        ("time-ratio = 0", "[verdict]: time-ratio must be a number above 0 such as 1.05, got 0"),
        ("time-ratio = true", "[verdict]: time-ratio must be a number above 0 such as 1.05, got True"),
        ("time-ratio = nan", "[verdict]: time-ratio must be a number above 0"),
        ("lookups = -1", "[verdict]: lookups must be an integer from 0 to 2**63, got -1"),
        ("lookups = true", "[verdict]: lookups must be an integer from 0 to 2**63, got True"),
        (f"memory-growth = {10**400}", "[verdict]: memory-growth must be an integer from 0 to 2**63, got 1000"),
        (f"time-ratio = {10**400}", "[verdict]: time-ratio must be a number above 0 such as 1.05, got 1000"),
    ],
)
@pytest.mark.usefixtures("here")
def test_settings_that_cannot_be_used_are_told(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what was said, and what may be."""
    Path("own.toml").write_text(f"[verdict]\n{line}\n")
    assert message in refused(capsys, "result.json", "--config", "own.toml")


@pytest.mark.usefixtures("here")
def test_thresholds_of_the_settings_are_used() -> None:
    """What is asked for is missing now."""
    Path("own.toml").write_text('[verdict]\nrequire = ["coverage"]\nlookups = 1000000\n')
    assert verdict("result.json", "--config", "own.toml", "--quiet") == 4
    Path("own.toml").write_text('[verdict]\nrequire = ["coverage"]\n')
    assert verdict("result.json", "--config", "own.toml", "--quiet") == 0


def test_the_documented_thresholds_are_the_defaults() -> None:
    """All of them, as they are written."""
    page = (Path(__file__).parents[2] / "docs" / "verdict.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```toml\n(\[verdict\]\n.*?)```", page, re.DOTALL)
    table = tomllib.loads(block)["verdict"]
    assert set(table) == set(Thresholds().as_dict())
    assert Thresholds.parse(table) == Thresholds()
