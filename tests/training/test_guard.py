"""The guard: nothing that a candidate or the harness does reaches the run, and what costs too much is taken out."""

from __future__ import annotations

import gc
import mmap
import random
import signal
import sys
import warnings
import weakref
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from kvparity import (
    RECUR,
    Cache,
    CacheSpec,
    KeysValues,
    PoolId,
    PoolStats,
    ShadowCache,
    UnusableCacheError,
    UsageError,
)
from kvparity.errors import warn
from kvparity.shadow.mirror import Mirror
from kvparity.training import Attachment, Limits, Options, attach
from kvparity.training.inline.guard import Guard
from kvparity.values.entry import read
from support import doubles
from support.worldmodels import ManagedModel, ReleasedModel, play, same

if TYPE_CHECKING:
    from collections.abc import Callable

TAKEN_OUT = "the candidate was taken out, and the run goes on without it: "
MODELS = pytest.mark.parametrize("kind", [ReleasedModel, ManagedModel])
SERVE = pytest.mark.parametrize("serve", ["reference", "candidate"])


class Clock:
    """Seconds that pass only when somebody says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


class Slow(doubles.Plain):
    """Takes a second for each set, on the clock of the test."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        super().set(pool, key, value, priority=priority)
        CLOCK.now += 1.0


class Hoards(doubles.Plain):
    """Says that it holds eight gigabytes."""

    def stats(self, pool: PoolId) -> PoolStats:
        return PoolStats(size_bytes=8 << 30 if pool == RECUR else 0)


class Exits(doubles.Plain):
    """Ends the process, or tries to."""

    error: BaseException = SystemExit(3)

    def get(self, pool: PoolId, key: int) -> Any:
        raise self.error


class Draws(doubles.Plain):
    """Rolls the run's dice."""

    draw: Callable[[], Any] = random.random

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        super().set(pool, key, value, priority=priority)
        type(self).draw()


def attached(model: Any, candidate: Any, **options: Any) -> Attachment:
    """`candidate` on the clock of the test."""
    attachment = Attachment(Options(candidate=candidate, **options), clock=CLOCK)
    attachment.add("model", model)
    return attachment


# ---------------------------------------------------------------- errors


