"""`ShadowCache` finds memory that two keep: references to what was set, loans, working copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from kvparity import (
    ALL,
    RECUR,
    WM,
    CacheSpec,
    KeysValues,
    PoolId,
    init,
)
from kvparity.shadow.loans import WATCH_EVERY, reads_back
from kvparity_scenarios.faults import FAULTS
from support import doubles
from support.shadows import correct, fault, found, only, shadow, value

if TYPE_CHECKING:
    from kvparity import Cache


@pytest.mark.parametrize("faulty", [FAULTS["by-reference"], FAULTS["detach-taken-for-copy"]])
def test_references_to_the_producers_object_are_found_at_once(faulty: type[Cache]) -> None:
    """After a second set the first key returns the second's bytes."""
    cache = shadow(faulty())
    cache.set(RECUR, 1, value(1))
    cache.set(RECUR, 2, value(2))
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "candidate")
    assert "returned the value that operation 1 set under key 0x0000000000000002 in recur" in only(cache).explanation


def test_references_are_found_where_the_next_value_is_of_another_kind() -> None:
    """The object that was handed over is not overwritten then, and yet does not stay as it was."""
    cache = shadow(fault("by-reference"))
    cache.set(RECUR, 1, value(1))
    cache.set(RECUR, 2, value(2, tokens=3))
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "candidate")


def turned(number: float) -> KeysValues:
    """An entry `[1, 1, 3, 2]` whose tokens and numbers lie exchanged in memory."""
    tensors = [(torch.arange(6.0) * sign + number).reshape(1, 1, 2, 3).transpose(2, 3) for sign in (1, -1)]
    return KeysValues(tensors, (1, 2))


def test_a_value_is_handed_over_in_its_own_memory_layout() -> None:
    """A cache that reads memory in order is found out, and a sound one is right."""
    cache, correct_cache = shadow(fault("reads-memory-in-order")), shadow(correct())
    for each in (cache, correct_cache):
        each.set(RECUR, 1, value(1))
        each.set(RECUR, 2, turned(2))
        each.get(RECUR, 2)
    assert found(cache) == ("stale_hit", "corruption", "candidate")
    assert correct_cache.log.total == 0


def test_a_loan_that_the_next_lookup_overwrites_is_found() -> None:
    """Every fourth get is watched until the next set of its pool, and no other."""
    cache = shadow(fault("lends-one-buffer"))
    cache.set(RECUR, 1, value(1))
    cache.set(RECUR, 2, value(2))
    for key in (2, 2, 2, 1, 2):
        cache.get(RECUR, key)
    cache.set(init(0), 3, value(3))
    assert cache.log.total == 0
    cache.set(RECUR, 3, value(3))
    told = only(cache)
    assert (told.number, told.operation, told.pool, told.key) == (5, "get", "recur", 1)
    assert told.explanation == "the value that candidate lent changed before the next set or clear of recur"


def test_a_loan_is_looked_at_before_the_next_value_is_handed_over() -> None:
    """What the producer does to its object for that set comes after the loan's end."""
    cache = shadow(fault("by-reference"))
    cache.set(RECUR, 1, value(1))
    for _ in range(4):
        cache.get(RECUR, 1)
    cache.set(RECUR, 2, value(2))
    assert cache.log.total == 0


@pytest.mark.parametrize("pool", [RECUR, ALL])
def test_a_loan_is_watched_until_its_pool_is_cleared(pool: PoolId) -> None:
    """By itself or with others; and then it is told once."""
    cache = shadow(fault("lends-one-buffer"))
    cache.set(RECUR, 1, value(1))
    cache.set(RECUR, 2, value(2))
    for key in (2, 2, 2, 1, 2):
        cache.get(RECUR, key)
    cache.clear(init(0))
    assert cache.log.total == 0
    cache.clear(pool)
    cache.clear(pool)
    assert found(cache) == ("stale_hit", "corruption", "candidate")


def test_an_entry_that_is_its_own_working_copy_is_found() -> None:
    """The consumer's write shows at the next lookup."""
    cache = shadow(fault("working-copy-is-entry"))
    cache.set(RECUR, 1, value(1))
    cache.checkout(0, 1)
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "candidate")
    assert "returned data that no key holds now" in only(cache).explanation


