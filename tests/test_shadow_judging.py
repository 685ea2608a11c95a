"""`ShadowCache` finds whatever a side does wrong, and blames it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import doubles
import pytest
import torch
from shadows import SPEC, fault, found, only, shadow, sound, value

from harness import (
    ALL,
    RECUR,
    WM,
    CacheSpec,
    KeysValues,
    PoolId,
    Tolerance,
    adapt,
    fingerprint,
    init,
)
from harness.values import read
from legacy import EvictingCache, ReleasedCache
from refactored import fifo, lru
from scenarios.faults import FAULTS

if TYPE_CHECKING:
    from harness import Cache

# ---------------------------------------------------------------- content


@pytest.mark.parametrize("faulty", [doubles.ByReference, doubles.KeepsTensors])
def test_references_to_the_producers_object_are_found_at_once(faulty: type[Cache]) -> None:
    """After a second set the first key returns the second's bytes."""
    cache = shadow(faulty())
    cache.set(RECUR, 1, value(1))
    cache.set(RECUR, 2, value(2))
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "candidate")
    assert "returned the value that operation 1 set in recur under key 0x0000000000000002" in only(cache).explanation


def test_references_are_found_where_the_next_value_is_of_another_kind() -> None:
    """The object that was handed over is not overwritten then, and yet does not stay as it was."""
    cache = shadow(doubles.ByReference())
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
    cache, sound_cache = shadow(fault("reads-memory-in-order")), shadow(sound())
    for each in (cache, sound_cache):
        each.set(RECUR, 1, value(1))
        each.set(RECUR, 2, turned(2))
        each.get(RECUR, 2)
    assert found(cache) == ("stale_hit", "corruption", "candidate")
    assert sound_cache.log.total == 0


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
    assert told.explanation == "what candidate lent changed before the next set or clear of recur"


def test_a_loan_is_looked_at_before_the_next_value_is_handed_over() -> None:
    """What the producer does to its object for that set comes after the loan's end."""
    cache = shadow(doubles.ByReference())
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
    cache = shadow(doubles.LendsTheEntry())
    cache.set(RECUR, 1, value(1))
    cache.checkout(0, 1)
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "candidate")
    assert "returned bytes that are no key's last value" in only(cache).explanation


@pytest.mark.parametrize("env_num", [2, 8])
def test_a_working_copy_that_is_shared_is_found(env_num: int) -> None:
    """Every fourth is watched: it must stay its consumer's until `env_num` further checkouts."""
    cache = shadow(doubles.SharesOneWorkingCopy(), spec=CacheSpec(env_num=env_num))
    for key in range(3 + env_num):
        cache.set(RECUR, key, value(key))
        cache.checkout(key % env_num, key)
    assert cache.log.total == 0
    cache.checkout(0, 0)
    told = only(cache)
    assert (told.number, told.operation, told.pool, told.key) == (7, "checkout", "wm", 3)
    assert told.explanation == (
        f"the working copy that candidate lent to env {3 % env_num} changed while it was the consumer's,"
        f" which it is for {env_num} checkouts"
    )


def test_a_working_copy_is_watched_through_clears_of_other_pools() -> None:
    """A consumer keeps it when the entry that it was made from is forgotten."""
    cache = shadow(doubles.SharesOneWorkingCopy())
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
    cache = shadow(sound(spec), sound(spec), spec)
    for turn in range(12):
        cache.set(RECUR, turn, value(turn))
        cache.checkout(0, turn)
        if turn == 3:
            cache.clear(pool)
    assert cache.log.total == 0


def test_a_set_in_wm_takes_working_copies_back() -> None:
    """The caller takes a slot, which may be that of any working copy."""
    spec = CacheSpec(env_num=3)
    cache = shadow(sound(spec), sound(spec), spec)
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


@pytest.mark.parametrize("faulty", [doubles.KeepsNegativeZeroOut, doubles.ForgetsThePadding])
def test_bytes_are_compared_and_all_of_them(faulty: type[Cache]) -> None:
    """Numbers that are equal may differ in bits, and padding is copied as well."""
    cache = shadow(faulty())
    cache.set(RECUR, 1, value(-0.0))
    cache.set(RECUR, 2, value(1))
    cache.get(RECUR, 1 if faulty is doubles.KeepsNegativeZeroOut else 2)
    assert found(cache) == ("stale_hit", "corruption", "candidate")


def test_a_hit_after_a_clear_is_stale() -> None:
    """The key was cleared, so any bytes are wrong."""
    cache = shadow(doubles.ClearsNothing())
    cache.set(RECUR, 1, value(1))
    cache.clear(RECUR)
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "candidate")
    assert "for a key that was not set since the clear of recur at operation 1" in only(cache).explanation


