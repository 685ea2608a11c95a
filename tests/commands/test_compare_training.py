"""`kvparity compare-training`: three trainings of one script in processes of their own, and the verdict on them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kvparity.cli import main
from kvparity.training.paired.curves import read_curves

if TYPE_CHECKING:
    from collections.abc import Callable

WORLD_MODEL = """
from support.worldmodels import ReleasedModel

class WorldModel(ReleasedModel):
    def forward_initial_inference(self):
        self.clear_caches()
"""
POLICY = """
from types import SimpleNamespace

class UniZeroPolicy:
    _cfg = SimpleNamespace(batch_size=4)

    def _forward_learn(self, found):
        tensors = [] if found is None else [layer._k_cache._cache for layer in found._keys_values]
        return {"loss": sum(float(tensor.sum()) for tensor in tensors)}
"""
TRAIN = """
import random, sys
from lzero.model.unizero_world_models.world_model import WorldModel
from lzero.policy.unizero import UniZeroPolicy

model, policy = WorldModel(), UniZeroPolicy()
for step in range(int(sys.argv[1])):
    model.forward_initial_inference()
    for content in (random.random(), random.random()):
        model.set_recur(step, content)
    policy._forward_learn(model.search(0, step))
{end}
"""


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes a training script; the processes that run it find a small LightZero."""
    for path, source in {
        "lzero/model/unizero_world_models/world_model.py": WORLD_MODEL,
        "lzero/policy/unizero.py": POLICY,
    }.items():
        file = tmp_path / "packages" / path
        file.parent.mkdir(parents=True)
        file.write_text(source)
    folders = (tmp_path / "packages", Path(__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", ":".join(map(str, folders)))
    monkeypatch.chdir(tmp_path)

    def write(end: str = "") -> Path:
        script = tmp_path / "train.py"
        script.write_text(TRAIN.format(end=end))
        return script

    return write


def compare(script: Path, candidate: str, folder: Path) -> int:
    """The exit status for ten steps of `script`."""
    options = ["--candidate", candidate, "--seed", "7", "-o", str(folder), "--json", f"{folder}.json"]
    return main(["compare-training", *options, str(script), "10"])


def test_a_sound_candidate_gives_the_same_training(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the last bit; the seed decides the losses, and each training's curves are kept."""
    assert compare(train(), "refactored-fifo", tmp_path / "out") == 0
    assert "SAME: all 10 numbers of 1 curves are equal to the last bit" in capsys.readouterr().out
    result = json.loads((tmp_path / "out.json").read_text())
    assert [training["served_by"] for training in result["trainings"]] == ["lightzero", "refactored-fifo", "lightzero"]
    assert [training["samples"] for training in result["trainings"]] == [40, 40, 40]
    assert [training["stats"]["recur"]["hits"] for training in result["trainings"]] == [10, 10, 10]
    curves = [read_curves(path) for path in sorted((tmp_path / "out").glob("*/curves.jsonl"))]
    assert curves[0] == curves[1] == curves[2]
    assert len(set(curves[0]["learner/loss"])) == 10


def test_a_faulty_candidate_gives_another_training(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first step that differs is named, and what the caches did there."""
    assert compare(train(), "fault:keeps-old-value-on-update", tmp_path / "out") == 1
    printed = capsys.readouterr().out
    assert "DIFFERENT: learner/loss differs from step 0 on: " in printed
    assert re.search(
        r"the two caches first differ at operation \d: stale_hit: fault:keeps-old-value-on-update ", printed
    )


def test_a_candidate_that_fails_ends_its_training(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing serves instead, as nothing would after the switch; its exception is in the output."""
    assert compare(train(), "fault:raises-always", tmp_path / "out") == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "DIFFERENT: the training served by fault:raises-always ended with status 1" in printed
    assert "the two caches first differ at operation 0: error: fault:raises-always raised RuntimeError: no" in printed


def test_each_training_has_one_cache(train: Callable[..., Path], tmp_path: Path) -> None:
    """A fourth one with both runs only if the trainings differ."""
    script = train("print('slots in use:', sum(slot is not None for slot in model.shared_pool_recur_infer))")
    assert compare(script, "refactored-fifo", tmp_path / "out") == 0
    said = {path.parent.name: path.read_text() for path in (tmp_path / "out").glob("*/output.log")}
    in_use = {name: int(text.partition("slots in use: ")[2].split()[0]) for name, text in said.items()}
    assert set(in_use) == {"reference", "candidate", "reference-again"}
    assert in_use["reference"] > in_use["candidate"] == 0


def test_a_training_that_fails_is_no_parity(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its output is in the folder."""
    assert compare(train("raise SystemExit(3)"), "refactored-fifo", tmp_path / "out") == 1
    assert "INCONCLUSIVE: the training reference, served by lightzero, ended with status 3" in capsys.readouterr().out


def test_the_command_refuses_what_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, before anything is trained."""
    script = tmp_path / "train.py"
    script.touch()
    (tmp_path / "out" / "reference").mkdir(parents=True)
    for arguments, message in (
        (["none.py"], "there is no script 'none.py'"),
        (["-o", str(tmp_path / "out"), str(script)], "exists already: choose another folder with -o, or remove it"),
        (["-o", "/dev/null/x", str(script)], "cannot be made: Not a directory"),
        (["--curves", "(", str(script)], "'(' is not a regular expression"),
    ):
        assert main(["compare-training", *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1
