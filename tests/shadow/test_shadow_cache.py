"""`ShadowCache` serves one of two caches untouched, whatever the other does, and asks both for everything."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from kvparity import (
    ALL,
    ALL_INIT,
    RECUR,
    WM,
    CacheSpec,
    DivergenceLog,
    KeysValues,
    PoolId,
    ShadowCache,
    UnusableCacheError,
    adapt,
    build_cache,
    fingerprint,
    init,
)
from kvparity_legacy import EvictingCache
from kvparity_refactored import fifo, lru, priority
from kvparity_scenarios.correct_cache import CorrectCache
from kvparity_scenarios.faults import FAULTS
from support import doubles
from support.shadows import ROOMY, SPEC, correct, fault, found, only, shadow, value

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity import Cache

# ---------------------------------------------------------------- what the caller gets


def test_the_caller_gets_the_references_own_object() -> None:
    """Lookups return the very object that the reference lends."""
    reference = CorrectCache()
    cache = shadow(CorrectCache(), reference)
    cache.set(RECUR, 1, value(1))
    assert cache.get(RECUR, 1) is reference.pools[RECUR].slots[0]


def test_the_caller_gets_the_references_own_exception() -> None:
    """What the reference raises reaches the caller as it is, and is kept as `raised`."""
    cache = shadow(CorrectCache(), doubles.Raises())
    with pytest.raises(RuntimeError, match=r"^no 1$") as raised:
        cache.get(RECUR, 1)
    assert cache.raised is raised.value


def test_the_caller_gets_the_references_own_rubbish() -> None:
    """What is no entry is a divergence, and reaches the caller all the same, as it would without the shadow."""
    cache = shadow(CorrectCache(), fault("lends-lists"))
    cache.set(RECUR, 1, value(1))
    assert isinstance(cache.get(RECUR, 1), list)
    assert found(cache) == ("error", "corruption", "reference")


def test_the_caller_gets_the_references_own_rubbish_as_a_working_copy() -> None:
    """The same of a checkout."""
    cache = shadow(CorrectCache(), doubles.LendsRubbish())
    cache.set(RECUR, 1, value(1))
    assert cache.checkout(0, 1) == "rubbish"
    assert found(cache) == ("error", "corruption", "reference")


def test_rubbish_as_a_working_copy_is_one_divergence() -> None:
    """Nobody writes into it."""
    cache = shadow(doubles.LendsRubbish())
    cache.set(RECUR, 1, value(1))
    assert fingerprint(cache.checkout(0, 1)) == fingerprint(value(1))
    assert found(cache) == ("error", "corruption", "candidate")


OPERATIONS: dict[str, tuple[type[Cache], Callable[[ShadowCache], object]]] = {
    "set": (doubles.RaisesOnSet, lambda cache: cache.set(init(1), 1, value(1))),
    "get": (doubles.Raises, lambda cache: cache.get(init(1), 1)),
    "checkout": (doubles.Raises, lambda cache: cache.checkout(1, 1)),
    "clear": (doubles.RaisesOnClear, lambda cache: cache.clear(init(1))),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_exception_of_the_reference_is_told_and_passed_on(operation: str) -> None:
    """Whichever operation it comes from; the candidate, which did not raise, has had its turn."""
    raises, call = OPERATIONS[operation]
    cache = shadow(CorrectCache(), raises())
    cache.next_number = 7
    with pytest.raises((RuntimeError, MemoryError)) as raised:
        call(cache)
    assert cache.raised is raised.value
    assert found(cache) == ("error", "corruption", "reference")
    told = only(cache)
    pool, key = ("init[1], recur" if operation == "checkout" else "init[1]"), (None if operation == "clear" else 1)
    assert (told.number, told.operation, told.pool, told.key) == (7, operation, pool, key)
    assert told.candidate == "did not raise"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_exception_of_the_candidate_is_told_and_kept_from_the_caller(operation: str) -> None:
    """Whichever operation it comes from."""
    raises, call = OPERATIONS[operation]
    cache = shadow(raises())
    call(cache)
    assert found(cache) == ("error", "corruption", "candidate")
    assert cache.raised is None


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_exception_of_both_is_agreement_and_passed_on(operation: str) -> None:
    """Whichever operation it comes from, it is counted once."""
    raises, call = OPERATIONS[operation]
    cache = shadow(raises(), raises())
    with pytest.raises((RuntimeError, MemoryError)):
        call(cache)
    assert cache.both_raised == 1
    assert cache.log.total == 0


@pytest.mark.parametrize("candidate", [doubles.Raises(), doubles.RaisesOnSet(), fault("lends-lists")])
def test_nothing_that_a_candidate_does_reaches_the_caller(candidate: Cache) -> None:
    """Exceptions and rubbish of the candidate become divergences; the answer is the reference's."""
    cache = shadow(candidate)
    cache.set(RECUR, 1, value(1))
    answer = cache.get(RECUR, 1)
    cache.clear(RECUR)
    assert fingerprint(answer) == fingerprint(value(1))
    assert cache.log.by_side == {"candidate": cache.log.total}