def test_an_old_value_is_stale() -> None:
    """A re-set that did not take is found."""
    cache = shadow(doubles.KeepsTheFirstValue())
    cache.set(RECUR, 1, value(1))
    cache.set(RECUR, 1, value(2))
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "candidate")
    assert "operation 1 set other bytes under it in recur" in only(cache).explanation


def test_a_hit_for_a_key_never_set_is_stale() -> None:
    """Nothing can be right for it."""
    cache = shadow(doubles.Invents())
    cache.get(init(1), 7)
    assert found(cache) == ("stale_hit", "corruption", "candidate")
    assert "for a key that was never set there" in only(cache).explanation


def test_a_reference_at_fault_is_blamed() -> None:
    """The side that serves is held to the same truth."""
    cache = shadow(doubles.Plain(), doubles.KeepsTheFirstValue())
    cache.set(RECUR, 1, value(1))
    cache.set(RECUR, 1, value(2))
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "reference")


def test_two_sides_that_are_wrong_alike_are_both_blamed() -> None:
    """They agree with each other, and not with the truth."""
    cache = shadow(doubles.KeepsTheFirstValue(), doubles.KeepsTheFirstValue())
    cache.set(RECUR, 1, value(1))
    cache.set(RECUR, 1, value(2))
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "both")


def test_the_original_returns_another_keys_tensors() -> None:
    """LightZero 0.2.0's ring, once it has come round, is blamed for it."""
    cache = shadow(adapt(fifo(SPEC.config(), 2)), ReleasedCache(SPEC.config(), 2), SPEC)
    for key in range(5):
        cache.set(RECUR, key, value(key))
    cache.get(RECUR, 0)
    assert found(cache) == ("stale_hit", "corruption", "reference")
    assert only(cache).candidate == "miss"


@pytest.mark.parametrize(
    ("faulty", "kind"),
    [
        (doubles.ForgetsTheSize, "size"),
        (doubles.Casts, "dtype"),
        (doubles.Reinterprets, "dtype"),
        (doubles.Pads, "shape"),
        (doubles.DropsAnAxis, "shape"),
    ],
)
def test_tensors_of_another_kind_say_so(faulty: type[Cache], kind: str) -> None:
    """Where not only the numbers differ, the divergence names what does, and shows it."""
    cache = shadow(faulty())
    cache.set(RECUR, 1, value(1))
    cache.get(RECUR, 1)
    assert found(cache) == (kind, "corruption", "candidate")
    assert f"the {kind}s do not match" in only(cache).difference


def test_right_bytes_on_another_device_are_found() -> None:
    """They are corruption too."""
    cache = shadow(doubles.AnswersFromElsewhere())
    cache.set(RECUR, 1, value(1))
    cache.get(RECUR, 1)
    assert found(cache) == ("device", "corruption", "candidate")
    assert only(cache).difference == "layer 0, K: the devices do not match: cpu != meta"


def test_a_reference_that_answers_from_another_device_is_found() -> None:
    """It is held to the same truth."""
    cache = shadow(doubles.Plain(), doubles.AnswersFromElsewhere())
    cache.set(RECUR, 1, value(1))
    cache.get(RECUR, 1)
    assert found(cache) == ("device", "corruption", "reference")


@pytest.mark.parametrize("at", [1, 2, 3])
def test_one_tensor_on_another_device_is_found(at: int) -> None:
    """Whichever it is."""

    class Strays(doubles.Changed):
        def change(self, value: KeysValues) -> KeysValues:
            tensors, sizes = read(value)
            tensors[at] = tensors[at].as_subclass(doubles.Elsewhere)
            return KeysValues(tensors, sizes)

    cache = shadow(Strays())
    cache.set(RECUR, 1, KeysValues.zeros(num_layers=2, num_heads=1, max_tokens=2, head_dim=2))
    cache.get(RECUR, 1)
    assert found(cache) == ("device", "corruption", "candidate")
    assert only(cache).explanation == "candidate returned the right bytes on several devices, where they were not set"


def test_wrong_bytes_on_another_device_say_so() -> None:
    """The device comes before the numbers."""

    class Stale(doubles.AnswersFromElsewhere, doubles.KeepsTheFirstValue):
        """Both faults in one."""

    cache = shadow(Stale())
    cache.set(RECUR, 1, value(1))
    cache.set(RECUR, 1, value(2))
    cache.get(RECUR, 1)
    assert found(cache) == ("device", "corruption", "candidate")


def test_numbers_within_the_tolerance_are_no_divergence() -> None:
    """`--compare tolerance` lets small differences of the candidate pass, and no others."""
    strict, lenient = shadow(doubles.RoundsALittle()), shadow(doubles.RoundsALittle(), tolerance=Tolerance())
    for cache in (strict, lenient):
        cache.set(RECUR, 1, value(3))
        cache.get(RECUR, 1)
    assert found(strict) == ("stale_hit", "corruption", "candidate")
    assert lenient.log.total == 0


