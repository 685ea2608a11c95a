"""`ShadowCache` finds wrong tensors, and blames who returned them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kvparity import (
    RECUR,
    KeysValues,
    Tolerance,
    adapt,
    fingerprint,
    init,
)
from kvparity.values.entry import read
from kvparity_legacy import ReleasedCache
from kvparity_refactored import fifo
from kvparity_scenarios.correct_cache import CorrectCache
from kvparity_scenarios.faults import FAULTS
from support import doubles
from support.shadows import SPEC, fault, found, only, shadow, value

if TYPE_CHECKING:
    from kvparity import Cache, PoolId


@pytest.mark.parametrize("faulty", [FAULTS["normalises-negative-zero"], FAULTS["forgets-padding"]])
def test_bytes_are_compared_and_all_of_them(faulty: type[Cache]) -> None:
    """Numbers that are equal may differ in bits, and padding is copied as well."""
    cache = shadow(faulty())
    cache.set(RECUR, 1, value(-0.0))
    cache.set(RECUR, 2, value(1))
    cache.get(RECUR, 1 if faulty is FAULTS["normalises-negative-zero"] else 2)
    assert found(cache) == ("stale_hit", "corruption", "candidate")


def test_a_hit_after_a_clear_is_stale() -> None:
    """The key was cleared, so any bytes are wrong."""
    cache = shadow(doubles.ClearsNothing())
    cache.set(RECUR, 1, value(1))
    cache.clear(RECUR)
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "candidate")
    assert "for a key that was cleared at operation 1 and not set again" in only(cache).explanation


def test_an_old_value_is_stale() -> None:
    """A re-set that did not take is found."""
    cache = shadow(fault("keeps-old-value-on-update"))
    cache.set(RECUR, 1, value(1))
    cache.set(RECUR, 1, value(2))
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "candidate")
    assert "this key was last set by operation 1 in recur" in only(cache).explanation


def test_a_hit_for_a_key_never_set_is_stale() -> None:
    """Nothing can be right for it."""
    cache = shadow(doubles.Invents())
    cache.get(init(1), 7)
    assert found(cache) == ("stale_hit", "corruption", "candidate")
    assert "for a key that was never set" in only(cache).explanation


def test_a_reference_at_fault_is_blamed() -> None:
    """The side that serves is held to the same truth."""
    cache = shadow(CorrectCache(), fault("keeps-old-value-on-update"))
    cache.set(RECUR, 1, value(1))
    cache.set(RECUR, 1, value(2))
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "reference")


def test_two_sides_that_are_wrong_alike_are_both_blamed() -> None:
    """They agree with each other, and not with the truth."""
    cache = shadow(fault("keeps-old-value-on-update"), fault("keeps-old-value-on-update"))
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
        (FAULTS["lends-without-samples"], "shape"),
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
    cache = shadow(CorrectCache(), doubles.AnswersFromElsewhere())
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
    assert (
        only(cache).explanation == "candidate returned the right bytes, but on several devices, where they were not set"
    )


def test_wrong_bytes_on_another_device_say_so() -> None:
    """The device comes before the numbers."""

    class Stale(doubles.AnswersFromElsewhere, FAULTS["keeps-old-value-on-update"]):
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
    cache = shadow(fault("keeps-old-value-on-update"), fault("keeps-old-value-on-update"), tolerance=Tolerance())
    cache.set(RECUR, 1, value(1))
    cache.set(RECUR, 1, value(2))
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "both")


class Halves(CorrectCache):
    """Keeps half the digits."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        kept = KeysValues([tensor.half().float() for tensor in read(value)[0]], read(value)[1])
        super().set(pool, key, kept, priority=priority)


class Loses(CorrectCache):
    """Finds nothing."""

    def get(self, pool: PoolId, key: int) -> Any:
        return None