def test_a_candidate_cannot_spoil_what_the_caller_sets() -> None:
    """It gets a copy: writing into it changes neither the producer's object nor the reference's entry, and is found."""
    cache = shadow(fault("writes-into-source"))
    for key in range(4):
        given = value(key + 1)
        cache.set(RECUR, key, given)
        assert fingerprint(given) == fingerprint(value(key + 1))
        assert fingerprint(cache.get(RECUR, key)) == fingerprint(value(key + 1))
    assert found(cache) == ("stale_hit", "corruption", "candidate")
    told = only(cache)
    assert (told.number, told.operation, told.pool, told.key) == (6, "set", "recur", 3)
    assert told.explanation == "candidate wrote into the value that it was given to copy"


@pytest.mark.parametrize(
    "harm",
    [
        lambda given: setattr(given, "_keys_values", ()),
        lambda given: setattr(given, "_keys_values", None),
        lambda given: setattr(given, "_keys_values", given._keys_values * 2),
        lambda given: setattr(given[0], "_v_cache", given[0]._k_cache),
        lambda given: setattr(given[0], "_k_cache", None),
        lambda given: setattr(given[0]._k_cache, "_cache", None),
    ],
    ids=["no layers", "no structure", "more layers", "one for both", "no K", "no tensor"],
)
def test_a_candidate_that_takes_apart_what_it_is_given_is_found(harm: Callable[[KeysValues], object]) -> None:
    """The next value is handed over whole, no exception reaches the caller, and the reference is not blamed."""
    cache = shadow(doubles.TakesApartWhatItIsGiven(harm))
    for key in range(6):
        cache.set(RECUR, key, value(key))
        cache.get(RECUR, key)
    assert found(cache) == ("stale_hit", "corruption", "candidate")
    assert only(cache).explanation == "candidate wrote into the value that it was given to copy"


def test_an_object_taken_apart_may_be_followed_by_a_value_of_another_kind() -> None:
    """What cannot be written into is left alone."""
    cache = shadow(doubles.TakesApartWhatItIsGiven(lambda given: setattr(given[0]._v_cache, "_cache", None)))
    cache.set(RECUR, 1, value(1))
    cache.set(RECUR, 2, value(2, tokens=3))
    cache.get(RECUR, 1)
    assert cache.log.total == 0


def test_the_callers_working_copy_is_not_written_into() -> None:
    """Only the candidate's own working copy is."""
    cache = shadow(CorrectCache())
    cache.set(RECUR, 1, value(1))
    assert fingerprint(cache.checkout(0, 1)) == fingerprint(value(1))


def test_two_shadows_may_share_a_log() -> None:
    """What either finds is in it."""
    log = DivergenceLog()
    for candidate in (doubles.AlwaysMisses(), doubles.RaisesOnSet()):
        shadow(candidate, log=log).set(RECUR, 1, value(1))
    assert log.by_kind == {"error": 1}


