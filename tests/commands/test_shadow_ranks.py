"""Two ranks under torchrun have one result, also if one of them died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.ranks import TRAIN, WORLD_MODEL


def trained(folder: Path, middle: str = "pass") -> tuple[dict[str, Any], str]:
    """Rank 0's JSON result of two ranks that train for ten steps, and what was printed."""
    package = folder / "packages/lzero/model/unizero_world_models"
    package.mkdir(parents=True)
    (package / "world_model.py").write_text(WORLD_MODEL)
    (folder / "train.py").write_text(TRAIN.format(middle=middle))
    paths = (folder / "packages", Path(__file__).parents[1])
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["-m", "kvparity", "shadow", "--max-share", "none", "--json", "r.json", "train.py"]
    done = subprocess.run(  # noqa: S603
        [*launch, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ":".join(map(str, paths)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    printed = done.stdout + done.stderr
    assert (folder / "r.json").exists(), printed
    return json.loads((folder / "r.json").read_text()), printed


def test_two_ranks_have_one_result(tmp_path: Path) -> None:
    """Written once, by rank 0, with both ranks' gets in it."""
    result, printed = trained(tmp_path)
    assert [run["workload"] for run in result["runs"]] == ["train.py, rank 0", "train.py, rank 1"]
    assert [run["gets_compared"] for run in result["runs"]] == [10, 10]
    assert result["gets_compared"] == 20
    assert "missing" not in result
    assert printed.count("PARITY: no corruption found; 20 gets compared") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_rank_that_was_killed_is_named(tmp_path: Path) -> None:
    """The other rank's result is there."""
    result, printed = trained(tmp_path, middle="rank == 1 and step == 5 and os.kill(os.getpid(), signal.SIGKILL)")
    assert result["missing"] == ["rank 1"]
    assert result["gets_compared"] >= 5
    assert "INCOMPLETE: no result of rank 1; no corruption found; " in printed
