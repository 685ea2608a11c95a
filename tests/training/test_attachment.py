"""Attached to a world model, a candidate shadows it, or serves it, and leaves no trace when it is detached."""

from __future__ import annotations

import copy
import gc
import inspect
import os
import pickle
import threading
import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from kvparity import (
    RECUR,
    CacheSpec,
    KnownDifference,
    PoolId,
    PoolStats,
    Trace,
    TraceWriter,
    UnusableCacheError,
    UsageError,
    fingerprint,
    training,
)
from kvparity.errors import DivergedError
from kvparity.training import Options
from kvparity.training.recorder import Recording
from kvparity_legacy import ReleasedCache
from kvparity_refactored import fifo
from kvparity_scenarios.correct_cache import CorrectCache
from kvparity_scenarios.faults import FAULTS
from support import doubles
from support.attaching import attach
from support.worldmodels import ENVIRONMENTS, SPEC, ManagedModel, ReleasedModel, entry, key, play, policy_of, same

if TYPE_CHECKING:
    from pathlib import Path

MODELS = pytest.mark.parametrize("kind", [ReleasedModel, ManagedModel])


# ---------------------------------------------------------------- the shadow


@MODELS
def test_a_sound_candidate_is_at_parity(kind: type) -> None:
    """Every lookup of the model is compared, and none differs."""
    model = kind()
    with attach(model, candidate="refactored-fifo") as attached:
        given = play(model)
    result = attached.result()
    assert result.total == 0
    assert result.gets_compared == len(given)
    assert result.values_compared == sum(value is not None for value in given)
    assert result.training is not None
    assert (result.training.models, result.training.stopped) == (("world model",), None)


@MODELS
@pytest.mark.parametrize("serve", ["reference", "candidate"])
@pytest.mark.parametrize("candidate", ["refactored-fifo", fifo, ReleasedCache])
def test_the_model_is_given_what_its_unshadowed_twin_is(kind: type, serve: str, candidate: Any) -> None:
    """Bit for bit, whether its own caches serve it or a correct candidate does."""
    model, twin = kind(), kind()
    with attach(model, candidate=candidate, serve=serve):
        assert same(play(model), play(twin))
    assert same(play(model), play(twin))


@MODELS
@pytest.mark.parametrize(
    "candidate",
    [
        "fault:by-reference",
        doubles.Raises,
        doubles.RaisesOnSet,
        FAULTS["lends-lists"],
        doubles.LendsRubbish,
        doubles.Invents,
        FAULTS["writes-into-source"],
        FAULTS["working-copy-is-entry"],
        doubles.ClearsNothing,
        doubles.AlwaysMisses,
        doubles.Pads,
    ],
)
def test_a_faulty_candidate_is_found_and_never_felt(kind: type, candidate: Any) -> None:
    """The model gets what it would get without a shadow, and the candidate is blamed."""
    model, twin = kind(), kind()
    with attach(model, candidate=candidate) as attached:
        assert same(play(model), play(twin))
    assert attached.log.by_side["candidate"] > 0
    assert attached.log.by_side["reference"] == 0


def test_lightzeros_own_wrong_tensors_are_its_own() -> None:
    """A ring smaller than a search returns other keys' bytes, and a candidate that misses there is right."""
    model = ReleasedModel()
    with attach(model, candidate="refactored-fifo") as attached:
        for number in range(9):
            model.set_recur(number, float(number))
        model.search(0, 0)
    assert attached.log.by_group == {("stale_hit", "reference"): 1}


def test_a_recur_miss_is_lightzeros_own_error() -> None:
    """LightZero 0.2.0 raises TypeError there, also when it is shadowed; a candidate that misses is right."""
    model = ReleasedModel()
    with attach(model, candidate="refactored-fifo") as attached, pytest.raises(TypeError, match="NoneType"):
        model.search(0, 5)
    assert attached.log.by_group == {("error", "reference"): 1}


def test_a_manager_that_raises_still_does() -> None:
    """The model gets the exception, and a refused environment is not an operation."""
    model = ManagedModel()
    with attach(model, candidate="refactored-fifo") as attached:
        for call in (lambda: model.set_init(7, 1, 1.0), lambda: model.root(7, 1), lambda: model.search(7, 1)):
            with pytest.raises(ValueError, match="env_id 7"):
                call()
        play(model)
    assert attached.stopped is None
    assert attached.log.total == 0


