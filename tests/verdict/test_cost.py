"""Whether the candidate is slower, and whether memory grows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from kvparity import CacheSpec, UsageError
from kvparity.evidence import Timeline
from kvparity.settings import Thresholds
from kvparity.verdict import (
    FAILED,
    GO,
    PASSED,
    UNKNOWN,
    ratios_of,
)
from support.verdicts import FAST, MIB, bench, check, judged, leaking, provenance, result, timeline, training_of

# ---------------------------------------------------------------- speed


@pytest.mark.parametrize(
    ("intervals", "outcome"),
    [
        ([(0.9, 1.05)], PASSED),
        ([(0.9, 1.06)], UNKNOWN),
        ([(1.04, 1.3)], UNKNOWN),
        ([(1.051, 1.3)], FAILED),
        ([(0.9, 1.0), (0.9, 1.2)], UNKNOWN),
        ([(0.9, 1.2), (1.1, 1.2)], FAILED),
        ([], UNKNOWN),
    ],
)
def test_slow_is_what_lies_above_the_limit_with_its_whole_interval(
    intervals: list[tuple[float, float]], outcome: str
) -> None:
    """In any workload; an interval that straddles the limit tells nothing."""
    assert check(judged(bench=[ratios_of(bench(*intervals), "b")]), "speed").outcome == outcome


def test_too_few_repeats_tell_nothing() -> None:
    """However far from the limit."""
    found = check(judged(bench=[ratios_of(bench((2.0, 3.0), confidence=0.5), "b")]), "speed")
    assert found.outcome == UNKNOWN
    assert "too few repeats" in found.sentence


def test_the_limit_can_be_set() -> None:
    """For a cache that may be twice as slow."""
    slow = ratios_of(bench((1.5, 1.9)), "b")
    assert check(judged(bench=[slow], thresholds=Thresholds(time_ratio=2.0)), "speed").outcome == PASSED


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"reference": "original", "candidates": ["another"]},
            "the bench timed another, and the results are of rewrite: run `kvparity",
        ),
        (
            {"reference": "yours", "candidates": ["rewrite"]},
            "with yours, and the results with original: run `kvparity bench",
        ),
    ],
)
def test_a_bench_of_other_caches_is_refused(settings: dict[str, Any], message: str) -> None:
    """With the command that would time the right ones."""
    with pytest.raises(UsageError, match=message):
        judged(bench=[ratios_of(bench(settings=settings), "b")])


def test_a_training_may_be_timed_against_another_original() -> None:
    """LightZero's own caches stand in its model, and cannot be timed apart from it; the sentence says against what."""
    other = ratios_of(bench((0.5, 0.6), settings={"reference": "legacy-released", "candidates": ["rewrite"]}), "b")
    found = check(judged(result(training=training_of()), bench=[other]), "speed")
    assert found.outcome == PASSED
    assert "times the time of legacy-released" in found.sentence


def test_a_bench_of_another_version_tells_nothing() -> None:
    """Neither that the cache is fast nor that it is slow; one of this version still does."""
    compared = result(provenance=provenance(cache_rewrite="a" * 64))
    for interval in ((0.5, 0.6), (2.0, 3.0)):
        other = ratios_of(
            bench(interval, provenance={"inputs": {"cache rewrite": "b" * 64, "cache another": "c"}}), "b"
        )
        found = check(judged(compared, bench=[FAST, other]), "speed")
        assert found.outcome == UNKNOWN
        assert found.sentence == "the bench timed another version of rewrite than the runs used: its source differs"
        assert found.command == "kvparity bench --reference original --candidate rewrite --json bench.json"
    slow = ratios_of(bench((2.0, 3.0)), "b")
    assert check(judged(compared, bench=[slow, other]), "speed").outcome == FAILED
    same = ratios_of(bench((0.5, 0.6), provenance={"inputs": {"cache rewrite": "a" * 64}}), "b")
    assert judged(compared, bench=[same]).outcome == GO


