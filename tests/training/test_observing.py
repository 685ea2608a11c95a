"""What a training logs is kept, and the training is not changed."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch

from kvparity.training.paired.curves import CurveLog, read_curves
from kvparity.training.paired.observing import PATTERN, Observer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kvparity.training.paired.curves import Curves

POLICY = """
from types import SimpleNamespace
import torch

class Base:
    _cfg = SimpleNamespace(batch_size=8)

    def _forward_learn(self, data):
        return {"weighted_total_loss": data, "lr": 0.1, "note": "loss", "loss_per_head": torch.ones(3)}

class Derived(Base):
    def _forward_learn(self, data):
        return {**super()._forward_learn(data), "policy_loss": torch.tensor(data * 2)}
"""
WORKER = """
from types import SimpleNamespace

class Collector:
    def collect(self, returned):
        return returned

def segment(*rewards):
    return SimpleNamespace(reward_segment=list(rewards))
"""
SCALARS = """
class SummaryWriter:
    def __init__(self):
        self.written = []

    def add_scalar(self, tag, scalar_value, global_step=None):
        self.written.append((tag, scalar_value, global_step))
        return self
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Doubles of LightZero and tensorboardX, removed from the imported modules afterwards."""
    for path, source in {
        "lzero/policy/unizero.py": POLICY,
        "lzero/worker/collector.py": WORKER,
        "tensorboardX/writer.py": SCALARS,
    }.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True)
        file.write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] in ("lzero", "tensorboardX")]:
        del sys.modules[name]


class Observed:
    """An observer, and what it has written."""

    def __init__(self, path: Path, pattern: str = PATTERN) -> None:
        self._path = path
        self._log = CurveLog(path)
        self.observer = Observer(self._log, pattern=pattern)
        self.observer.install()

    def curves(self) -> Curves:
        self.observer.remove()
        self._log.close()
        return read_curves(self._path)


def module(name: str) -> Any:
    """Import it."""
    return importlib.import_module(name)


@pytest.mark.usefixtures("packages")
def test_the_learners_losses_are_kept(tmp_path: Path) -> None:
    """Of each iteration, numbers and tensors of one number. A method that calls its base counts once."""
    observed = Observed(tmp_path / "c.jsonl")
    policy = module("lzero.policy.unizero").Derived()
    assert [policy._forward_learn(loss)["weighted_total_loss"] for loss in (3.0, 2.0)] == [3.0, 2.0]
    assert (observed.observer.iterations, observed.observer.samples) == (2, 16)
    assert observed.observer.resident > 0
    assert observed.curves() == {"learner/weighted_total_loss": [3.0, 2.0], "learner/policy_loss": [6.0, 4.0]}


@pytest.mark.usefixtures("packages")
def test_the_rewards_of_collectors_are_kept(tmp_path: Path) -> None:
    """The rewards of each segment in LightZero's form; anything else is ignored."""
    observed = Observed(tmp_path / "c.jsonl")
    worker = module("lzero.worker.collector")
    returned = [[worker.segment(1.0, 2.0), worker.segment(-1.0)], {"meta": 1}]
    assert worker.Collector().collect(returned) is returned
    for other in (None, [], [None, 1], 7, ["text"]):
        assert worker.Collector().collect(other) is other
    assert observed.curves() == {"collector/reward": [3.0, -1.0]}


@pytest.mark.usefixtures("packages")
def test_scalars_are_kept(tmp_path: Path) -> None:
    """Those whose names match; the writer gets all of them as before."""
    observed = Observed(tmp_path / "c.jsonl")
    writer = module("tensorboardX.writer").SummaryWriter()
    assert writer.add_scalar("collector/reward_mean", 9.5, 3) is writer
    writer.add_scalar("collector/collect_time", 0.1, global_step=3)
    writer.add_scalar("train/Loss", torch.tensor(0.5), global_step=4)
    assert [tag for tag, *_ in writer.written] == ["collector/reward_mean", "collector/collect_time", "train/Loss"]
    assert observed.curves() == {"tensorboard/collector/reward_mean": [9.5], "tensorboard/train/Loss": [0.5]}


@pytest.mark.usefixtures("packages")
def test_the_pattern_is_the_users(tmp_path: Path) -> None:
    """Users choose what to compare."""
    observed = Observed(tmp_path / "c.jsonl", pattern="^lr$")
    module("lzero.policy.unizero").Base()._forward_learn(3.0)
    assert observed.curves() == {"learner/lr": [0.1]}


@pytest.mark.usefixtures("packages")
def test_classes_have_their_own_methods_back(tmp_path: Path) -> None:
    """Those that were imported before, and those that were imported later."""
    before = module("tensorboardX.writer").SummaryWriter.add_scalar
    observed = Observed(tmp_path / "c.jsonl")
    assert module("tensorboardX.writer").SummaryWriter.add_scalar is not before
    observed.curves()
    assert module("tensorboardX.writer").SummaryWriter.add_scalar is before
    assert "harness" not in module("lzero.worker.collector").Collector.collect.__code__.co_filename
