"""`ShadowCache` finds entries that one side lost or kept, and exceptions of one side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kvparity import (
    RECUR,
    WM,
    adapt,
    init,
)
from kvparity_legacy import EvictingCache
from kvparity_refactored import fifo, lru
from kvparity_scenarios.correct_cache import CorrectCache
from support import doubles
from support.shadows import SPEC, correct, fault, found, only, shadow, value

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity import PoolId, ShadowCache

# ---------------------------------------------------------------- presence


def test_a_side_that_lost_a_key_is_blamed() -> None:
    """Its declared strategy would still hold it."""
    cache = shadow(doubles.AlwaysMisses())
    cache.set(RECUR, 1, value(1))
    cache.get(RECUR, 1)
    assert found(cache) == ("presence", "behaviour", "candidate")
    assert only(cache).number == 1
    assert only(cache).explanation == (
        "candidate lost this key, which operation 0 set; fifo with 100 slots still holds it"
    )


def test_a_side_that_keeps_too_much_is_blamed() -> None:
    """At the pool's capacity the key should be gone."""
    cache = shadow(CorrectCache(), EvictingCache(SPEC.config(), 2), SPEC)
    for key in range(3):
        cache.set(init(0), key, value(key))
    cache.get(init(0), 0)
    assert found(cache) == ("presence", "behaviour", "candidate")
    assert only(cache).explanation == (
        "candidate still holds a key that fifo with 2 slots evicted at operation 2 to make room for key"
        " 0x0000000000000002"
    )


def test_a_key_of_wm_that_made_room_for_a_working_copy_is_explained() -> None:
    """A working copy has no key of the caller's, and is made by no set."""
    cache = shadow(CorrectCache(), correct(SPEC), SPEC)
    cache.set(RECUR, 1, value(1))
    cache.set(WM, 9, value(9))
    cache.checkout(0, 1)
    cache.checkout(1, 1)
    cache.get(WM, 9)
    assert found(cache) == ("presence", "behaviour", "candidate")
    assert only(cache).explanation == (
        "candidate still holds a key that fifo with 2 slots evicted to make room for a working copy"
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
        "by design: reference does not hold the key, which fifo with 2 slots evicted at operation 3 to make room for"
        " key 0x0000000000000003; candidate holds the key, as lru with 2 slots does"
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
        "legacy-evicting dropped this live key at operation 2, while it set key 0x0000000000000003: it reused slot 0,"
        " which still named this key as its owner, although the key's newest value is in slot 1 (known quirk:"
        " docs/the-original.md); the key was set again at operation 1"
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
        "is in slot 1 (known quirk: docs/the-original.md); the slot named it from before the clear at operation 1"
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


# ---------------------------------------------------------------- errors


def test_one_side_that_raises_is_blamed() -> None:
    """The other answered."""
    cache = shadow(doubles.Raises())
    cache.get(RECUR, 1)
    assert found(cache) == ("error", "corruption", "candidate")
    assert only(cache).candidate == "raised RuntimeError: no 1"


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
    cache = shadow(fault("lends-lists"))
    cache.set(RECUR, 1, value(1))
    cache.get(RECUR, 1)
    assert found(cache) == ("error", "corruption", "candidate")
    assert only(cache).candidate.startswith("returned no entry: list is not a key/value cache entry")


class RefusesAnotherShape(CorrectCache):
    """Its slots are of one shape; and it is never emptied."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        if key in self.pool(pool).held:
            raise ValueError("another shape")
        super().set(pool, key, value, priority=priority)

    def clear(self, pool: PoolId) -> None:
        raise RuntimeError("not now")


@pytest.mark.parametrize(
    "refused", [lambda cache: cache.set(RECUR, 1, value(2, tokens=3)), lambda cache: cache.clear(RECUR)]
)
def test_what_both_sides_refuse_changes_nothing(refused: Callable[[ShadowCache], None]) -> None:
    """Both go on with what they had, and neither is blamed for that."""
    cache = shadow(RefusesAnotherShape(), reference=RefusesAnotherShape())
    cache.set(RECUR, 1, value(1))
    with pytest.raises((ValueError, RuntimeError)):
        refused(cache)
    cache.get(RECUR, 1)
    assert (cache.log.total, cache.both_raised) == (0, 1)


class LosesToo(RefusesAnotherShape):
    """The same, and finds nothing."""

    def get(self, pool: PoolId, key: int) -> Any:
        return None


def test_after_what_both_sides_refused_they_are_held_against_each_other() -> None:
    """Nobody knows how far they had come: where they differ, who is wrong is unknown."""
    cache = shadow(LosesToo(), reference=RefusesAnotherShape())
    cache.set(RECUR, 1, value(1))
    with pytest.raises(ValueError, match="another shape"):
        cache.set(RECUR, 1, value(2, tokens=3))
    cache.get(RECUR, 1)
    assert found(cache) == ("presence", "behaviour", "unknown")


def test_an_exception_that_cannot_say_what_it_is_is_told_all_the_same() -> None:
    """Its text is the cache's own code, too."""

    class MuteError(Exception):
        def __str__(self) -> str:
            raise KeyError("text")

    candidate = CorrectCache()

    def fail(_pool: PoolId, _key: int) -> None:
        raise MuteError

    candidate.get = fail  # type: ignore[method-assign]
    cache = shadow(candidate)
    cache.get(RECUR, 1)
    assert only(cache).candidate == "raised MuteError: (its message raised KeyError)"