@pytest.mark.parametrize("name", ["working-copy-loses-sizes", "working-copy-joins-equal-tensors"])
def test_a_write_that_does_not_read_back_is_found(name: str) -> None:
    """Every fourth working copy is read again after its consumer's write; K and V of this entry are equal."""
    cache = shadow(fault(name))
    for key in range(3):
        cache.set(RECUR, key, KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=3, head_dim=2, size=1))
        cache.checkout(0, key)
    assert cache.log.total == 0
    cache.checkout(0, 2)
    told = only(cache)
    assert (told.kind, told.wrong, told.number, told.operation, told.key) == (
        "stale_hit",
        "candidate",
        6,
        "checkout",
        2,
    )
    assert (
        "the consumer wrote a token into layer 0, V of the working copy that candidate lent to env 0"
        in told.explanation
    )


def test_writes_are_read_back_always_at_first_and_then_now_and_then() -> None:
    """It takes time, and a cache that loses writes loses them from the start on."""
    watched = range(0, 8 * 1024, WATCH_EVERY)
    assert all(reads_back(turn) for turn in watched if turn < 16)
    assert [turn for turn in watched if turn >= 16 and reads_back(turn)] == list(range(64, 8 * 1024, 64))


def test_a_source_that_is_written_into_later_is_found() -> None:
    """Every fourth is looked at again when the next set takes it back, and blamed on the set that it was given to."""
    cache = shadow(fault("writes-into-source-later"))
    for key in range(4):
        cache.set(RECUR, key, value(key))
    cache.get(RECUR, 0)
    assert cache.log.total == 0
    cache.set(RECUR, 9, value(9))
    told = only(cache)
    assert (told.kind, told.wrong, told.number, told.operation, told.key) == ("stale_hit", "candidate", 3, "set", 3)
    assert told.explanation.endswith("after the set and before the next one")


@pytest.mark.parametrize("env_num", [2, 8])
def test_a_working_copy_that_is_shared_is_found(env_num: int) -> None:
    """Every fourth is watched: it must stay its consumer's until `env_num` further checkouts."""
    spec = CacheSpec(env_num=env_num)
    cache = shadow(fault("one-working-copy", spec), spec=spec)
    for key in range(3 + env_num):
        cache.set(RECUR, key, value(key))
        cache.checkout(key % env_num, key)
    assert cache.log.total == 0
    cache.checkout(0, 0)
    told = only(cache)
    assert (told.number, told.operation, told.pool, told.key) == (7, "checkout", "wm", 3)
    assert told.explanation == (
        f"the working copy that candidate lent to env {3 % env_num} changed while the consumer owned it;"
        f" the consumer owns it until {env_num} more checkouts have been made"
    )


def test_a_working_copy_is_watched_through_clears_of_other_pools() -> None:
    """A consumer keeps it when the entry that it was made from is forgotten."""
    cache = shadow(fault("one-working-copy"))
    for key in range(5):
        cache.set(RECUR, key, value(key))
        cache.checkout(0, key)
        cache.clear(RECUR)
    cache.checkout(0, 9)
    assert found(cache) == ("stale_hit", "corruption", "candidate")


@pytest.mark.parametrize("pool", [WM, ALL])
def test_a_clear_of_wm_takes_working_copies_back(pool: PoolId) -> None:
    """By itself or with others: a cache may use the slot at once."""
    spec = CacheSpec(env_num=3)
    cache = shadow(correct(spec), correct(spec), spec)
    for turn in range(12):
        cache.set(RECUR, turn, value(turn))
        cache.checkout(0, turn)
        if turn == 3:
            cache.clear(pool)
    assert cache.log.total == 0


def test_a_set_in_wm_takes_working_copies_back() -> None:
    """The caller takes a slot, which may be that of any working copy."""
    spec = CacheSpec(env_num=3)
    cache = shadow(correct(spec), correct(spec), spec)
    for turn in range(12):
        cache.set(RECUR, turn, value(turn))
        cache.checkout(0, turn)
        for key in range(3):
            cache.set(WM, 100 + 3 * turn + key, value(key))
    assert cache.log.total == 0


def test_a_working_copy_that_cannot_be_written_into_is_found() -> None:
    """The consumer owns it, and would."""
    cache = shadow(doubles.LendsFrozenSizes())
    cache.set(RECUR, 1, value(1))
    cache.checkout(1, 1)
    assert found(cache) == ("error", "corruption", "candidate")
    told = only(cache)
    assert (told.number, told.operation, told.pool, told.key) == (1, "write", "wm", None)
    assert told.candidate == "raised FrozenInstanceError: cannot assign to field '_size'"
