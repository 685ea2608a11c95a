"""Results, benches and trainings to judge, and what a verdict says of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from kvparity import Result
from kvparity.evidence import Coverage, Exercised, Provenance, Timeline
from kvparity.results.result import TrainingAccount
from kvparity.verdict import (
    INCONCLUSIVE,
    Check,
    Trained,
    Verdict,
    ratios_of,
    verdict_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1 << 20
SAME = Trained(candidate="rewrite", verdict="SAME", reason="all equal", repeats=True, failed=False)


def provenance(**inputs: str) -> Provenance:
    """Of a run of a command."""
    return Provenance(
        command="kvparity run pool-pressure",
        began="2026-01-01",
        versions={"torch": "2"},
        machine="m",
        device="cpu",
        inputs={name.replace("_", " "): digest for name, digest in inputs.items()},
    )


def timeline(*, growth: float = 0.0, own: float = 0.0, points: int = 200) -> Timeline:
    """Of 100,000 operations; memory grows by so many bytes with each."""
    at = [500 * point for point in range(1, points + 1)]
    columns: dict[str, list[int | None]] = {name: [0] * points for name in ("hits", "misses", "evictions", "length")}
    columns["size_bytes"] = [round(own * operations) for operations in at]
    return Timeline(
        operations=at,
        elapsed_s=[0.0] * points,
        corruption=[0] * points,
        behaviour=[0] * points,
        resident_bytes=[200 * MIB + round(growth * operations) for operations in at],
        sides={"candidate": {"recur": columns}},
    )


def result(**changes: Any) -> Result:
    """Of a long run that exercised everything, and found nothing."""
    families = {
        "init": Exercised(pools=2, used=2, wrapped=2, sets=9000, resets=5, hits=50, misses=5, clears=3),
        "recur": Exercised(pools=1, used=1, wrapped=1, sets=9000, resets=5, hits=50, misses=5, clears=3),
        "wm": Exercised(pools=1),
    }
    for family in families.values():
        family.evictions = {"reference": 7 * family.used, "candidate": 7 * family.used}
    fields: dict[str, Any] = {
        "workload": "pool-pressure",
        "spec": None,
        "reference": "original",
        "candidate": "rewrite",
        "operations": Counter(get=50_000, set=50_000),
        "gets_compared": 50_000,
        "values_compared": 40_000,
        "total": 0,
        "unexpected": Counter(),
        "by_kind": Counter(),
        "by_side": Counter(),
        "by_known": Counter(),
        "by_group": Counter(),
        "first": {},
        "kept": [],
        "stats": {},
        "elapsed_s": 1.0,
        "seed": 3,
        "coverage": Coverage(
            families=families,
            strategies={
                "reference": {"init": ["fifo"], "recur": ["fifo"], "wm": ["fifo"]},
                "candidate": {"init": ["fifo"], "recur": ["lru"], "wm": ["lru"]},
            },
            environments=2,
            environments_seen=2,
            kinds=["2 layers"],
        ),
        "timeline": timeline(),
        "provenance": provenance(),
    }
    return Result(**{**fields, **changes})


def bench(*intervals: tuple[float, float], confidence: float = 0.96, **changes: Any) -> dict[str, Any]:
    """As `kvparity bench --json` writes it, one workload for each interval."""
    return {
        "settings": {"reference": "original", "candidates": ["rewrite", "another"]},
        "machine": {"torch": "2"},
        "runs": [
            {
                "workload": f"workload {number}",
                "ratios": {
                    "rewrite": {
                        "time": {"median": (low + high) / 2, "low": low, "high": high, "confidence": confidence}
                    },
                    "another": {"time": {"median": 9, "low": 9, "high": 9, "confidence": 1.0}},
                },
                "failures": {},
            }
            for number, (low, high) in enumerate(intervals)
        ],
        **changes,
    }


FAST = ratios_of(bench((0.5, 0.6)), "bench.json")


def judged(*results: Result, **options: Any) -> Verdict:
    """With a bench that is in order, unless it says otherwise."""
    return verdict_of(results or [result()], **{"bench": [FAST], **options})


def check(verdict: Verdict, name: str) -> Check:
    """The check of that name."""
    [found] = [each for each in verdict.checks if each.name == name]
    return found


def leaking(**slopes: float) -> Result:
    """A run in which memory grows."""
    return result(timeline=timeline(**slopes))


def training_of(**changes: Any) -> TrainingAccount:
    """A training that was shadowed whole."""
    fields: dict[str, Any] = {
        "models": ("WorldModel 1",),
        "serve": "reference",
        "compare_every": 1,
        "passed_over": 0,
        "shadow_s": 1.0,
        "wall_s": 50.0,
        "stopped": None,
    }
    return TrainingAccount(**{**fields, **changes})


def lacking(change: Callable[[Result], object]) -> list[str]:
    """What the coverage lacks after a change."""
    found = result()
    change(found)
    verdict = judged(found)
    assert verdict.outcome == INCONCLUSIVE
    assert len({each.command for each in verdict.lacking}) == 1  # one command supplies it all
    return [each.name.partition(": ")[2] for each in verdict.lacking]
