"""A candidate is a guest: it works where and as the model does, and keeps nothing of the training alive."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import torch

from kvparity import RECUR, KeysValues, PoolId, PoolStats, init
from kvparity.registry import factory_of
from kvparity.training import Limits, attach
from kvparity.training.inline import shadowed_model
from kvparity.training.inline.trail import OPERATIONS
from kvparity.training.live import LiveView
from kvparity_scenarios.correct_cache import CorrectCache
from support.doubles import DoesNotCount
from support.worldmodels import ENVIRONMENTS, SPEC, ManagedModel, ReleasedModel, play, same

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.training import Attachment

MODELS = pytest.mark.parametrize("kind", [ReleasedModel, ManagedModel])
FREE = Limits(share=None, patience_s=None)
WAITING = OPERATIONS // 2


@pytest.fixture(params=[1, OPERATIONS], ids=["at once", "in one go"])
def together(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many operations the candidate does in one go."""
    monkeypatch.setattr(shadowed_model, "OPERATIONS", request.param)
    number: int = request.param
    return number


# ---------------------------------------------------------------- where


class KnowsItsThread(CorrectCache):
    """Raises in any thread but the one that made it, like a connection to a database."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.thread = threading.get_ident()

    def _at_home(self) -> None:
        if threading.get_ident() != self.thread:
            raise RuntimeError("used in another thread")

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        self._at_home()
        super().set(pool, key, value, priority=priority)

    def stats(self, pool: PoolId) -> PoolStats:
        self._at_home()
        return PoolStats()


def elsewhere(call: Callable[[], Any]) -> Any:
    """What `call` returns in another thread."""
    returned: list[Any] = []
    thread = threading.Thread(target=lambda: returned.append(call()))
    thread.start()
    thread.join()
    return returned[0]


def test_the_result_so_far_is_for_any_thread_and_asks_no_candidate() -> None:
    """The candidate belongs to the model's thread, and operations that wait go on waiting."""
    model = ManagedModel()
    with attach(model, candidate=KnowsItsThread, limits=FREE) as attached:
        for number in range(WAITING):
            model.set_recur(number, 1.0)
        so_far = elsewhere(attached.result_so_far)
        assert (so_far.operations_total, so_far.total) == (0, 0)
        model.search(0, 1)
        assert attached.result().operations_total == WAITING + 1
    result = attached.result()
    assert (result.total, result.gets_compared) == (0, 1)


def test_without_a_sink_there_is_no_thread() -> None:
    """A thread that shows nothing would only cost time."""
    model = ReleasedModel()
    threads = threading.active_count()
    with attach(model, candidate="refactored-fifo", limits=FREE) as attached, LiveView(attached, [], every_s=0):
        assert threading.active_count() == threads


def test_models_may_join_while_another_thread_reads_the_result() -> None:
    """Another thread may add models."""
    models = [ManagedModel() for _ in range(200)]
    with attach(models[0], candidate="refactored-fifo", limits=FREE) as attached:
        over = threading.Event()
        failed: list[Exception] = []

        def look() -> None:
            try:
                while not over.is_set():
                    attached.result_so_far()
            except Exception as error:  # noqa: BLE001  whatever it is
                failed.append(error)

        thread = threading.Thread(target=look)
        thread.start()
        for number, model in enumerate(models[1:]):
            attached.add(str(number), model)
        over.set()
        thread.join()
    assert failed == []


# ---------------------------------------------------------------- as the model does


class WritesInPlace(DoesNotCount):
    """Copies what it is given into slots that it makes once; if these are parameters, torch would track gradients."""

    made: Callable[[torch.Tensor], torch.Tensor] = staticmethod(torch.clone)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.slots: dict[tuple[PoolId, int], list[torch.Tensor]] = {}

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        tensors = [cache._cache for layer in value._keys_values for cache in (layer._k_cache, layer._v_cache)]
        slots = self.slots.get((pool, key))
        if slots is None:
            self.slots[pool, key] = [type(self).made(tensor) for tensor in tensors]
            return
        for slot, tensor in zip(slots, tensors, strict=True):
            slot.copy_(tensor)

    def get(self, pool: PoolId, key: int) -> Any:
        slots = self.slots.get((pool, key))
        return None if slots is None else KeysValues(slots, [1] * len(slots))

    def checkout(self, env: int, key: int) -> Any:
        found = self.get(init(env), key) or self.get(RECUR, key)
        return None if found is None else found.clone()