def test_shadowing_begins_when_all_caches_are_empty() -> None:
    """The candidate lacks what the model held before, so nothing is compared until that is gone."""
    model = ReleasedModel()
    model.set_init(0, 1, 1.0)
    with attach(model, candidate="refactored-fifo") as attached:
        model.root(0, 1)
        assert attached.result().operations_total == 0
        play(model)
    assert attached.result().total == 0
    assert attached.result().gets_compared > 0


def test_a_policys_models_are_shadowed_once_each() -> None:
    """Roles that share a model share its shadow, and all models share one log."""
    shared, target = ReleasedModel(), ReleasedModel()
    with attach(policy_of(shared, target), candidate="fault:by-reference") as attached:
        play(shared)
        only_shared = attached.log.total
        play(target)
    assert attached.log.total > only_shared > 0
    training = attached.result().training
    assert training is not None
    assert training.models == ("learn+collect+eval", "target")


def test_keys_of_any_kind_are_distinguished() -> None:
    """Keys that are not 64-bit numbers are hashed: none are confused, and nothing fails."""
    model = ManagedModel()
    with attach(model, candidate="refactored-fifo") as attached:
        for number, odd in enumerate(["not hexadecimal", (1, 2), -5, 1 << 80, 3.5, "ff", 255]):
            model.kv_cache_manager.set_recur_cache(odd, entry(number))
            model.kv_cache_manager.get_recur_cache(odd)
    assert attached.log.total == 0
    assert attached.stopped is None


# ---------------------------------------------------------------- who serves


@MODELS
def test_a_serving_candidates_answers_feed_the_model(kind: type) -> None:
    """The model works with the candidate's bytes, also where they are wrong."""
    model, twin = kind(), kind()
    with attach(model, candidate="fault:by-reference", serve="candidate") as attached:
        assert not same(play(model), play(twin))
    assert attached.log.by_side["candidate"] > 0


def test_a_serving_candidates_miss_is_clean() -> None:
    """Where LightZero 0.2.0 would raise TypeError, it goes on without a cached value."""
    model = ReleasedModel()
    with attach(model, candidate=doubles.AlwaysMisses, serve="candidate"):
        model.set_recur(1, 1.0)
        assert model.search(0, 1) is None
        assert model.root(0, 1) is None
    assert model.search(0, 1) is not None


@MODELS
@pytest.mark.parametrize("compare_every", [1, 1000])
@pytest.mark.parametrize("candidate", [doubles.Raises, FAULTS["lends-lists"], doubles.LendsRubbish, doubles.Pads])
def test_what_a_serving_candidate_cannot_answer_the_model_does(kind: type, candidate: Any, compare_every: int) -> None:
    """Exceptions, things that are not entries, and entries of another shape are never served."""
    model, twin = kind(), kind()
    with attach(model, candidate=candidate, serve="candidate", compare_every=compare_every):
        assert same(play(model), play(twin))


# ---------------------------------------------------------------- what to do about a divergence


def test_divergences_are_recorded_in_silence() -> None:
    """The training gets no warning and no exception."""
    model = ReleasedModel()
    with attach(model, candidate="fault:by-reference") as attached:
        play(model)
    assert attached.log.total > 1


def test_a_warning_comes_once_for_each_kind() -> None:
    """Not for each divergence."""
    model = ReleasedModel()
    with (
        attach(model, candidate="fault:by-reference", on_divergence="warn") as attached,
        pytest.warns(UserWarning, match=r"kvparity: stale_hit in .*, wrong: candidate") as warned,
    ):
        play(model)
    assert len(warned) == len(attached.log.first)


def test_a_divergence_can_stop_the_training() -> None:
    """With `raise`, the first one that is not known ends it with an error that says what differs."""
    model = ReleasedModel()
    with (
        attach(model, candidate="fault:by-reference", on_divergence="raise"),
        pytest.raises(DivergedError, match=r"stale_hit in .*, wrong: candidate: "),
    ):
        play(model)


def test_a_divergence_can_end_the_shadow() -> None:
    """With `detach` the candidate is taken out at the first one that is not known."""
    model, twin = ReleasedModel(), ReleasedModel()
    with (
        attach(model, candidate="fault:by-reference", on_divergence="detach") as attached,
        pytest.warns(UserWarning, match="taken out, and the run goes on without it: it diverged: stale_hit"),
    ):
        assert same(play(model), play(twin))
    assert attached.log.total == 1


def test_a_known_difference_stops_nothing() -> None:
    """It is counted, and accepted."""
    known = KnownDifference(pattern="error *", side="reference", reason="LightZero's own", corruption=True)
    model = ReleasedModel()
    with attach(model, candidate="refactored-fifo", on_divergence="raise", known=[known]) as attached:
        with pytest.raises(TypeError):
            model.search(0, 5)
        assert attached.result().by_known == {"LightZero's own": 1}


