"""The guard: nothing that a candidate or kvparity does reaches the training; a candidate that costs too much goes."""

from __future__ import annotations

import gc
import signal
import sys
import warnings
import weakref
from collections import defaultdict
from typing import Any

import pytest

from kvparity import (
    RECUR,
    Cache,
    CacheSpec,
    KeysValues,
    PoolId,
    PoolStats,
    ShadowCache,
    UnusableCacheError,
)
from kvparity.errors import warn
from kvparity.shadow.mirror import Mirror
from kvparity.training import Limits
from kvparity.values.entry import read
from kvparity_scenarios.correct_cache import CorrectCache
from support import doubles
from support.attaching import attach
from support.worldmodels import ManagedModel, ReleasedModel, play, same

TAKEN_OUT = "the candidate was taken out, and the run goes on without it: "
MODELS = pytest.mark.parametrize("kind", [ReleasedModel, ManagedModel])
SERVE = pytest.mark.parametrize("serve", ["reference", "candidate"])


class Exits(CorrectCache):
    """Ends the process, or tries to."""

    error: BaseException = SystemExit(3)

    def get(self, pool: PoolId, key: int) -> Any:
        raise self.error


# ---------------------------------------------------------------- errors


@MODELS
@SERVE
def test_a_candidate_that_fails_too_often_is_taken_out(kind: type, serve: str) -> None:
    """One warning and the result say so, and the model does not notice."""
    model, twin = kind(), kind()
    with (
        attach(
            model,
            candidate=doubles.RaisesOnSet,
            serve=serve,
            limits=Limits(errors=5, share=None),
            on_divergence="record",
        ) as shadow,
        pytest.warns(UserWarning, match=f"{TAKEN_OUT}it failed in 6 operations; 5 were allowed") as warned,
    ):
        given = play(model)
    if serve == "reference":
        assert same(given, play(twin))
    assert len(warned) == 1
    training = shadow.result().training
    assert training is not None
    assert training.stopped == "it failed in 6 operations; 5 were allowed"
    assert training.stopped_after_operations == sum(shadow.result().operations.values())
    assert training.stopped_after_s is not None
    assert 0 < training.stopped_after_s < training.wall_s