class KeepsParameters(WritesInPlace):
    """Its slots require gradients."""

    made = torch.nn.Parameter


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize(
    ("mode", "candidate"), [(torch.inference_mode, WritesInPlace), (torch.no_grad, KeepsParameters)]
)
def test_the_candidate_works_in_the_modes_that_the_model_works_in(mode: Any, candidate: Any) -> None:
    """The collector's modes hold for a block, which may be over when the candidate does its operations."""
    model = ManagedModel()
    with attach(model, candidate=candidate, on_divergence="record", limits=FREE) as attached:
        for _ in range(3):
            with mode():
                for number in range(WAITING - 1):
                    model.set_recur(number % 3, float(number))
                    model.search(0, number % 3)
    result = attached.result()
    assert (result.total, result.gets_compared) == (0, 3 * (WAITING - 1))


@pytest.mark.usefixtures("together")
def test_values_come_in_the_order_in_memory_that_they_were_set_in() -> None:
    """So a candidate that reads memory in order, and not by strides, is found."""
    model = ManagedModel()
    turned = [(torch.arange(24.0).reshape(1, 2, 4, 3) * sign).transpose(2, 3) for sign in (1, -1)]
    value = KeysValues(turned, [1, 1])
    with attach(model, candidate="fault:reads-memory-in-order", on_divergence="record", limits=FREE) as attached:
        for number in range(OPERATIONS):
            model.kv_cache_manager.set_recur_cache(number, value)
            model.kv_cache_manager.hierarchical_get(0, number)
    assert dict(attached.result().by_kind) == {"stale_hit": OPERATIONS}


class LruModel(ManagedModel):
    """Its manager evicts the entry that was used longest ago."""

    def __init__(self) -> None:
        super().__init__()
        self.kv_cache_manager = factory_of("refactored-lru")(SPEC.config(), ENVIRONMENTS)


@pytest.mark.parametrize(("candidate", "wrong"), [("refactored-lru", []), ("refactored-fifo", ["neither"] * 2)])
def test_a_manager_is_held_to_the_strategy_that_it_declares(candidate: str, wrong: list[str]) -> None:
    """A candidate with another strategy differs by design, and neither is wrong."""
    model = LruModel()
    with attach(model, candidate=candidate, on_divergence="record", limits=FREE) as attached:
        slots = SPEC.num_simulations * SPEC.env_num
        for number in range(slots):
            model.set_recur(number, float(number))
        model.search(0, 0)
        model.set_recur(slots, 100.0)
        model.search(0, 0)
        model.search(0, 1)
    assert [divergence.wrong for divergence in attached.result().kept] == wrong


def test_what_a_model_assigns_to_its_caches_it_finds_there() -> None:
    """The stand-ins pass it on, and it is still there after detaching."""
    model = ManagedModel()
    manager = model.kv_cache_manager
    with attach(model, candidate="refactored-fifo", limits=FREE):
        model.kv_cache_manager.mode = "eval"  # type: ignore[attr-defined]
        model.kv_cache_manager.recur_pool.enable_stats = False
        assert model.kv_cache_manager.mode == "eval"  # type: ignore[attr-defined]
        del model.kv_cache_manager.mode  # type: ignore[attr-defined]
    assert model.kv_cache_manager is manager
    assert not hasattr(manager, "mode")
    assert manager.recur_pool.enable_stats is False


def test_what_a_manager_refuses_as_no_entry_is_no_operation() -> None:
    """The model gets the exception, and the candidate stays."""
    model = ManagedModel()
    with attach(model, candidate="refactored-fifo", limits=FREE) as attached:
        with pytest.raises(Exception, match="is not a key/value cache entry"):
            model.kv_cache_manager.set_recur_cache(1, "rubbish")
        model.set_recur(2, 2.0)
        model.search(0, 2)
    result = attached.result()
    assert (attached.stopped, result.total, result.gets_compared) == (None, 0, 1)


# ---------------------------------------------------------------- it takes nothing along


class Fails(CorrectCache):
    """Raises at its second set."""

    sets = 0

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        self.sets += 1
        if self.sets == 2:
            raise RuntimeError("no")
        super().set(pool, key, value, priority=priority)


class Batch:
    """Something that a step of the training holds."""