def test_lookups_can_be_sampled() -> None:
    """Each N-th is compared, all are done, and the model gets the same."""
    model, twin = ReleasedModel(), ReleasedModel()
    with attach(model, candidate="refactored-lru", compare_every=5) as attached:
        given = play(model, rounds=60)
    assert same(given, play(twin, rounds=60))
    assert attached.result().gets_compared == -(-len(given) // 5)


# ---------------------------------------------------------------- coming and going


@MODELS
def test_detaching_gives_every_attribute_back(kind: type) -> None:
    """They are the same objects as before, with what was entered meanwhile."""
    model = kind()
    before = dict(vars(model))
    attached = attach(model, candidate="refactored-fifo")
    play(model)
    during = [name for name, value in vars(model).items() if value is not before.get(name)]
    attached.detach()
    assert during
    changed = {name for name, value in vars(model).items() if value is not before[name]}
    assert changed <= {"shared_pool_index"}
    assert vars(model).keys() == before.keys()


def test_what_is_done_to_a_stand_in_after_detaching_is_not_lost() -> None:
    """A loop may still hold a stand-in; it passes everything on to the model's own dict."""
    model = ReleasedModel()
    attached = attach(model, candidate="refactored-fifo")
    model.set_init(1, 1, 1.0)
    stand_ins = model.past_kv_cache_init_infer_envs
    attached.detach()
    stand_ins[1].clear()
    assert not model.past_kv_cache_init_infer_envs[1]


def test_what_a_model_made_itself_meanwhile_stays() -> None:
    """Detaching puts back only what is still replaced by a stand-in."""
    model = ReleasedModel()
    attached = attach(model, candidate="refactored-fifo")
    model.past_kv_cache_recurrent_infer = replaced = {}
    attached.detach()
    assert model.past_kv_cache_recurrent_infer is replaced


def test_two_can_be_attached_and_go_in_any_order() -> None:
    """Each has its own divergences, and the last one to detach gives the attributes back."""
    model = ReleasedModel()
    own = model.past_kv_cache_recurrent_infer
    first = attach(model, candidate="refactored-fifo")
    second = attach(model, candidate="fault:by-reference")
    play(model)
    first.detach()
    play(model)
    second.detach()
    assert model.past_kv_cache_recurrent_infer is own
    assert first.log.total == 0
    assert second.log.total > 0


def test_a_recording_listens_too(tmp_path: Path) -> None:
    """A model can be shadowed and recorded at once; the trace holds what its own caches did."""
    model = ReleasedModel()
    with (
        TraceWriter(tmp_path / "new.kvtrace", served_by="legacy-released") as writer,
        Recording({"collect": model}, writer),
        attach(model, candidate="fault:by-reference") as attached,
    ):
        play(model)
    with Trace(tmp_path / "new.kvtrace") as trace:
        assert len(trace) == attached.result().operations_total


def test_a_copy_is_unshadowed() -> None:
    """Deep copies and pickles of a model have plain caches of their own, with the same content."""
    model = ReleasedModel()
    with attach(model, candidate="refactored-fifo") as attached:
        model.set_recur(1, 1.0)
        copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]  # noqa: S301
        seen = attached.result().operations_total
        for copied in copies:
            assert type(copied.past_kv_cache_recurrent_infer) is type(ReleasedModel().past_kv_cache_recurrent_infer)
            assert type(copied.shared_pool_recur_infer) is list
            assert fingerprint(copied.search(0, 1)) == fingerprint(entry(1.0))
        assert attached.result().operations_total == seen