def test_a_bench_that_was_interrupted_shows_no_speed() -> None:
    """What is slow in it is slow all the same."""
    found = check(judged(bench=[ratios_of(bench((0.5, 0.6), interrupted=True), "b")]), "speed")
    assert found.outcome == UNKNOWN
    assert found.sentence == "the bench was interrupted, so that repeats are missing"
    assert check(judged(bench=[ratios_of(bench((2.0, 3.0), interrupted=True), "b")]), "speed").outcome == FAILED


def test_a_cache_against_itself_has_a_speed() -> None:
    """Where the candidate is the reference, a bench calls it `(again)`."""
    fields = bench((0.9, 1.0), settings={"reference": "rewrite", "candidates": ["rewrite (again)"]})
    [run] = fields["runs"]
    run["ratios"] = {"rewrite (again)": run["ratios"]["rewrite"]}
    itself = result(reference="rewrite (reference)", candidate="rewrite (candidate)")
    assert check(judged(itself, bench=[ratios_of(fields, "b")]), "speed").outcome == PASSED
    run["failures"] = {"rewrite (again)": "RuntimeError: no"}
    assert check(judged(itself, bench=[ratios_of(fields, "b")]), "speed").outcome == FAILED


# ---------------------------------------------------------------- memory


def test_growth_below_the_floor_is_not_called_a_leak() -> None:
    """It is not called sound either: a longer run tells."""
    found = check(judged(leaking(growth=1000), thresholds=Thresholds(memory_floor=64 * MIB)), "memory")
    assert found.outcome == UNKNOWN
    assert found.command.startswith("kvparity run pool-pressure --steps 400000 --seed 4 --reference original")


def test_growth_below_the_limit_passes() -> None:
    """The comparison itself remembers keys, some 100 bytes for each operation."""
    assert check(judged(leaking(growth=100)), "memory").outcome == PASSED


def test_a_short_run_says_nothing_of_memory() -> None:
    """And the command makes a longer one."""
    found = check(judged(result(operations=Counter(get=400))), "memory")
    assert found.outcome == UNKNOWN
    assert found.sentence == "the longest run has 400 operations; at least 50,000 are needed"
    assert "--steps 200000" in found.command


def test_pools_that_are_still_filled_are_no_leak() -> None:
    """Slots are allocated when they are first used."""
    filling = leaking(growth=1000)
    filling.coverage.families["init"].wrapped = 1
    found = check(judged(filling), "memory")
    assert found.outcome == UNKNOWN
    assert found.sentence.endswith("; its pools were still filling up")


def test_the_memory_of_a_training_is_not_the_candidates() -> None:
    """A replay buffer grows; what the candidate says of itself still counts."""
    assert check(judged(result(timeline=timeline(growth=1000), training=training_of())), "memory").outcome == PASSED
    assert check(judged(result(timeline=timeline(own=1000), training=training_of())), "memory").outcome == FAILED


def test_one_leaking_run_among_sound_ones_is_a_leak() -> None:
    """The worst is told."""
    assert check(judged(result(), leaking(growth=1000), result()), "memory").outcome == FAILED


def test_a_system_that_does_not_tell_its_memory_is_unknown() -> None:
    """Not sound."""
    found = check(judged(result(timeline=Timeline())), "memory")
    assert (found.outcome, found.sentence) == (UNKNOWN, "too few measurements of memory were kept")


def test_slots_are_known_where_the_sizes_are() -> None:
    """A pool that was set often enough is filled, whether it was ever wrapped or not: searches clear it first."""
    searched = result(timeline=timeline(growth=1000), spec=CacheSpec(env_num=2, init_pool_size=10, num_simulations=50))
    searched.coverage.families["recur"].wrapped = 0
    assert check(judged(searched), "memory").outcome == FAILED
    searched.coverage.families["recur"].sets = 399  # of 100 slots
    assert check(judged(searched), "memory").outcome == UNKNOWN