@MODELS
def test_after_the_breaker_opened_the_models_own_caches_serve_on(kind: type) -> None:
    """They did every operation, so a serving candidate can be taken out at any moment."""
    model, twin = kind(), kind()
    with attach(model, candidate="refactored-fifo", serve="candidate") as shadow:
        first = play(model)
        with pytest.warns(UserWarning, match=TAKEN_OUT):
            shadow.guard.stop("for a test")
        assert same(first + play(model), play(twin) + play(twin))


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), SystemExit()])
@SERVE
def test_a_candidate_cannot_end_the_process(error: BaseException, serve: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its `sys.exit` is an error like any other."""
    monkeypatch.setattr(Exits, "error", error)
    model, twin = ReleasedModel(), ReleasedModel()
    with attach(model, candidate=Exits, serve=serve) as shadow:
        assert same(play(model), play(twin))
    assert shadow.log.by_group["error", "candidate"] > 0


@pytest.mark.parametrize("error", [SystemExit(3), RuntimeError("no")])
def test_statistics_cannot_end_the_process_either(error: BaseException) -> None:
    """The candidate is asked for them now and then, and at the end."""

    class Counts(CorrectCache):
        def stats(self, pool: PoolId) -> PoolStats:
            raise error

    model, twin = ReleasedModel(), ReleasedModel()
    with attach(model, candidate=Counts) as shadow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert same(play(model, 90), play(twin, 90))
        result = shadow.result()
    assert shadow.stopped is None
    assert result.by_group["stats", "candidate"] > 0


def test_a_candidate_that_exits_while_it_is_built_is_refused() -> None:
    """Like one that raises."""

    class Leaves(CorrectCache):
        def __init__(self, config: Any, env_num: int) -> None:
            super().__init__(config, env_num)
            sys.exit(0)

    with pytest.raises(UnusableCacheError, match=r"Leaves cannot be built .*: SystemExit: 0"):
        attach(ReleasedModel(), candidate=Leaves)


def test_a_working_copy_that_exits_when_it_is_written_into_is_an_error() -> None:
    """What an answer does when it is used is the doing of the candidate."""

    class Trap(KeysValues):
        armed = False

        @property
        def _keys_values(self) -> Any:
            if self.armed:
                sys.exit(5)
            return self.layers

        @_keys_values.setter
        def _keys_values(self, layers: Any) -> None:
            self.layers = layers

    class Traps(CorrectCache):
        def checkout(self, env: int, key: int) -> Any:
            found = super().checkout(env, key)
            if found is not None:
                found = Trap(*read(found))
                found.armed = True
            return found

    model, twin = ReleasedModel(), ReleasedModel()
    with attach(model, candidate=Traps, on_divergence="record") as shadow:
        assert same(play(model), play(twin))
    assert shadow.log.by_group["error", "candidate"] > 0
    assert shadow.stopped is None


def test_ctrl_c_stops_the_run_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the candidate is at work, whose shadow is of no use after that."""
    monkeypatch.setattr(Exits, "error", KeyboardInterrupt())
    model = ReleasedModel()
    with attach(model, candidate=Exits, serve="candidate") as shadow:
        with pytest.raises(KeyboardInterrupt), pytest.warns(UserWarning, match=f"{TAKEN_OUT}an interrupt came"):
            model.root(0, 1)
        play(model)
    assert shadow.result().operations_total == 1


def test_a_signals_handler_can_end_the_run_while_the_candidate_is_at_work() -> None:
    """Schedulers end a run with a signal, and its handler calls `sys.exit`: this is not the candidate's exception."""

    class Signalled(CorrectCache):
        def get(self, pool: PoolId, key: int) -> Any:
            signal.raise_signal(signal.SIGTERM)

    def leave(*_: object) -> None:
        sys.exit(7)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        model = ReleasedModel()
        with (
            attach(model, candidate=Signalled, serve="candidate"),
            pytest.warns(UserWarning, match=TAKEN_OUT),
            pytest.raises(SystemExit, match="7"),
        ):
            model.root(0, 1)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_handler_that_uses_the_model_ends_the_shadow() -> None:
    """The shadow would hear of one operation in the middle of another; the model gets its own caches' answer."""
    model = ReleasedModel()

    class Nested(CorrectCache):
        def get(self, pool: PoolId, key: int) -> Any:
            model.root(1, key)

    with (
        attach(model, candidate=Nested, serve="candidate"),
        pytest.warns(UserWarning, match=f"{TAKEN_OUT}a signal's handler"),
    ):
        assert model.root(0, 1) is None


@MODELS
@SERVE
def test_a_defect_of_kvparity_never_reaches_the_run(kind: type, serve: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shadow ends, and a warning says so."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    model, twin = kind(), kind()
    with attach(model, candidate="refactored-fifo", serve=serve) as shadow:
        monkeypatch.setattr(Mirror, "mirror_checkout", broken)
        with pytest.warns(UserWarning, match=f"{TAKEN_OUT}kvparity itself failed: ZeroDivisionError: a defect"):
            assert same(play(model), play(twin))
    assert shadow.stopped is not None


def test_a_call_that_is_not_understood_ends_the_shadow() -> None:
    """A manager may take arguments that kvparity does not know. It gets them, and the shadow ends."""

    class Manager(type(ManagedModel().kv_cache_manager)):  # type: ignore[misc]
        def set_recur_cache(self, cache_key: int, kv_cache: Any, *, colour: str = "") -> Any:
            return super().set_recur_cache(cache_key, kv_cache) if colour == "red" else None

    model = ManagedModel()
    model.kv_cache_manager.__class__ = Manager
    with (
        attach(model, candidate="refactored-fifo"),
        pytest.warns(UserWarning, match=r"kvparity itself failed: TypeError: .*colour"),
    ):
        model.kv_cache_manager.set_recur_cache(1, model.produced, colour="red")
    assert model.search(0, 1) is not None


def test_a_run_that_makes_warnings_errors_gets_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A warning that would raise is printed instead."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn("as you see")
    assert capsys.readouterr().err == "kvparity: warning: as you see\n"


# ---------------------------------------------------------------- after it opened


def test_a_candidate_that_is_taken_out_is_freed() -> None:
    """The run may go on for days, so its memory is freed. What was seen of it stays in the result."""
    made: list[weakref.ref[Any]] = []

    class Remembered(CorrectCache):
        def __init__(self, config: Any, env_num: int) -> None:
            super().__init__(config, env_num)
            made.append(weakref.ref(self))

    model = ReleasedModel()
    with attach(model, candidate=Remembered) as shadow:
        play(model)
        before = shadow.result()
        with pytest.warns(UserWarning, match=TAKEN_OUT):
            shadow.guard.stop("for a test")
        model.root(0, 1)
        gc.collect()
        assert made[0]() is None
        play(model)
    after = shadow.result()
    assert (after.operations, after.gets_compared) == (before.operations, before.gets_compared)
    assert type(model.past_kv_cache_recurrent_infer) is defaultdict


# ---------------------------------------------------------------- the shadow cache itself


@pytest.mark.parametrize("error", [SystemExit(1), GeneratorExit()])
def test_outside_of_training_an_exit_is_a_divergence_too(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """`kvparity run` reports a candidate that calls `sys.exit` like any other that raises."""
    monkeypatch.setattr(Exits, "error", error)
    candidate: Cache = Exits()
    cache = ShadowCache(reference=CorrectCache(), candidate=candidate, spec=CacheSpec(env_num=1))
    assert cache.get(RECUR, 1) is None
    assert cache.log.by_group == {("error", "candidate"): 1}
