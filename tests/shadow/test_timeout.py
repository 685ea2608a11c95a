"""Calls of caches that take too long are ended, in the main thread and nowhere else; nobody else's timer is touched."""

from __future__ import annotations

import signal
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from kvparity import RECUR, CacheSpec, PoolId, ShadowCache
from kvparity.caches.exceptions import reraise_if_interrupt
from kvparity.shadow.timeout import Patience, TookTooLongError
from kvparity.training import Limits, attach
from kvparity_scenarios.correct_cache import CorrectCache
from support.worldmodels import ManagedModel, ReleasedModel, play, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvparity.caches.protocol import Cache
    from kvparity.shadow.side import Side


class Hangs(CorrectCache):
    """Never comes back from a lookup in recur."""

    def get(self, pool: PoolId, key: int) -> Any:
        while pool == RECUR:
            pass
        return super().get(pool, key)

    def checkout(self, env: int, key: int) -> Any:
        while True:
            pass


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """No timer runs and no handler is left, whatever a test does."""
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    yield
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def side(cache: Cache) -> Side:
    """The candidate's side with that cache."""
    return ShadowCache(reference=CorrectCache(), candidate=cache, spec=CacheSpec()).candidate


def test_a_call_that_takes_too_long_is_ended() -> None:
    """It is an error like others, and every later call is one at once."""
    reasons: list[str] = []
    asked = side(Hangs())
    with Patience(0.05, given_up=reasons.append).always():
        first = asked.ask("get", RECUR, 1)
        second = asked.ask("get", RECUR, 1)
    assert reasons == ["it was still at work after 0.05 s, and is not asked again"]
    for outcome in (first, second):
        assert isinstance(outcome.error, TookTooLongError)
        assert reraise_if_interrupt(outcome.error) is outcome.error
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_what_takes_long_outside_of_a_cache_is_left_alone() -> None:
    """Ticks come, and no call is under way."""
    patience = Patience(0.02)
    ticks: list[int] = []
    tick = patience._tick
    patience._tick = lambda number, frame: (ticks.append(number), tick(number, frame))[1]  # type: ignore[method-assign]
    with patience.always():
        while len(ticks) < 8:
            pass


def test_patience_without_end_uses_no_signals() -> None:
    """None is no limit."""
    with Patience(None).always():
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_a_program_that_uses_alarms_itself_keeps_them() -> None:
    """Its handler stays, and its timer runs on."""
    own = signal.signal(signal.SIGALRM, lambda *_: None)
    patience = Patience(60.0)
    with patience.always():
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    patience.begin()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    signal.signal(signal.SIGALRM, own)
    patience = Patience(60.0)
    signal.setitimer(signal.ITIMER_REAL, 1000.0, 500.0)
    patience.begin()
    patience.end()
    delay, interval = signal.setitimer(signal.ITIMER_REAL, 0)
    assert (delay > 900, interval) == (True, 500.0)
    patience.leave()


def test_other_threads_have_no_patience() -> None:
    """Python runs handlers in the main thread only."""
    patience = Patience(60.0)
    thread = threading.Thread(target=patience.begin)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


@pytest.mark.parametrize("serve", ["reference", "candidate"])
@pytest.mark.parametrize("kind", [ReleasedModel, ManagedModel])
def test_a_candidate_that_hangs_in_a_training_is_taken_out(kind: type, serve: str) -> None:
    """The model gets what it gets alone; between visits no timer runs, and in the end no handler is left."""
    model, twin = kind(), kind()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limits = Limits(patience_s=0.05, share=None)
        with attach(model, candidate=Hangs, serve=serve, limits=limits) as attached:
            given = play(model)
    assert attached.stopped == "it was still at work after 0.05 s, and is not asked again"
    assert same(given, play(twin))
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_a_candidate_that_comes_back_is_not_taken_out() -> None:
    """Patience changes nothing where it is not needed."""
    model, twin = ReleasedModel(), ReleasedModel()
    with attach(model, candidate=CorrectCache, limits=Limits(patience_s=60.0, share=None)) as attached:
        assert same(play(model), play(twin))
    assert attached.stopped is None
