"""One side of a comparison: what a cache may say of itself, and what is kept of its exceptions."""

from __future__ import annotations

import gc
import json
import weakref
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kvparity import RECUR, CacheSpec, Comparison, KeysValues, PoolId, ShadowCache, init, load_scenario
from kvparity.caches.protocol import PoolStats
from kvparity.errors import UnusableCacheError
from kvparity.judging.outcome import Outcome
from kvparity.shadow.side import Side
from kvparity.training import attach
from kvparity.values.fingerprints import HostFingerprints
from kvparity_refactored import KVCacheManager
from kvparity_scenarios.correct_cache import CorrectCache, CorrectLru
from support.worldmodels import ReleasedModel

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC = CacheSpec(env_num=2, init_pool_size=2, num_simulations=2)


def side(cache: Any, role: str = "candidate") -> Side:
    """That cache on a side, under the name of mine."""
    return Side(role, "mine", cache, SPEC, look=HostFingerprints().look)


def says(**members: Any) -> Any:
    """A cache that says that of itself, besides what every cache has."""
    return SimpleNamespace(**members)


class Wrapper:
    """A cache that passes on whatever it is asked to the one in it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


# ---------------------------------------------------------------------- strategies


class DeclaresNoMethod(CorrectCache):
    """Its strategy is a word, where a method is expected."""

    strategy = "lru"  # type: ignore[assignment]


class CannotSay(CorrectCache):
    """Fails when it is asked for its strategy."""

    def strategy(self, pool: PoolId) -> str:
        raise LookupError(f"no strategy for {pool}")


class Quits(CorrectCache):
    """Ends the program when it is asked for its strategy."""

    def strategy(self, pool: PoolId) -> str:
        raise SystemExit(7)


class DeclaresAList(CorrectCache):
    """Declares what is no word."""

    def strategy(self, pool: PoolId) -> Any:
        return ["lru"]


class IsNotListenedTo(CorrectCache):
    """Its listener is read only."""

    @property
    def on_drop(self) -> None:
        return None


class HasNoPools:
    """A manager's methods, and nothing else."""

    def __init__(self, config: Any, env_num: int) -> None:
        self._manager = KVCacheManager(config, env_num)

    def __getattr__(self, name: str) -> Any:
        if name.endswith(("pool", "pools")):
            raise AttributeError(name)
        return getattr(self._manager, name)


UNUSABLE = [
    (DeclaresNoMethod, r"cannot be asked for strategy\(init\[0\]\).*: TypeError: 'str' object is not callable$"),
    (CannotSay, r"cannot be asked for strategy\(init\[0\]\).*: LookupError: no strategy for init\[0\]$"),
    (Quits, r"cannot be asked for strategy\(init\[0\]\).*: SystemExit: 7$"),
    (DeclaresAList, r"declares the eviction strategy \['lru'\] for init\[0\]; known are fifo, lru, priority$"),
    (IsNotListenedTo, r"has an on_drop that cannot be set to a listener: AttributeError: "),
    (HasNoPools, r"cannot be used as a KVCacheManager: it lacks init_pools, recur_pool, wm_pool$"),
]
each_unusable = pytest.mark.parametrize(("cache", "told"), UNUSABLE, ids=[cache.__name__ for cache, _ in UNUSABLE])


@each_unusable
@pytest.mark.parametrize("role", ["reference", "candidate"])
def test_a_cache_whose_word_cannot_be_used_is_bad_input(cache: type, told: str, role: str) -> None:
    """It is refused by name before the first operation, whichever side it is on."""
    names = {
        "reference": "kvparity_scenarios.correct_cache:CorrectCache",
        "candidate": "kvparity_scenarios.correct_cache:CorrectCache",
        role: f"{__name__}:{cache.__name__}",
    }
    with pytest.raises(UnusableCacheError, match=f"^{names[role]} {told}"):
        Comparison(**names).scenario(load_scenario("revisit"), seed=0, steps=10)


@each_unusable
def test_a_training_refuses_a_candidate_whose_word_cannot_be_used(cache: type, told: str) -> None:
    """`attach` says so as it says that a candidate cannot be built."""
    with pytest.raises(UnusableCacheError, match=told):
        attach(ReleasedModel(), candidate=cache)


def test_a_strategy_is_asked_for_once() -> None:
    """What a cache declared when a comparison began holds until its end."""
    declared = iter([*["lru"] * len(SPEC.pools), "fifo"])
    mine = side(says(strategy=lambda _pool: next(declared)))
    assert set(mine.record.strategies.values()) == {"lru"}
    assert next(declared) == "fifo"


def test_an_interrupt_in_a_strategy_is_the_users() -> None:
    """Ctrl-C is no fault of the cache that was asked just then."""

    def interrupted(_pool: PoolId) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        side(says(strategy=interrupted))


def test_a_wrapper_says_what_the_cache_in_it_says() -> None:
    """What it passes on by `__getattr__` is seen on every Python: strategy, statistics and drops."""
    inner = CorrectLru(SPEC.config(), SPEC.env_num)
    inner.on_drop = None  # type: ignore[attr-defined]
    wrapper = Wrapper(inner)
    mine = side(wrapper)
    mine.listen(print)
    assert mine.record.strategies[RECUR] == "lru"
    assert mine.stats(RECUR).length == 0
    assert callable(wrapper.on_drop)


