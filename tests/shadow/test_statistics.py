"""`ShadowCache` finds counters that lie."""

from __future__ import annotations

import pytest

from kvparity import (
    RECUR,
    CacheSpec,
    KeysValues,
    PoolId,
    init,
)
from kvparity_scenarios.faults import FAULTS
from support import doubles
from support.shadows import SPEC, correct, fault, shadow, value


def test_counters_that_lie_are_told_once() -> None:
    """Each of hits, misses, evictions and length, per pool, is told at the first check only."""
    cache = shadow(doubles.Lies(), spec=CacheSpec(env_num=1))
    cache.set(RECUR, 1, value(1))
    cache.get(RECUR, 1)
    cache.check_stats()
    cache.check_stats()
    assert cache.log.by_group == {("stats", "candidate"): 8}
    explanations = {divergence.explanation for divergence in cache.log.kept}
    assert "candidate reports hits 1000 for recur; the right number is 1" in explanations
    assert "candidate reports length 1000 for init[0]; the right number is 0" in explanations


def test_statistics_are_checked_during_a_long_run() -> None:
    """Every 10,000 operations, without anybody asking."""
    cache = shadow(doubles.Lies(), spec=CacheSpec(env_num=1))
    for _ in range(9_999):
        cache.get(RECUR, 1)
    assert cache.log.total == 0
    cache.get(RECUR, 1)
    told = cache.log.by_kind["stats"]
    assert told > 0
    cache.get(RECUR, 1)
    assert cache.log.by_kind["stats"] == told


@pytest.mark.parametrize("lookup", ["get", "checkout"])
def test_sides_that_leave_their_strategy_alike_are_not_called_liars(lookup: str) -> None:
    """Both hold one key fewer than they should and both say so: what they count is what they do."""
    first, second = (FAULTS["one-slot-fewer"](SPEC.config(), SPEC.env_num) for _ in range(2))
    cache = shadow(first, second, SPEC)
    for key in range(SPEC.recur_pool_size):
        cache.set(RECUR, key, value(key))
    look_up = cache.get if lookup == "get" else cache.checkout
    assert look_up(RECUR if lookup == "get" else 0, 0) is None
    cache.check_stats()
    assert cache.log.total == 0, cache.log.kept


def test_counters_that_lie_from_the_start_are_told_as_of_before_the_first_operation() -> None:
    """Which is number 0, and nothing has been answered yet."""
    cache = shadow(doubles.Lies())
    cache.check_stats()
    assert {divergence.number for divergence in cache.log.kept} == {-1}
    assert [str(answer) for answer in cache.answers] == ["miss", "miss"]


def test_counters_that_lie_are_told_of_the_operation_before_the_check() -> None:
    """A check of statistics is no operation of its own."""
    cache = shadow(doubles.Lies())
    cache.get(RECUR, 1)
    cache.get(RECUR, 1)
    cache.check_stats()
    assert {divergence.number for divergence in cache.log.kept} == {1}


def test_true_counters_of_checkouts_are_believed() -> None:
    """Hits of either pool and misses of both are seen as a cache counts them."""
    cache = shadow(correct(), correct())
    cache.set(init(0), 1, value(1))
    cache.set(RECUR, 2, value(2))
    for key in (1, 1, 2, 3):
        cache.checkout(0, key)
    cache.check_stats()
    assert cache.log.total == 0, cache.log.kept


@pytest.mark.parametrize(
    ("in_init", "in_recur", "answered"),
    [(value(1), None, init(0)), (value(1), value(9), init(0)), (None, value(9), RECUR)],
)
def test_counters_are_checked_after_checkouts(
    in_init: KeysValues | None, in_recur: KeysValues | None, answered: PoolId
) -> None:
    """Where it is plain which pool answered."""
    cache = shadow(doubles.Lies())
    for pool, entry in ((init(0), in_init), (RECUR, in_recur)):
        if entry is not None:
            cache.set(pool, 1, entry)
    cache.checkout(0, 1)
    cache.check_stats()
    explanations = {divergence.explanation for divergence in cache.log.kept}
    assert f"candidate reports hits 1000 for {answered}; the right number is 1" in explanations
    assert f"candidate reports length 1000 for {answered}; the right number is 1" in explanations


def test_counters_are_not_checked_where_nobody_can_tell_which_pool_answered() -> None:
    """Init and recur hold the same bytes under the key; one cache looks into the one first, one into the other."""
    cache = shadow(fault("checkout-prefers-recur"))
    cache.set(init(0), 1, value(1))
    cache.set(RECUR, 1, value(1))
    cache.checkout(0, 1)
    cache.check_stats()
    assert cache.log.total == 0, cache.log.kept