def test_a_tolerance_excuses_no_wrong_reference() -> None:
    """Two sides that are close to each other may both be wrong."""
    cache = shadow(doubles.KeepsTheFirstValue(), doubles.KeepsTheFirstValue(), tolerance=Tolerance())
    cache.set(RECUR, 1, value(1))
    cache.set(RECUR, 1, value(2))
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "both")


# ---------------------------------------------------------------- no truth is known


def test_without_a_truth_two_values_differ_and_nobody_is_blamed() -> None:
    """Where watching began later, a hit may be of an entry from before."""
    reference, candidate = doubles.Plain(), doubles.Plain()
    reference.set(RECUR, 1, value(1))
    candidate.set(RECUR, 1, value(2))
    cache = shadow(candidate, reference, complete=False)
    cache.get(RECUR, 1)
    assert found(cache) == ("value", "corruption", "unknown")


@pytest.mark.parametrize("lookup", ["get", "checkout"])
def test_without_a_truth_an_entry_of_one_side_alone_blames_nobody(lookup: str) -> None:
    """A candidate that was attached later cannot hold what was set before, and the reference's answer is served."""
    reference = doubles.Plain()
    reference.set(RECUR, 1, value(1))
    cache = shadow(doubles.Plain(), reference, complete=False)
    answer = cache.get(RECUR, 1) if lookup == "get" else cache.checkout(0, 1)
    assert fingerprint(answer) == fingerprint(value(1))
    assert found(cache) == ("presence", "behaviour", "unknown")
    assert only(cache).explanation == (
        "only one side holds it; the key was set before the first operation that was seen, or too long ago to be known"
    )


def test_without_a_truth_equal_values_are_parity() -> None:
    """Nothing is said where nothing differs."""
    reference, candidate = doubles.Plain(), doubles.Plain()
    for side in (reference, candidate):
        side.set(RECUR, 1, value(1))
    cache = shadow(candidate, reference, complete=False)
    cache.get(RECUR, 1)
    assert cache.log.total == 0


def test_a_clear_makes_the_truth_complete() -> None:
    """After it every key is known again."""
    reference, candidate = doubles.ClearsNothing(), doubles.Plain()
    reference.set(RECUR, 1, value(1))
    cache = shadow(candidate, reference, complete=False)
    cache.clear(RECUR)
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "reference")


# ---------------------------------------------------------------- errors


def test_one_side_that_raises_is_blamed() -> None:
    """The other answered."""
    cache = shadow(doubles.Raises())
    cache.get(RECUR, 1)
    assert found(cache) == ("error", "corruption", "candidate")
    assert only(cache).candidate == "raised RuntimeError: no 1 in recur"


def test_both_raising_alike_is_agreement() -> None:
    """The same type of exception on both sides is counted, and no divergence."""
    cache = shadow(doubles.Raises(), doubles.Raises())
    with pytest.raises(RuntimeError):
        cache.get(RECUR, 1)
    assert cache.log.total == 0
    assert cache.both_raised == 1


def test_both_raising_differently_blames_both() -> None:
    """Neither should have raised, and they do not even agree on what."""
    cache = shadow(doubles.RaisesKeyError(), doubles.Raises())
    with pytest.raises(RuntimeError):
        cache.get(RECUR, 1)
    assert found(cache) == ("error", "corruption", "both")


def test_rubbish_is_told_from_an_exception() -> None:
    """The report says what was expected of an entry."""
    cache = shadow(doubles.ReturnsRubbish())
    cache.set(RECUR, 1, value(1))
    cache.get(RECUR, 1)
    assert found(cache) == ("error", "corruption", "candidate")
    assert only(cache).candidate.startswith("returned no entry: str is not a key/value cache entry")


# ---------------------------------------------------------------- presence


def test_a_side_that_lost_a_key_is_blamed() -> None:
    """Its declared strategy would still hold it."""
    cache = shadow(doubles.AlwaysMisses())
    cache.set(RECUR, 1, value(1))
    cache.get(RECUR, 1)
    assert found(cache) == ("presence", "behaviour", "candidate")
    assert only(cache).number == 1
    assert only(cache).explanation == (
        "candidate lost it since operation 0, which set it, though fifo over 100 slots still holds it"
    )


def test_a_side_that_keeps_too_much_is_blamed() -> None:
    """At the pool's capacity the key should be gone."""
    cache = shadow(doubles.Plain(), EvictingCache(SPEC.config(), 2), SPEC)
    for key in range(3):
        cache.set(init(0), key, value(key))
    cache.get(init(0), 0)
    assert found(cache) == ("presence", "behaviour", "candidate")
    assert only(cache).explanation == (
        "candidate still holds it, though fifo over 2 slots evicted it at operation 2 to make room for key"
        " 0x0000000000000002"
    )