def test_a_managers_copy_is_unshadowed() -> None:
    """And the stand-in passes for the manager."""
    model = ManagedModel()
    with attach(model, candidate="refactored-fifo"):
        model.set_recur(1, 1.0)
        assert isinstance(model.kv_cache_manager, type(ManagedModel().kv_cache_manager))
        copied = copy.deepcopy(model)
    assert type(copied.kv_cache_manager) is type(model.kv_cache_manager)
    assert copied.kv_cache_manager is not model.kv_cache_manager
    assert fingerprint(copied.search(0, 1)) == fingerprint(entry(1.0))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_is_unshadowed() -> None:
    """There the model's own caches serve, even while another thread is inside the shadow."""
    model = ReleasedModel()
    with attach(model, candidate=doubles.AlwaysMisses, serve="candidate") as attached:
        model.set_recur(1, 1.0)
        with attached.lock:
            child = os.fork()
            if child == 0:
                os._exit(0 if model.search(0, 1) is not None else 1)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_threads_can_share_a_shadow() -> None:
    """Models that collect in threads share the log and the guard, and nothing is miscounted."""
    models = [ReleasedModel() for _ in range(4)]
    attachments = [attach(models[0], candidate="refactored-fifo")]
    for number, model in enumerate(models[1:]):
        attachments[0].add(f"collector {number}", model)
    threads = [threading.Thread(target=play, args=(model, 20)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    attachments[0].detach()
    result = attachments[0].result()
    assert result.total == 0
    assert result.gets_compared == 4 * len(play(ReleasedModel(), 20))


# ---------------------------------------------------------------- what cannot be


def test_what_is_no_world_model_is_refused() -> None:
    """The message names what both kinds have, and nothing was changed."""
    broken = SimpleNamespace(env_num=2)
    message = r"SimpleNamespace is not a world model that kvparity knows: .* lacks past_kv.*; .* kv_cache_manager"
    with pytest.raises(UnusableCacheError, match=message):
        attach(broken, candidate="refactored-fifo")
    assert vars(broken) == {"env_num": 2}


def test_a_manager_whose_sizes_cannot_be_read_is_refused() -> None:
    """The message says what was expected."""
    model = ManagedModel()
    model.kv_cache_manager.recur_pool = None  # type: ignore[assignment]
    with pytest.raises(
        UnusableCacheError, match=r"the pool sizes of KVCacheManager cannot be read: expected \.init_pools"
    ):
        attach(model, candidate="refactored-fifo")


def test_a_model_that_does_not_use_its_manager_is_a_released_one() -> None:
    """A later LightZero can still run the old system."""
    model = ReleasedModel()
    model.kv_cache_manager, model.use_new_cache_manager = ManagedModel().kv_cache_manager, False  # type: ignore[attr-defined]
    with attach(model, candidate="refactored-fifo") as attached:
        play(model)
    assert attached.result().gets_compared > 0


def test_a_candidate_that_cannot_be_built_is_refused_before_anything_is_touched() -> None:
    """No model of the policy is left with a shadow."""

    def picky(*_: Any) -> Any:
        raise RuntimeError("no")

    shared, target = ReleasedModel(), ReleasedModel()
    before = [dict(vars(model)) for model in (shared, target)]
    with pytest.raises(UnusableCacheError, match="picky cannot be built"):
        attach(policy_of(shared, target), candidate=picky)
    assert [vars(model) for model in (shared, target)] == before


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("serve", "both", "serve must be one of reference, candidate, got 'both'"),
        ("on_divergence", "ignore", "on_divergence must be one of record, warn, raise, detach, got 'ignore'"),
        ("compare_every", 0, "compare_every must be an integer of at least 1, got 0"),
    ],
)
def test_a_value_that_an_option_does_not_have_is_refused(option: str, value: Any, message: str) -> None:
    """The message names the values that are allowed."""
    with pytest.raises(UsageError, match=message):
        attach(ReleasedModel(), candidate="refactored-fifo", **{option: value})


def test_the_sizes_are_the_models() -> None:
    """The candidate is built with the sizes of the pools that it shadows."""
    built: list[CacheSpec] = []

    class Noting(CorrectCache):
        def __init__(self, config: Any, env_num: int) -> None:
            super().__init__(config, env_num)
            built.append(
                CacheSpec(env_num=env_num, init_pool_size=config.init_pool_size, num_simulations=config.num_simulations)
            )

    for model in (ReleasedModel(), ManagedModel()):
        attach(model, candidate=Noting).detach()
    assert built == [SPEC, SPEC]
    assert SPEC.slots(RECUR) == 8
    assert key(255) == "00000000000000ff"


def test_by_default_a_divergence_is_warned_of_at_once() -> None:
    """The warning comes in the first search, and not when a training of days ends."""
    model = ReleasedModel()
    with (
        attach(model, candidate="fault:by-reference"),
        pytest.warns(UserWarning, match="kvparity: stale_hit in .*, wrong: candidate: "),
    ):
        play(model, 1)


def test_attach_shows_every_option_with_its_default() -> None:
    """They are written once, in `Options`; `help` and editors show them for `attach`, too."""
    shown = inspect.signature(training.attach).parameters
    assert list(shown) == ["target", *inspect.signature(Options).parameters]
    assert shown["serve"].default == Options(candidate="refactored-fifo").serve


