"""The reports that the tests of the page open: those that users see, a hostile one, and a large one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from kvparity import CacheSpec, Divergence, Result, merge
from kvparity.cli import main
from kvparity.evidence import Exhibit, Latency, Moment, Timeline
from support.ranks import TRAIN, WORLD_MODEL

SCRIPT = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
COMMANDS = {
    "parity": ["run"],
    "stale-hit": ["run", "pool-pressure", "--reference", "legacy-released", "--steps", "3000"],
    "by-reference": ["replay", "cartpole-unizero", "--candidate", "fault:by-reference"],
    "presence": ["run", "revisit", "clear-storm", "--steps", "3000"],
}
QUIRKS = ("reset-leaves-owner", "reset-uses-slot", "reset-lives-longer", "clear-leaves-owner")
COMMANDS |= {
    quirk: ["run", f"kvparity_scenarios.quirks:{quirk.replace('-', '_')}", "--steps", "300"] for quirk in QUIRKS
}
KINDS = (*COMMANDS, "two-ranks")
_LATE = "    model.set_recur(step, float(step + rank))"
_SEVERAL = """\
    for each in range(8):
        model.set_recur(100 * step + each, float(each + rank))
    model.search(0, 100 * step)"""


def written(kind: str, folder: Path) -> Path:
    """The page of one of `KINDS`, made as a user makes it."""
    if kind == "two-ranks":
        return _of_two_ranks(folder)
    main([*COMMANDS[kind], "--quiet", "--report", str(folder / "report")])
    return folder / "report" / "index.html"


def _of_two_ranks(folder: Path) -> Path:
    package = folder / "packages/lzero/model/unizero_world_models"
    package.mkdir(parents=True)
    (package / "world_model.py").write_text(WORLD_MODEL)
    assert _LATE in TRAIN
    (folder / "train.py").write_text(TRAIN.replace(_LATE, f"{_LATE}\n{_SEVERAL}").format(middle="pass"))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "kvparity"]
    command = ["shadow", "--max-share", "none", "--quiet", "--report", "report", "train.py"]
    paths = (folder / "packages", Path(__file__).parents[1])
    done = subprocess.run(  # noqa: S603
        [sys.executable, *launch, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ":".join(map(str, paths)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (folder / "report/index.html").exists(), done.stdout + done.stderr
    return folder / "report/index.html"


def hostile(result: Result) -> Result:
    """The same, with HTML and script wherever a trace, a path, a cache or a user may say anything."""
    first = {group: _hostile(divergence) for group, divergence in result.first.items()}
    return replace(
        result,
        workload=SCRIPT,
        reference=SCRIPT,
        candidate=SCRIPT,
        first=first,
        kept=[_hostile(divergence) for divergence in result.kept],
        missing=[SCRIPT],
        programs=dict.fromkeys(first, SCRIPT),
    )


def _hostile(divergence: Divergence) -> Divergence:
    moment = Moment(number=1, operation="set", pool=SCRIPT, reference=SCRIPT, candidate=SCRIPT)
    return replace(
        divergence,
        pool=SCRIPT,
        reference=SCRIPT,
        candidate=SCRIPT,
        explanation=SCRIPT,
        difference=SCRIPT,
        known=SCRIPT,
        exhibit=Exhibit(history=(moment, moment), heat=((SCRIPT, ((1.0,),)),)),
    )


def large(*, runs: int = 10, operations: int = 1_000_000, divergences: int = 1_000) -> Result:
    """Ten runs of a million operations each that found a thousand divergences each, as data."""
    return merge([_large(seed, operations, divergences) for seed in range(runs)])


def _large(seed: int, operations: int, divergences: int) -> Result:
    kept = [_synthetic(seed, number) for number in range(divergences)]
    groups = Counter((each.kind, each.wrong) for each in kept)
    points = range(1, 257)
    columns = {name: [each * 1000 for each in points] for name in ("hits", "misses", "evictions", "length")}
    columns["size_bytes"] = [8 << 20] * len(points)
    pools = [*(f"init[{env}]" for env in range(8)), "recur", "wm"]
    latency = Latency(counts={bucket: bucket + 1 for bucket in range(64, 160)}, longest_ns=10**7)
    return Result(
        workload=f"run {seed}",
        spec=CacheSpec(),
        reference="legacy-evicting",
        candidate="refactored-fifo",
        operations=Counter(set=operations // 2, get=operations // 2),
        gets_compared=operations // 2,
        values_compared=operations // 2,
        total=divergences,
        unexpected=Counter(corruption=groups["stale_hit", "reference"], behaviour=groups["presence", "candidate"]),
        by_kind=Counter(each.kind for each in kept),
        by_side=Counter(each.wrong for each in kept),
        by_known=Counter(),
        by_group=groups,
        first={(each.kind, each.wrong): each for each in reversed(kept)},
        kept=kept,
        stats={},
        elapsed_s=100.0,
        seed=seed,
        timeline=Timeline(
            operations=[each * operations // 256 for each in points],
            elapsed_s=[each / 3 for each in points],
            corruption=[2 * each for each in points],
            behaviour=[2 * each for each in points],
            resident_bytes=[1 << 30] * len(points),
            sides={side: dict.fromkeys(pools, columns) for side in ("reference", "candidate")},
        ),
        latencies={side: dict.fromkeys(("get", "set"), latency) for side in ("reference", "candidate")},
    )


def _synthetic(seed: int, number: int) -> Divergence:
    kind, wrong = ("stale_hit", "reference") if number % 2 else ("presence", "candidate")
    key = (seed * 1_000_003 + number) * 0x9E3779B97F4A7C15 % 2**64
    history = tuple(Moment(each, "set", "recur", "set 0123456789ab", "set 0123456789ab") for each in range(24))
    heat = tuple((f"layer {at // 2}, {'KV'[at % 2]}", (tuple([0.125] * 8),) * 2) for at in range(4))
    return Divergence(
        number=number * 100,
        operation="checkout",
        pool=f"init[{number % 8}], recur",
        key=key,
        kind=kind,
        reference="hit e9d2dbc5c537",
        candidate="hit 8cae31cdcd49",
        wrong=wrong,
        explanation=f"legacy-evicting returned the value that operation {number} set under key {key:#018x} in recur;"
        f" this key was last set by operation {number + 1} in recur",
        difference="layer 0, K: Tensor-likes are not equal!\n\nMismatched elements: 64 / 512 (12.5%)",
        exhibit=Exhibit(history=history, heat=heat) if number < 50 else None,
    )