def test_random_states_are_left_alone() -> None:
    """A training run with the shadow on draws the same numbers."""
    torch.manual_seed(0)
    before = torch.random.get_rng_state().clone(), np.random.get_state()[1].copy()  # noqa: NPY002
    cache = shadow(adapt(fifo(SPEC.config(), 2)), EvictingCache(SPEC.config(), 2), SPEC)
    for key in range(20):
        cache.set(RECUR, key, value(key))
        cache.checkout(0, key)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize(
    ("call", "pool"),
    [
        (lambda cache: cache.set(init(2), 1, value(1)), "init[2]"),
        (lambda cache: cache.set(ALL_INIT, 1, value(1)), "init"),
        (lambda cache: cache.get(init(2), 1), "init[2]"),
        (lambda cache: cache.checkout(-1, 1), "init[-1]"),
        (lambda cache: cache.checkout(2, 1), "init[2]"),
        (lambda cache: cache.clear(init(2)), "init[2]"),
    ],
    ids=["set", "set in several", "get", "checkout below", "checkout above", "clear"],
)
def test_a_pool_that_is_not_there_is_a_value_error(call: Callable[[ShadowCache], object], pool: str) -> None:
    """It is the caller's mistake, and neither side's."""
    cache = shadow(doubles.Raises(), doubles.Raises())
    with pytest.raises(ValueError, match=re.escape(f"there is no pool {pool}: the caches were built with CacheSpec(")):
        call(cache)
    assert cache.log.total == 0


def test_a_strategy_that_nobody_knows_is_refused() -> None:
    """There is no ideal to hold such a cache against."""

    class Mru(CorrectCache):
        def strategy(self, pool: PoolId) -> str:
            return "mru" if pool == RECUR else "fifo"

    with pytest.raises(UnusableCacheError, match="declares the eviction strategy 'mru' for recur; known are fifo"):
        shadow(Mru())


# ---------------------------------------------------------------- sound caches


def test_sound_caches_have_nothing_between_them() -> None:
    """Hits, misses, updates, clears and checkouts of two sound caches agree."""
    cache = shadow(adapt(fifo(ROOMY.config(), 2)), EvictingCache(ROOMY.config(), 2))
    for pool in (init(0), init(1), RECUR, WM):
        cache.set(pool, 1, value(1))
        cache.get(pool, 1)
        cache.get(pool, 2)
    cache.checkout(1, 1)
    cache.clear(ALL)
    cache.get(RECUR, 1)
    cache.check_stats()
    assert cache.log.total == 0
    assert cache.operations == {"set": 4, "get": 9, "checkout": 1, "clear": 1}
    assert (cache.gets_compared, cache.values_compared) == (10, 5)
    assert cache.both_raised == 0