def test_a_key_of_wm_that_made_room_for_a_working_copy_is_explained() -> None:
    """A working copy has no key of the caller's, and is made by no set."""
    cache = shadow(doubles.Plain(), sound(SPEC), SPEC)
    cache.set(RECUR, 1, value(1))
    cache.set(WM, 9, value(9))
    cache.checkout(0, 1)
    cache.checkout(1, 1)
    cache.get(WM, 9)
    assert found(cache) == ("presence", "behaviour", "candidate")
    assert only(cache).explanation == (
        "candidate still holds it, though fifo over 2 slots evicted it to make room for a working copy"
    )


def test_two_strategies_differ_by_design() -> None:
    """FIFO and LRU each do as they declare: nobody is wrong, and the report says so."""
    cache = shadow(adapt(lru(SPEC.config(), 2)), adapt(fifo(SPEC.config(), 2)), SPEC)
    cache.set(init(0), 1, value(1))
    cache.set(init(0), 2, value(2))
    cache.get(init(0), 1)
    cache.set(init(0), 3, value(3))
    cache.get(init(0), 1)
    assert found(cache) == ("presence", "behaviour", "neither")
    assert only(cache).explanation == (
        "by design: reference has dropped it: fifo over 2 slots evicted it at operation 3 to make room for key"
        " 0x0000000000000003; candidate holds it, as lru over 2 slots does"
    )


def test_the_reset_quirk_is_explained() -> None:
    """The drop is traced to the set that caused it and to the re-set that laid the trap."""
    names = ("legacy-evicting", "refactored-fifo")
    cache = shadow(adapt(fifo(SPEC.config(), 2)), EvictingCache(SPEC.config(), 2), SPEC, names=names)
    cache.set(init(0), 1, value(1))
    cache.set(init(0), 1, value(2))
    cache.set(init(0), 3, value(3))
    cache.get(init(0), 1)
    assert found(cache) == ("presence", "behaviour", "reference")
    assert only(cache).explanation == (
        "dropped from legacy-evicting by the set of key 0x0000000000000003 at operation 2: slot 0 still named it as its"
        " owner although its newest value was in slot 1 since the re-set at operation 1"
    )


def test_the_clear_quirk_is_explained() -> None:
    """The trap was laid before the clear."""
    names = ("legacy-evicting", "refactored-fifo")
    cache = shadow(adapt(fifo(SPEC.config(), 2)), EvictingCache(SPEC.config(), 2), SPEC, names=names)
    cache.set(init(0), 1, value(1))
    cache.clear(init(0))
    cache.set(init(0), 1, value(2))
    cache.set(init(0), 3, value(3))
    cache.get(init(0), 1)
    assert found(cache) == ("presence", "behaviour", "reference")
    assert only(cache).explanation.endswith(
        "still named it as its owner although its newest value was in slot 1 from before the clear at operation 1"
    )


def test_a_checkout_from_the_other_pool_is_a_difference_of_presence() -> None:
    """Both sides hit, but one had lost the key in the init pool and found another value in recur."""
    cache = shadow(adapt(fifo(SPEC.config(), 2)), EvictingCache(SPEC.config(), 2), SPEC)
    cache.set(RECUR, 1, value(9))
    cache.set(init(0), 1, value(1))
    cache.set(init(0), 1, value(2))
    cache.set(init(0), 3, value(3))
    cache.checkout(0, 1)
    assert found(cache) == ("presence", "behaviour", "reference")
    assert only(cache).pool == "init[0]"


# ---------------------------------------------------------------- statistics


def test_counters_that_lie_are_told_once() -> None:
    """Each of hits, misses, evictions and length, per pool, is told at the first check only."""
    cache = shadow(doubles.Lies(), spec=CacheSpec(env_num=1))
    cache.set(RECUR, 1, value(1))
    cache.get(RECUR, 1)
    cache.check_stats()
    cache.check_stats()
    assert cache.log.by_group == {("stats", "candidate"): 8}
    explanations = {divergence.explanation for divergence in cache.log.kept}
    assert "candidate says hits 1000 for recur, where 1 is right" in explanations
    assert "candidate says length 1000 for init[0], where 0 is right" in explanations


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
    cache = shadow(sound(), sound())
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
    assert f"candidate says hits 1000 for {answered}, where 1 is right" in explanations
    assert f"candidate says length 1000 for {answered}, where 1 is right" in explanations


def test_counters_are_not_checked_where_nobody_can_tell_which_pool_answered() -> None:
    """Init and recur hold the same bytes under the key; one cache looks into the one first, one into the other."""
    cache = shadow(fault("checkout-prefers-recur"))
    cache.set(init(0), 1, value(1))
    cache.set(RECUR, 1, value(1))
    cache.checkout(0, 1)
    cache.check_stats()
    assert cache.log.total == 0, cache.log.kept