def test_within_a_tolerance_a_value_without_a_right_one_beside_it_is_not_blamed() -> None:
    """Only a right answer tells the numbers that were set; here the reference lost the key, and is wrong."""
    cache = shadow(Halves(), reference=Loses(), tolerance=Tolerance(rtol=1e-2, atol=1e-2))
    cache.set(RECUR, 1, value(1 / 3))
    cache.get(RECUR, 1)
    assert found(cache) == ("presence", "behaviour", "reference")


def test_a_tolerance_excuses_no_value_of_a_key_that_was_cleared() -> None:
    """There is nothing that it could be close to."""
    cache = shadow(doubles.ClearsNothing(), tolerance=Tolerance(rtol=1e-2, atol=1e-2))
    cache.set(RECUR, 1, value(1))
    cache.clear(RECUR)
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "candidate")


class ReadSoOften:
    """Another entry's layers, which can be read so many times only."""

    def __init__(self, times: int) -> None:
        self.times = times

    @property
    def _keys_values(self) -> Any:
        self.times -= 1
        if self.times < 0:
            raise RuntimeError("read too often")
        return value(99)._keys_values


@pytest.mark.parametrize("times", range(9))
def test_an_answer_that_fails_while_it_is_examined_is_the_candidates_fault(times: int) -> None:
    """Whenever it does: nothing of that reaches the caller."""
    candidate = CorrectCache()
    candidate.get = lambda _pool, _key: ReadSoOften(times)  # type: ignore[method-assign]
    cache = shadow(candidate)
    cache.set(RECUR, 1, value(1))
    assert fingerprint(cache.get(RECUR, 1)) == fingerprint(value(1))
    assert {divergence.wrong for divergence in cache.log.kept} == {"candidate"}


@pytest.mark.parametrize("size", [1.0, True, None])
def test_a_size_that_is_no_integer_is_no_size(size: Any) -> None:
    """Though it may be equal to one."""
    candidate = CorrectCache()
    lent = value(1)
    lent._keys_values[0]._k_cache._size = size
    candidate.get = lambda _pool, _key: lent  # type: ignore[method-assign]
    cache = shadow(candidate)
    cache.set(RECUR, 1, value(1))
    cache.get(RECUR, 1)
    assert found(cache) == ("error", "corruption", "candidate")


# ---------------------------------------------------------------- no truth is known


def test_without_a_truth_two_values_differ_and_nobody_is_blamed() -> None:
    """Where watching began later, a hit may be of an entry from before."""
    reference, candidate = CorrectCache(), CorrectCache()
    reference.set(RECUR, 1, value(1))
    candidate.set(RECUR, 1, value(2))
    cache = shadow(candidate, reference, complete=False)
    cache.get(RECUR, 1)
    assert found(cache) == ("value", "corruption", "unknown")


@pytest.mark.parametrize("lookup", ["get", "checkout"])
def test_without_a_truth_an_entry_of_one_side_alone_blames_nobody(lookup: str) -> None:
    """A candidate that was attached later cannot hold what was set before, and the reference's answer is served."""
    reference = CorrectCache()
    reference.set(RECUR, 1, value(1))
    cache = shadow(CorrectCache(), reference, complete=False)
    answer = cache.get(RECUR, 1) if lookup == "get" else cache.checkout(0, 1)
    assert fingerprint(answer) == fingerprint(value(1))
    assert found(cache) == ("presence", "behaviour", "unknown")
    assert only(cache).explanation == (
        "only one cache has the key; what is right is not known: the key was set before watching began, or too long ago"
    )


def test_without_a_truth_equal_values_are_parity() -> None:
    """Nothing is said where nothing differs."""
    reference, candidate = CorrectCache(), CorrectCache()
    for side in (reference, candidate):
        side.set(RECUR, 1, value(1))
    cache = shadow(candidate, reference, complete=False)
    cache.get(RECUR, 1)
    assert cache.log.total == 0


def test_a_clear_makes_the_truth_complete() -> None:
    """After it every key is known again."""
    reference, candidate = doubles.ClearsNothing(), CorrectCache()
    reference.set(RECUR, 1, value(1))
    cache = shadow(candidate, reference, complete=False)
    cache.clear(RECUR)
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "reference")