def test_agreement_is_not_brought_before_the_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the path that nearly all lookups take, and must be short."""
    monkeypatch.setattr("kvparity.judging.judge.Judge.lookup", None)
    cache = shadow(correct(), correct())
    cache.set(init(0), 1, value(1))
    cache.set(RECUR, 2, value(2))
    cache.get(init(0), 1)
    for key in (1, 2, 3):
        cache.get(RECUR, key)
        cache.checkout(0, key)
    assert (cache.gets_compared, cache.values_compared) == (7, 4)


def test_what_was_lent_from_wm_may_be_overwritten_by_checkouts() -> None:
    """They take slots of that pool, though nobody sets a key in it."""
    cache = shadow(correct(SPEC), correct(SPEC), SPEC)
    cache.set(RECUR, 1, value(1))
    cache.set(WM, 9, value(9))
    for _ in range(4):
        cache.get(WM, 9)
    for _ in range(4):
        cache.checkout(0, 1)
    cache.set(WM, 9, value(9))
    assert cache.log.total == 0


def test_only_hits_on_both_sides_compare_values() -> None:
    """A lookup that one side misses compares none."""
    cache = shadow(doubles.AlwaysMisses())
    cache.set(RECUR, 1, value(1))
    cache.get(RECUR, 1)
    cache.checkout(0, 1)
    assert (cache.gets_compared, cache.values_compared) == (2, 0)


@pytest.mark.parametrize("candidate", [EvictingCache, CorrectCache])
def test_a_sound_cache_may_take_back_what_it_lent(candidate: type[Any]) -> None:
    """A loan ends with the next set of its pool, a working copy with as many checkouts as there are environments."""
    cache = shadow(candidate(SPEC.config(), 2), adapt(fifo(SPEC.config(), 2)), SPEC)
    for key in range(40):
        cache.set(RECUR, key, value(key))
        cache.get(RECUR, key - 3 if key > 3 else key)
        cache.set(init(key % 2), key, value(key + 1))
        cache.checkout(key % 2, key)
        cache.checkout(key % 2, key - 1)
    cache.check_stats()
    assert cache.log.total == 0


@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_a_priority_reaches_both_sides_and_their_ideals(side: str) -> None:
    """The lowest leaves first, in the cache and by the harness's own reckoning."""
    sides: dict[str, Any] = {"reference": CorrectCache(), "candidate": CorrectCache()}
    sides[side] = adapt(priority(SPEC.config(), 2))
    cache = shadow(**sides, spec=SPEC)
    for key, how_much in ((1, 2.0), (2, 1.0), (3, 3.0)):
        cache.set(init(0), key, value(key), priority=how_much)
    cache.get(init(0), 2)
    assert found(cache) == ("presence", "behaviour", "neither")
    assert (
        f"{side} does not hold the key, which priority with 2 slots evicted at operation 2 to make room for key"
        " 0x0000000000000003"
    ) in only(cache).explanation


# ---------------------------------------------------------------- who serves, and how much is compared


def test_a_serving_candidate_answers_with_its_own_objects() -> None:
    """The caller gets what the candidate lends, and each lookup is judged all the same."""
    candidate = CorrectCache()
    cache = shadow(candidate, doubles.AlwaysMisses(), serve="candidate")
    cache.set(RECUR, 1, value(1))
    assert cache.get(RECUR, 1) is candidate.pools[RECUR].slots[0]
    assert only(cache).wrong == "reference"


def test_a_serving_candidates_working_copy_is_the_callers_alone() -> None:
    """The caller reads it first, so nobody writes into it before."""
    cache = shadow(CorrectCache(), serve="candidate")
    cache.set(RECUR, 1, value(1))
    assert fingerprint(cache.checkout(0, 1)) == fingerprint(value(1))


@pytest.mark.parametrize("faulty", [doubles.Raises, FAULTS["lends-lists"]])
@pytest.mark.parametrize("compare_every", [1, 1000])
def test_where_a_serving_candidate_fails_the_reference_answers(faulty: type, compare_every: int) -> None:
    """Neither its exception nor its rubbish reaches the caller, whether or not the lookup is compared."""
    reference = CorrectCache()
    cache = shadow(faulty(), reference, serve="candidate", compare_every=compare_every)
    cache.set(RECUR, 1, value(1))
    assert [cache.get(RECUR, 1) for _ in range(3)] == [reference.pools[RECUR].slots[0]] * 3
    assert cache.log.by_group["error", "candidate"] == 3


def test_a_sampled_comparison_looks_at_each_nth_lookup() -> None:
    """The first is one of them."""
    cache = shadow(CorrectCache(), compare_every=3)
    cache.set(RECUR, 1, value(1))
    for _ in range(2):
        cache.get(RECUR, 1)
        cache.checkout(0, 1)
    assert (cache.gets_compared, cache.values_compared) == (2, 2)