def test_a_member_that_is_none_is_not_there() -> None:
    """A cache without strategy and statistics may say so with None."""
    mine = side(says(strategy=None, stats=None))
    assert mine.record.strategies[RECUR] == "fifo"
    assert mine.stats(RECUR) == PoolStats()


# ---------------------------------------------------------------------- statistics


def test_statistics_that_lack_a_field_do_not_say() -> None:
    """The field is None, as where a cache says that it does not count it."""
    mine = side(says(stats=lambda _pool: SimpleNamespace(hits=3, misses=None)))
    assert mine.stats(RECUR) == PoolStats(hits=3)


def test_statistics_are_plain_integers() -> None:
    """Those of numpy become Python's, which a result can be written with."""
    mine = side(says(stats=lambda _pool: SimpleNamespace(evictions=np.int64(3), length=np.uint8(2))))
    mine.record.lost_track = {RECUR}
    row = mine.account()["recur"]
    assert row == {"hits": None, "misses": None, "evictions": 3, "length": 2, "size_bytes": None}
    assert json.loads(json.dumps(row)) == row


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (None, "a NoneType has no statistics: expected some of hits, misses, evictions, length, size_bytes"),
        ({"hits": 0}, "a dict has no statistics: expected some of hits, misses, evictions, length, size_bytes"),
        (SimpleNamespace(hits=0, length=0.0), "length is a float, expected an integer"),
        (SimpleNamespace(hits="none"), "hits is a str, expected an integer"),
    ],
)
def test_what_is_no_statistics_is_told_and_ends_nothing(said: Any, told: str) -> None:
    """It is a divergence of its side, once for each pool that is asked, and the account goes without it."""
    candidate = CorrectCache(env_num=2)
    candidate.stats = lambda _pool: said  # type: ignore[attr-defined]
    shadow = ShadowCache(reference=CorrectCache(env_num=2), candidate=candidate, spec=SPEC)
    shadow.check_stats()
    assert {(each.kind, each.wrong, each.candidate) for each in shadow.log.kept} == {
        ("stats", "candidate", f"stats raised TypeError: {told}")
    }
    assert shadow.candidate.account()["recur"]["evictions"] is None


def test_what_a_cache_says_of_all_pools_is_asked_at_once() -> None:
    """Of each its statistics or what it raised; the working pool is left out, whose use is up to a cache."""

    def stats(pool: PoolId) -> PoolStats:
        if pool == init(1):
            raise LookupError("no")
        return PoolStats(hits=1)

    reported = side(says(stats=stats)).reported_stats()
    assert set(reported) == {init(0), init(1), RECUR}
    assert (reported[init(0)], str(reported[init(1)])) == (PoolStats(hits=1), "no")


# ---------------------------------------------------------------------- exceptions


class Rejects(CorrectCache):
    """Raises in each operation, the cause of what it raises included."""

    def refuse(self, *_: Any, **__: Any) -> None:
        try:
            {}[1]
        except KeyError as error:
            raise ValueError("no") from error

    set = get = checkout = clear = refuse  # type: ignore[assignment]


def asked(mine: Side, how: str) -> BaseException | None:
    """What came of asking that side so, in the hands of a caller who holds much."""
    asks: dict[str, Callable[[], BaseException | None]] = {
        "set": lambda: mine.set(RECUR, 1, None, None),
        "clear": lambda: mine.clear(RECUR),
        "get": lambda: mine.ask("get", RECUR, 1).error,
        "peek": lambda: mine.peek("checkout", 0, 1).error,
        "look_at": lambda: mine.look_at("rubbish").error,
        "thorn": lambda: mine.look_at(Thorn()).error,
        "checked": lambda: mine.checked(Outcome("rubbish")).error,
    }
    return asks[how]()


class Thorn:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.mark.parametrize("how", ["set", "clear", "get", "peek", "look_at", "thorn", "checked"])
def test_a_candidates_exception_holds_on_to_nothing(how: str) -> None:
    """Who keeps it keeps neither what its callers had in their hands nor what came before it."""

    def held() -> tuple[BaseException | None, weakref.ref[KeysValues]]:
        much = KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=1, head_dim=1)
        return asked(side(Rejects()), how), weakref.ref(much)

    error, much = held()
    gc.collect()
    assert error is not None
    assert (error.__traceback__, error.__context__, error.__cause__) == (None, None, None)
    assert much() is None


def test_a_references_exception_comes_whole() -> None:
    """Its caller gets it with the place that it came from, and its cause."""
    shadow = ShadowCache(reference=Rejects(), candidate=CorrectCache(), spec=SPEC)
    with pytest.raises(ValueError, match=r"^no$") as raised:
        shadow.get(RECUR, 1)
    assert isinstance(raised.value.__cause__, KeyError)
    assert "refuse" in [each.name for each in raised.traceback]


@dataclass(frozen=True)
class FrozenError(Exception):
    """Lets nobody set anything."""

    reason: str = "no"


def test_an_exception_that_cannot_be_changed_reaches_no_caller() -> None:
    """It is let go of all the same."""

    def fail(_pool: PoolId, _key: int) -> None:
        raise FrozenError

    outcome = side(says(get=fail)).ask("get", RECUR, 1)
    assert isinstance(outcome.error, FrozenError)
    assert outcome.error.__traceback__ is None
