"""Durations of operations, as a distribution."""

from __future__ import annotations

from collections import Counter

import pytest

from kvparity.driving.comparison import Comparison
from kvparity.evidence import Latency
from kvparity.evidence.latency import Stopwatch
from kvparity.registry import load_scenario


def test_quantiles_are_true_to_a_bucket() -> None:
    """Within 9 % of the exact ones; the longest exactly."""
    latency = Latency()
    for elapsed_ns in range(1000, 101_000, 10):
        latency.add(elapsed_ns)
    assert latency.samples == 10_000
    for q in (0.5, 0.9, 0.99):
        assert latency.quantile_ns(q) == pytest.approx(1000 + 100_000 * q, rel=0.09)
    assert latency.longest_ns == 100_990
    assert latency.quantile_ns(1.0) <= 100_990


def test_the_mean_is_true_to_some_percent() -> None:
    """Buckets are narrow enough for it, and of many durations the errors even out."""
    latency = Latency()
    durations = [1000 + 37 * number for number in range(1000)]
    for duration in durations:
        latency.add(duration)
    assert latency.mean_ns == pytest.approx(sum(durations) / 1000, rel=0.02)
    assert Latency().mean_ns is None


def test_without_samples_there_is_no_quantile() -> None:
    """Not a zero."""
    assert Latency().quantile_ns(0.5) is None


def test_a_stopwatch_counts_what_raises_too() -> None:
    """And passes the exception on."""
    watch = Stopwatch()
    watch.kind = "set"
    with pytest.raises(ZeroDivisionError):
        watch.run(lambda: 1 // 0)
    assert watch.taken["set"].samples == 1


def test_both_sides_are_timed_on_the_same_operations() -> None:
    """A sample of each kind that comes often, as many on one side as on the other."""
    result = Comparison("legacy-evicting", "refactored-fifo").scenario(load_scenario("mcts"), seed=0, steps=5000)
    reference, candidate = (
        {kind: latency.samples for kind, latency in result.latencies[side].items()}
        for side in ("reference", "candidate")
    )
    assert reference == candidate
    assert reference["set"] > 50
    assert reference["checkout"] > 50


def test_what_the_candidate_itself_took_is_told_by_the_sample() -> None:
    """For each kind, the mean of those that were timed times all of them."""
    result = Comparison("legacy-evicting", "refactored-fifo").scenario(load_scenario("mcts"), seed=0, steps=100)
    result.operations = Counter(set=1_000_000, get=500_000, clear=1)
    result.latencies = {"reference": {}, "candidate": {"set": Latency(), "get": Latency()}}
    assert result.candidate_s is None
    result.latencies["candidate"]["set"].add(1000)
    result.latencies["candidate"]["get"].add(4000)
    assert result.candidate_s == pytest.approx(3.0, rel=0.05)