def test_what_is_not_compared_is_mirrored() -> None:
    """Under LRU a lookup decides who leaves: a candidate that is asked each time evicts as the reference does."""

    def both() -> list[Cache]:
        return [adapt(lru(SPEC.config(), SPEC.env_num)) for _ in range(2)]

    reference, candidate = both()
    cache = shadow(candidate, reference, SPEC, compare_every=2)
    for key in range(40):
        cache.set(init(0), key, value(key))
        cache.get(init(0), key - 1)
        cache.get(init(0), key // 2)
        cache.checkout(1, key)
    cache.check_stats()
    assert cache.log.total == 0
    assert cache.gets_compared == 60


# ---------------------------------------------------------------- lookups that are not compared


def look_up(cache: Any, how: str, key: int) -> Any:
    """`key` of recur, by a get or by a checkout."""
    return cache.get(RECUR, key) if how == "get" else cache.checkout(0, key)


LOOKUPS = pytest.mark.parametrize("how", ["get", "checkout"])


@LOOKUPS
def test_a_lookup_that_is_not_compared_is_answered(how: str) -> None:
    """On both sides, a hit or a miss; the caller gets the reference's."""
    cache = shadow(correct(), correct(), compare_every=1000)
    cache.set(RECUR, 1, value(1))
    look_up(cache, how, 1)
    assert fingerprint(look_up(cache, how, 1)) == fingerprint(value(1))
    assert fingerprint(cache.answers[1].value) == fingerprint(value(1))
    assert look_up(cache, how, 2) is None
    assert cache.gets_compared == 1


@LOOKUPS
def test_a_lookup_that_is_not_compared_is_a_use(how: str) -> None:
    """On both sides and in their ideals, so that who drops another key than LRU would is blamed for it."""
    spec = CacheSpec(env_num=1, init_pool_size=2, num_simulations=2)
    candidate = FAULTS["lru-ignores-gets"](spec.config(), 1)
    cache = shadow(candidate, build_cache("refactored-lru", spec), spec, compare_every=2)
    cache.set(RECUR, 1, value(1))
    cache.set(RECUR, 2, value(2))
    look_up(cache, how, 2)
    look_up(cache, how, 1)  # not compared
    cache.set(RECUR, 3, value(3))
    look_up(cache, how, 1)
    assert found(cache) == ("presence", "behaviour", "candidate")


@LOOKUPS
def test_an_error_in_a_lookup_that_is_not_compared_is_found(how: str) -> None:
    """Of that operation, by its kind, pool and key, with the side that raised."""
    cache = shadow(doubles.Raises(), correct(), compare_every=1000)
    look_up(cache, how, 7)
    look_up(cache, how, 7)
    _, told = cache.log.kept
    assert (told.number, told.operation, told.key, told.wrong) == (1, how, 7, "candidate")
    assert told.pool == ("recur" if how == "get" else "init[0], recur")
    assert told.reference == "did not raise"


@LOOKUPS
def test_an_error_of_the_reference_in_a_lookup_that_is_not_compared_is_its_own(how: str) -> None:
    """It reaches the caller, and is the reference's fault."""
    cache = shadow(correct(), doubles.Raises(), compare_every=1000)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            look_up(cache, how, 7)
    assert cache.log.by_group == {("error", "reference"): 2}


def test_who_left_its_strategy_in_a_lookup_that_is_not_compared_is_no_liar() -> None:
    """What it counts is then its own affair; who did not leave it is held to its count."""
    spec = CacheSpec(env_num=1, init_pool_size=2, num_simulations=2)
    for name, lies in (("one-slot-fewer", False), ("length-is-capacity", True)):
        cache = shadow(FAULTS[name](spec.config(), 1), build_cache("refactored-fifo", spec), spec, compare_every=1000)
        cache.get(RECUR, 9)
        cache.set(RECUR, 1, value(1))
        cache.set(RECUR, 2, value(2)) if name == "one-slot-fewer" else None
        cache.get(RECUR, 1)  # not compared
        cache.check_stats()
        assert ("recur" in {each.pool for each in cache.log.kept}) == lies


def test_new_memory_behind_a_value_that_is_set_is_what_is_set() -> None:
    """Whoever re-points a tensor of a row in place sets the new bytes, and both sides are held against those."""
    cache = shadow(CorrectCache())
    entry = value(1)
    with torch.no_grad():
        cache.set(RECUR, 1, entry)
        entry._keys_values[0]._k_cache._cache.data = value(7)._keys_values[0]._k_cache._cache.clone()
        cache.set(RECUR, 1, entry)
        cache.set(RECUR, 2, entry)
        cache.get(RECUR, 1)
    assert cache.log.total == 0