@MODELS
@SERVE
def test_a_candidate_that_fails_too_often_is_taken_out(kind: type, serve: str) -> None:
    """It is said once and in the result, and the model never felt it."""
    model, twin = kind(), kind()
    with (
        attach(
            model, candidate=doubles.RaisesOnSet, serve=serve, limits=Limits(errors=5), on_divergence="record"
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
    """They were fed all the time, so a canary can be taken out at any moment."""
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
    """They are asked for now and then, from other threads too, and in the end."""

    class Counts(doubles.Plain):
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
    """As one that raises."""

    class Leaves(doubles.Plain):
        def __init__(self, config: Any, env_num: int) -> None:
            super().__init__(config, env_num)
            sys.exit(0)

    with pytest.raises(UnusableCacheError, match=r"Leaves cannot be built .*: SystemExit: 0"):
        attach(ReleasedModel(), candidate=Leaves)


def test_a_working_copy_that_exits_when_it_is_written_into_is_an_error() -> None:
    """Whatever an answer does when somebody touches it is the candidate's doing."""

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

    class Traps(doubles.Plain):
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
    """Even where it comes while the candidate is at work, after which its shadow is of no use."""
    monkeypatch.setattr(Exits, "error", KeyboardInterrupt())
    model = ReleasedModel()
    with attach(model, candidate=Exits, serve="candidate") as shadow:
        with pytest.raises(KeyboardInterrupt), pytest.warns(UserWarning, match=f"{TAKEN_OUT}an interrupt came"):
            model.root(0, 1)
        play(model)
    assert shadow.result().operations_total == 1


def test_a_signals_handler_can_end_the_run_while_the_candidate_is_at_work() -> None:
    """Schedulers end a run with a signal, and its handler with `sys.exit`: that is not the candidate's."""

    class Signalled(doubles.Plain):
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
    """In the middle of an operation it would be told of another; the model gets its own answer."""
    model = ReleasedModel()

    class Nested(doubles.Plain):
        def get(self, pool: PoolId, key: int) -> Any:
            model.root(1, key)

    with (
        attach(model, candidate=Nested, serve="candidate"),
        pytest.warns(UserWarning, match=f"{TAKEN_OUT}a signal's handler"),
    ):
        assert model.root(0, 1) is None


@MODELS
@SERVE
def test_a_defect_of_the_harness_is_none_of_the_run(kind: type, serve: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shadow ends, and says so."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    model, twin = kind(), kind()
    with attach(model, candidate="refactored-fifo", serve=serve) as shadow:
        monkeypatch.setattr(Mirror, "mirror_checkout", broken)
        with pytest.warns(UserWarning, match=f"{TAKEN_OUT}kvparity itself failed: ZeroDivisionError: a defect"):
            assert same(play(model), play(twin))
    assert shadow.stopped is not None


def test_a_call_that_is_not_understood_ends_the_shadow() -> None:
    """A manager may take what kvparity has never heard of: it gets it, and the shadow would go astray."""

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


def test_a_run_that_makes_warnings_errors_gets_none(capsys: pytest.CaptureFixture[str]) -> None:
    """What would raise is printed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn("as you see")
    assert capsys.readouterr().err == "kvparity: warning: as you see\n"


# ---------------------------------------------------------------- time


@pytest.mark.parametrize(
    ("serve", "found"),
    [
        ("reference", r"shadowing took 4\.0 s of 4\.0 s; 5% were allowed"),
        ("candidate", r"shadowing took 7\.0 s of 7\.0 s; 50% were allowed"),
    ],
)
def test_a_slow_candidate_is_taken_out(serve: str, found: str) -> None:
    """Of the first minute it may take five percent, three seconds, in advance; then it has cost enough."""
    model, twin = ReleasedModel(), ReleasedModel()
    with attached(model, Slow, serve=serve) as shadow, pytest.warns(UserWarning, match=found):
        assert same(play(model), play(twin))
    assert shadow.stopped is not None


def test_a_candidate_that_serves_is_not_taken_out_for_what_a_shadow_may_not_take() -> None:
    """Its work is the run's own, and to take it out would change what the model is fed."""
    model = ReleasedModel()
    with attached(model, Slow, serve="candidate") as shadow:
        for step in range(100):
            model.set_recur(step, 1.0)
            CLOCK.now += 4.0
    training = shadow.result().training
    assert training is not None
    assert (training.share, training.stopped, training.passed_over) == (0.2, None, 0)


@pytest.mark.parametrize(("share", "serving"), [(None, None), (0.01, 0.1), (0.3, 1.0)])
def test_where_it_serves_the_share_is_ten_times_as_large(share: float | None, serving: float | None) -> None:
    """At most all of wall time, and without a limit there is none; what may be spent in advance stays."""
    limits = Limits(share=share)
    found = limits.where_it_serves()
    assert found.share == serving
    assert found.warm_up_s * (serving or 1.0) == pytest.approx(limits.warm_up_s * (share or 1.0))


def test_without_a_share_time_is_only_measured() -> None:
    """None switches that limit off."""
    model = ReleasedModel()
    with attached(model, Slow, limits=Limits(share=None)) as shadow:
        play(model)
        CLOCK.now += 64.0
    CLOCK.now += 1000.0
    training = shadow.result().training
    assert training is not None
    assert (training.shadow_s, training.wall_s, training.share) == (36.0, 100.0, 0.36)


def test_time_that_was_not_spent_is_saved_up() -> None:
    """A burst after a pause is within the share; what is saved up is that of one hour at most."""
    clock = Clock()
    guard = Guard(Limits(patience_s=None, share=0.1, warm_up_s=10.0), clock=clock)

    def take(seconds: float) -> None:
        visit = guard.begin()
        clock.now += seconds
        guard.finish(visit)

    clock.now += 100.0
    take(11.0)
    assert guard.stopped is None
    clock.now += 1e6
    take(360.0)
    assert guard.stopped is None
    with pytest.warns(UserWarning, match=TAKEN_OUT):
        take(60.0)


def test_where_time_runs_short_shadowing_pauses() -> None:
    """From when all caches are empty until they are empty and there is time again: nothing is lost but lookups."""
    model, twin = ReleasedModel(), ReleasedModel()
    with attached(model, Slow) as shadow:
        given: list[Any] = []
        for _ in range(2):
            model.set_recur(1, 1.0)  # one second of three
            model.search(0, 1)
        model.clear_caches()
        before = shadow.result()
        given += play(model, 2)  # too dear to go on with
        during = shadow.result()
        CLOCK.now += 60.0
        model.set_recur(5, 5.0)
        model.clear_caches()
        model.set_recur(1, 2.0)
        model.search(0, 1)
    assert same(given, play(twin, 2))
    assert (before.gets_compared, during.gets_compared) == (2, 2)
    result = shadow.result()
    assert (result.gets_compared, result.total) == (3, 0)
    assert result.training is not None
    assert result.training.passed_over == len(given)
    assert result.training.stopped is None


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_a_share_that_there_is_not_is_refused(share: float) -> None:
    """Percent are not meant."""
    with pytest.raises(UsageError, match=r"must lie in \(0, 1\], got"):
        Limits(share=share)


# ---------------------------------------------------------------- memory


def test_a_candidate_that_holds_too_much_is_taken_out() -> None:
    """By its own word."""
    model, twin = ReleasedModel(), ReleasedModel()
    found = r"it holds 8,589,934,592 bytes; 4,294,967,296 were allowed"
    with attach(model, candidate=Hoards), pytest.warns(UserWarning, match=found):
        assert same(play(model, 90), play(twin, 90))


def test_the_process_is_weighed() -> None:
    """By how much it grew while the candidate was at work, and not in between."""
    sizes = iter([100, 150, 10_000, 10_060])
    guard = Guard(Limits(patience_s=None, size_bytes=100), resident=lambda: next(sizes))
    guard.finish(guard.begin())
    assert guard.stopped is None
    visit = guard.begin()
    with pytest.warns(UserWarning, match="the process grew by 110 bytes; 100 were allowed"):
        guard.finish(visit)


def test_in_the_long_run_some_operations_are_weighed_for_all() -> None:
    """To weigh each would cost more than it tells: a leak comes in many of them."""
    resident = 0

    def grow() -> int:
        nonlocal resident
        resident += 1
        return resident

    guard = Guard(Limits(patience_s=None, size_bytes=2000), resident=grow)
    for _ in range(1024):
        guard.finish(guard.begin())
    assert (resident, guard.stopped) == (2048, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(31 * 200):
            guard.finish(guard.begin())
    assert str(guard.stopped).startswith("the process grew by")
    assert resident <= 2048 + 2 * 201


def test_a_visit_for_many_operations_is_weighed_as_it_is() -> None:
    """It stands for itself alone; one that is left early counts for what was done."""
    sizes = iter([0, 0, 0, 40, 40, 80, 80, 101])
    guard = Guard(Limits(patience_s=None, size_bytes=100), resident=lambda: next(sizes))
    guard.finish(guard.begin(1024))
    for _ in range(2):
        guard.finish(guard.begin(31))
    assert guard.stopped is None
    visit = guard.begin(40)
    with pytest.warns(UserWarning, match="the process grew by 101 bytes"):
        guard.finish(visit, left=9)
    assert guard.stopped_after_operations == 1024 + 62 + 31


def test_what_grew_in_visits_that_were_left_early_counts_in_full() -> None:
    """A candidate that leaks and differs in each operation is left after each, with the others yet to be done."""
    sizes = iter([0, 40, 40, 80, 80, 120])
    guard = Guard(Limits(patience_s=None, size_bytes=100), resident=lambda: next(sizes))
    for _ in range(2):
        guard.finish(guard.begin(16), left=15)
    visit = guard.begin(16)
    with pytest.warns(UserWarning, match="the process grew by 120 bytes"):
        guard.finish(visit, left=15)
    assert guard.stopped_after_operations == 3


def test_what_the_run_has_freed_since_is_not_held() -> None:
    """A working copy is made while the candidate is at work, and let go of by the run that it was lent to."""
    sizes = iter([1000, 1090, 1000, 1090, 1000, 1090])
    guard = Guard(Limits(patience_s=None, size_bytes=100), resident=lambda: next(sizes))
    for _ in range(3):
        guard.finish(guard.begin())
    assert guard.stopped is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the memory of a process")
@pytest.mark.parametrize("said", [None, 0])
def test_a_leak_is_taken_out(said: int | None) -> None:
    """A candidate that keeps ever more is found by the memory of the process, whatever it says that it holds."""

    class Leaks(doubles.Plain):
        kept: list[Any] = []  # noqa: RUF012

        def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
            super().set(pool, key, value, priority=priority)
            pages = mmap.mmap(-1, 2 << 20)  # new ones, whatever the process has freed before
            pages.write(bytes(2 << 20))
            self.kept.append(pages)

        def stats(self, pool: PoolId) -> PoolStats:
            del pool
            return PoolStats(size_bytes=said)

    model, twin = ReleasedModel(), ReleasedModel()
    with (
        attach(model, candidate=Leaks, limits=Limits(size_bytes=16 << 20, share=None)),
        pytest.warns(UserWarning, match="the process grew by"),
    ):
        assert same(play(model, 12), play(twin, 12))
    Leaks.kept.clear()


def test_a_candidate_that_is_taken_out_is_let_go_of() -> None:
    """What it holds is free for the run, which goes on, perhaps for days; what was seen of it is told in the end."""
    made: list[weakref.ref[Any]] = []

    class Remembered(doubles.Plain):
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


# ---------------------------------------------------------------- dice


@pytest.mark.parametrize("kind", [ReleasedModel, ManagedModel])
def test_shadowing_draws_no_random_numbers(kind: type) -> None:
    """The run's random state is the same with and without."""

    def state() -> tuple[Any, ...]:
        return random.random(), np.random.random(), float(torch.rand(()))  # noqa: NPY002

    def seeded() -> None:
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)

    seeded()
    play(kind())
    without = state()
    seeded()
    model = kind()
    with attach(model, candidate="refactored-lru"):
        play(model)
    assert state() == without


@pytest.mark.parametrize(
    ("draw", "whose"),
    [(random.random, "Python's"), (np.random.random, "numpy's"), (lambda: torch.rand(()), "torch's")],
)
def test_a_candidate_that_draws_from_the_runs_random_state_is_taken_out(
    draw: Callable[[], Any], whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it drew is put back, so that the run goes on as it would have."""
    monkeypatch.setattr(Draws, "draw", staticmethod(draw))
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]  # noqa: NPY002
    model = ReleasedModel()
    with attach(model, candidate=Draws), pytest.warns(UserWarning, match=f"it drew random numbers from {whose} random"):
        play(model)
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[index]  # noqa: NPY002


# ---------------------------------------------------------------- the shadow cache itself


@pytest.mark.parametrize("error", [SystemExit(1), GeneratorExit()])
def test_outside_of_training_an_exit_is_a_divergence_too(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """`kvparity run` reports a candidate that calls `sys.exit` like any other that raises."""
    monkeypatch.setattr(Exits, "error", error)
    candidate: Cache = Exits()
    cache = ShadowCache(reference=doubles.Plain(), candidate=candidate, spec=CacheSpec(env_num=1))
    assert cache.get(RECUR, 1) is None
    assert cache.log.by_group == {("error", "candidate"): 1}