@pytest.mark.usefixtures("together")
def test_an_exception_keeps_no_step_of_the_training_alive() -> None:
    """A traceback has all frames up to the training's own, and these hold their variables."""

    def step(model: ManagedModel) -> weakref.ref[Batch]:
        batch = Batch()
        for number in range(2 * OPERATIONS):
            model.set_recur(number, 1.0)
        return weakref.ref(batch)

    model = ManagedModel()
    with attach(model, candidate=Fails, on_divergence="record", limits=FREE) as attached:
        batch = step(model)
        gc.collect()
        assert batch() is None
        assert dict(attached.log.by_kind) == {"error": 1}
        gone = weakref.ref(model)
        del model
        gc.collect()
        assert gone() is None


def test_own_misses_of_the_model_keep_nothing_alive() -> None:
    """LightZero 0.2.0 raises at a recur miss, which a serving candidate answers."""
    model = ReleasedModel()

    def step(number: int) -> weakref.ref[Batch]:
        batch = Batch()
        assert model.search(0, number) is None
        return weakref.ref(batch)

    with attach(model, candidate="refactored-fifo", serve="candidate", limits=FREE):
        model.set_recur(1000, 1.0)
        batches = [step(number) for number in range(20)]
        gc.collect()
        assert sum(batch() is not None for batch in batches) <= 1  # of the last lookup


def test_every_model_has_its_own_back_even_where_the_candidate_hangs_at_the_end() -> None:
    """A Ctrl-C during the first model's last operations leaves no other model with a stand-in."""

    class Interrupted(CorrectCache):
        def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
            raise KeyboardInterrupt

    first, second = ManagedModel(), ManagedModel()
    own = first.kv_cache_manager, second.kv_cache_manager
    attached: Attachment = attach(first, candidate=Interrupted, limits=FREE)
    attached.add("second", second)
    first.set_recur(1, 1.0)
    second.set_recur(1, 1.0)
    with pytest.raises(KeyboardInterrupt):
        attached.detach()
    assert (first.kv_cache_manager is own[0], second.kv_cache_manager is own[1]) == (True, True)


@MODELS
def test_after_the_end_the_candidate_is_asked_nothing_more(kind: type) -> None:
    """The time-out for its calls has ended with the training, so it was asked before."""
    asked: list[PoolId] = []

    class Counts(CorrectCache):
        def stats(self, pool: PoolId) -> PoolStats:
            asked.append(pool)
            return PoolStats(size_bytes=7)

    model, twin = kind(), kind()
    with attach(model, candidate=Counts, limits=FREE) as attached:
        assert same(play(model), play(twin))
    before = len(asked)
    result = attached.result()
    assert len(asked) == before > 0
    assert result.stats["candidate"]["recur"]["size_bytes"] == 7


# ---------------------------------------------------------------- what is served


@pytest.mark.parametrize("size", [1.0, True])
def test_an_answer_whose_sizes_are_no_integers_is_not_served(size: Any) -> None:
    """The model would slice with them."""

    class Floats(CorrectCache):
        def checkout(self, env: int, key: int) -> Any:
            found = super().checkout(env, key)
            found._keys_values[0]._k_cache._size = size
            return found

    model = ManagedModel()
    with attach(model, candidate=Floats, serve="candidate", on_divergence="record", limits=FREE):
        model.set_recur(1, 1.0)
        served = model.kv_cache_manager.hierarchical_get(0, 1)
    assert type(served._keys_values[0]._k_cache._size) is int


class Thorn(torch.Tensor):
    """Raises when torch multiplies it."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.Tensor.mul:
            raise RuntimeError("thorn")
        return super().__torch_function__(function, types, args, kwargs or {})


def test_an_answer_of_tensors_of_its_own_class_is_not_served() -> None:
    """Whatever the model does with them would run the candidate's code."""

    class Thorny(CorrectCache):
        def checkout(self, env: int, key: int) -> Any:
            found = super().checkout(env, key)
            cache = found._keys_values[0]._k_cache
            cache._cache = cache._cache.as_subclass(Thorn)
            return found

    model = ManagedModel()
    with attach(model, candidate=Thorny, serve="candidate", on_divergence="record", limits=FREE):
        model.set_recur(1, 1.0)
        served = model.kv_cache_manager.hierarchical_get(0, 1)
    assert type(served._keys_values[0]._k_cache._cache) is torch.Tensor