# ---------------------------------------------------------------- models that come and go


@MODELS
def test_the_caches_of_a_model_that_was_garbage_collected_are_freed(kind: type) -> None:
    """Its own and the candidate's; what was seen of them stays in the result."""
    made: list[weakref.ref[Any]] = []

    class Remembered(CorrectCache):
        def __init__(self, config: Any, env_num: int) -> None:
            super().__init__(config, env_num)
            made.append(weakref.ref(self))

    first, second = kind(), kind()
    with attach(first, candidate=Remembered) as attached:
        attached.add("the second", second)
        play(first)
        entry_of_its_own = weakref.ref(first.produced)
        before = attached.result()
        del first
        gc.collect()
        assert (made[0](), entry_of_its_own()) == (None, None)
        assert made[1]() is not None
        after = attached.result()
    assert after.as_dict()["operations"] == before.as_dict()["operations"]
    assert after.stats == before.stats
    assert after.training is not None
    assert after.training.models == ("world model", "the second")


def test_a_model_may_go_in_the_middle_of_an_operation_of_another() -> None:
    """Garbage collection may happen at any moment."""
    models = {"first": ReleasedModel()}

    class Collects(CorrectCache):
        def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
            super().set(pool, key, value, priority=priority)
            if models:
                models.clear()
                gc.collect()

    with attach(models["first"], candidate=Collects) as attached:
        second, twin = ReleasedModel(), ReleasedModel()
        attached.add("the second", second)
        assert same(play(second), play(twin))
    assert attached.stopped is None
    assert attached.result().total == 0


def test_a_model_may_go_while_it_is_reported_on() -> None:
    """Its numbers are in the result."""
    models: list[ReleasedModel] = []

    class Collects(CorrectCache):
        def stats(self, pool: PoolId) -> PoolStats:
            del pool
            models.clear()
            gc.collect()
            return PoolStats()

    attached = attach(ReleasedModel(), candidate=Collects)
    models.append(ReleasedModel())
    attached.add("the second", models[0])
    play(models[0], 2)
    first, again = attached.result(), attached.result()
    assert first.gets_compared == again.gets_compared > 0
    attached.detach()


# ---------------------------------------------------------------- pools that are asked without their manager


def test_a_pool_that_is_cleared_without_its_manager_is_heard() -> None:
    """LightZero clears one environment's pool when its episode ends; the candidate must forget, too."""
    model = ManagedModel()
    with attach(model, candidate="refactored-fifo", on_divergence="raise") as attached:
        for env in range(ENVIRONMENTS):
            model.set_init(env, 1, 1.0)
        model.set_recur(7, 7.0)
        model.kv_cache_manager.init_pools[1].clear()
        assert (model.root(0, 1) is None, model.root(1, 1) is None) == (False, True)
        for pool in model.kv_cache_manager.init_pools:
            pool.clear()
        model.kv_cache_manager.recur_pool.clear()
        assert [model.root(0, 1), model.search(0, 7)] == [None, None]
    result = attached.result()
    assert result.operations["clear"] == 1 + ENVIRONMENTS + 1
    assert result.total == 0


def test_a_pool_that_is_asked_without_its_manager_is_heard() -> None:
    """Its sets and gets are heard, too, and a candidate that serves answers them."""
    model = ManagedModel()
    with attach(model, candidate="fault:forgets-v", serve="candidate", on_divergence="record") as attached:
        pools = model.kv_cache_manager.init_pools
        pools[-1].set(5, model.produced)
        pools[0].set(cache_key=6, kv_cache=entry(3))
        served = pools[0].get(6)
        model.kv_cache_manager.recur_pool.set(5, model.produced)
    assert not served._keys_values[0]._v_cache._cache.any()
    assert attached.result().operations == {"set": 3, "get": 1}


def test_pools_look_like_the_managers_own() -> None:
    """Lengths, keys and other attributes are the same; after detaching they are the very objects."""
    model = ManagedModel()
    manager = model.kv_cache_manager
    with attach(model, candidate="refactored-fifo"):
        model.set_init(1, 4, 1.0)
        stand_in = model.kv_cache_manager
        assert [len(pool) for pool in stand_in.init_pools] == [0, 1]
        assert [len(pool) for pool in stand_in.init_pools[1:]] == [1]
        assert isinstance(stand_in.recur_pool, type(manager.recur_pool))
        assert stand_in.recur_pool.pool_size == manager.recur_pool.pool_size
    assert stand_in.init_pools is manager.init_pools
    assert stand_in.recur_pool is manager.recur_pool
