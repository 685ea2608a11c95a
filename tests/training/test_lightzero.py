"""The recorder listens to a world model without changing what it does."""

from __future__ import annotations

import copy
import pickle
from collections import defaultdict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from kvparity import (
    RECUR,
    Answer,
    CacheSpec,
    Checkout,
    Clear,
    Get,
    KeysValues,
    Set,
    UnusableCacheError,
    fingerprint,
    init,
)
from kvparity.training.lightzero.models import identity_of, spec_of, world_models_of
from kvparity.training.recorder import Recording

if TYPE_CHECKING:
    from kvparity import Operation

ENVIRONMENTS = 2
RECUR_SLOTS = 4
KEY = "00000000000000{:02x}"


def value(number: float) -> KeysValues:
    """A small entry, different for each number."""
    entry = KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=2, head_dim=2, size=1)
    entry._keys_values[0]._k_cache._cache.fill_(number)
    return entry


class WorldModel:
    """What the recorder reads of the class of that name in LightZero 0.2.0, which uses it in the same way."""

    def __init__(self) -> None:
        self.env_num = ENVIRONMENTS
        self.shared_pool_size = RECUR_SLOTS
        self.shared_pool_size_init = 2
        self.past_kv_cache_init_infer_envs: list[dict[str, Any]] = [defaultdict(dict) for _ in range(ENVIRONMENTS)]
        self.past_kv_cache_recurrent_infer: dict[str, Any] = defaultdict(dict)
        self.shared_pool_init_infer = [[value(0), value(0)] for _ in range(ENVIRONMENTS)]
        self.shared_pool_recur_infer = [value(0) for _ in range(RECUR_SLOTS)]
        self.pointer = 0

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"weight": torch.arange(4.0)}

    def set_init(self, env: int, key: str, number: float, slot: int) -> None:
        self.shared_pool_init_infer[env][slot] = value(number)
        self.past_kv_cache_init_infer_envs[env][key] = slot

    def set_recur(self, key: str, number: float) -> None:
        slot, self.pointer = self.pointer, (self.pointer + 1) % RECUR_SLOTS
        self.shared_pool_recur_infer[slot] = value(number)
        self.past_kv_cache_recurrent_infer[key] = slot

    def root(self, env: int, key: str) -> Any:
        return self.past_kv_cache_init_infer_envs[env].get(key)

    def retrieve_or_generate_kvcache(self, env: int, key: str) -> Any:
        index = self.past_kv_cache_init_infer_envs[env].get(key)
        if index is not None:
            return self.shared_pool_init_infer[env][index]
        return self.shared_pool_recur_infer[self.past_kv_cache_recurrent_infer.get(key)]


class Listing:
    """A writer that keeps what it gets, with each set's fingerprint instead of its value."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, Operation, Answer | bytes | None]] = []
        self.streams: list[tuple[str, CacheSpec]] = []

    def stream(self, name: str, spec: CacheSpec) -> int:
        self.streams.append((name, spec))
        return len(self.streams) - 1

    def record(self, stream: int, operation: Operation, answer: Answer | None = None) -> None:
        noted = fingerprint(operation.value) if isinstance(operation, Set) else answer
        self.lines.append((stream, operation, noted))

    @property
    def operations(self) -> list[Operation]:
        return [operation for _, operation, _ in self.lines]


@pytest.fixture
def model() -> WorldModel:
    """A world model with empty caches."""
    return WorldModel()


@pytest.fixture
def writer() -> Listing:
    """Keeps what is recorded."""
    return Listing()


def test_a_root_lookup_is_a_get_and_a_search_one_checkout(model: WorldModel, writer: Listing) -> None:
    """Each lookup becomes one operation, with the fingerprint of what was found and where."""
    recording = Recording({"collect": model}, writer)
    model.set_init(1, KEY.format(1), 10.0, slot=0)
    model.set_recur(KEY.format(2), 20.0)
    model.root(1, KEY.format(1))
    model.root(1, KEY.format(9))
    model.retrieve_or_generate_kvcache(1, KEY.format(1))
    model.retrieve_or_generate_kvcache(0, KEY.format(2))
    recording.detach()

    ten, twenty = fingerprint(value(10.0)), fingerprint(value(20.0))
    assert [(type(operation), noted) for _, operation, noted in writer.lines] == [
        (Set, ten),
        (Set, twenty),
        (Get, Answer(fingerprint=ten)),
        (Get, Answer()),
        (Checkout, Answer(fingerprint=ten, source="init")),
        (Checkout, Answer(fingerprint=twenty, source="recur")),
    ]
    assert writer.operations[2:] == [
        Get(pool=init(1), key=1),
        Get(pool=init(1), key=9),
        Checkout(env=1, key=1),
        Checkout(env=0, key=2),
    ]


def test_clears_are_recorded_by_pool(model: WorldModel, writer: Listing) -> None:
    """Emptying a dict is a clear of its pool."""
    with Recording({"collect": model}, writer):
        model.past_kv_cache_init_infer_envs[1].clear()
        model.past_kv_cache_recurrent_infer.clear()
    assert writer.operations == [Clear(pool=init(1)), Clear(pool=RECUR)]


def test_a_wrong_hit_is_recorded_as_what_was_returned(model: WorldModel, writer: Listing) -> None:
    """A key whose slot was overwritten is recorded with the other key's bytes, as LightZero returned them."""
    with Recording({"collect": model}, writer):
        for number in range(RECUR_SLOTS + 1):
            model.set_recur(KEY.format(number), float(number))
        model.retrieve_or_generate_kvcache(0, KEY.format(0))
    _, operation, answer = writer.lines[-1]
    assert operation == Checkout(env=0, key=0)
    assert answer == Answer(fingerprint=fingerprint(value(float(RECUR_SLOTS))), source="recur")


def test_a_recur_miss_is_recorded_as_the_error_that_follows(model: WorldModel, writer: Listing) -> None:
    """LightZero 0.2.0 indexes a list with None there; the model still gets its exception."""
    with Recording({"collect": model}, writer), pytest.raises(TypeError):
        model.retrieve_or_generate_kvcache(0, KEY.format(5))
    assert writer.lines == [(0, Checkout(env=0, key=5), Answer(error="TypeError"))]


def test_recording_begins_when_all_pools_are_empty(model: WorldModel, writer: Listing) -> None:
    """A replay lacks what the model held before, so nothing is recorded until that is gone."""
    model.set_init(0, KEY.format(1), 1.0, slot=0)
    model.set_recur(KEY.format(2), 2.0)
    with Recording({"collect": model}, writer) as recording:
        model.root(0, KEY.format(1))
        model.past_kv_cache_recurrent_infer.clear()
        assert recording.operations == 0
        model.past_kv_cache_init_infer_envs[0].clear()
        model.set_recur(KEY.format(3), 3.0)
        assert recording.operations == 1
    assert writer.operations[0].key == 3


def test_a_limit_ends_the_recording_with_a_search(model: WorldModel, writer: Listing) -> None:
    """After the limit, the recording goes on to the next clear of recur and ends there."""
    with Recording({"collect": model}, writer, limit=2):
        for number in range(3):
            model.set_recur(KEY.format(number), float(number))
        model.past_kv_cache_recurrent_infer.clear()
        model.set_recur(KEY.format(9), 9.0)
    assert [operation.key for operation in writer.operations] == [0, 1, 2]


def test_several_models_go_into_one_trace(writer: Listing) -> None:
    """Each world model is a stream of its own, with its sizes."""
    first, second = WorldModel(), WorldModel()
    with Recording({"collect": first, "target": second}, writer):
        second.set_recur(KEY.format(1), 1.0)
        first.set_recur(KEY.format(2), 2.0)
    assert [stream for stream, _, _ in writer.lines] == [1, 0]
    assert writer.streams == [("collect", spec_of(first)), ("target", spec_of(second))]


def test_detaching_gives_the_models_own_dicts_back(model: WorldModel, writer: Listing) -> None:
    """They are the same objects as before, with what was entered meanwhile."""
    own_init, own_recur = model.past_kv_cache_init_infer_envs, model.past_kv_cache_recurrent_infer
    own_first = own_init[0]
    recording = Recording({"collect": model}, writer)
    model.set_init(0, KEY.format(1), 1.0, slot=1)
    recording.detach()
    assert model.past_kv_cache_init_infer_envs is own_init
    assert model.past_kv_cache_recurrent_infer is own_recur
    assert own_init[0] is own_first
    assert own_first == {KEY.format(1): 1}
    model.set_recur(KEY.format(2), 2.0)
    assert len(writer.lines) == 1


def test_a_failing_recording_never_reaches_the_model(model: WorldModel, writer: Listing) -> None:
    """The model does not notice; one warning says that the recording ended."""
    writer.record = lambda *_: 1 / 0  # type: ignore[method-assign, assignment]
    recording = Recording({"collect": model}, writer)
    with pytest.warns(UserWarning, match="recording stopped: ZeroDivisionError"):
        model.set_recur(KEY.format(1), 1.0)
    model.set_recur(KEY.format(2), 2.0)
    assert model.retrieve_or_generate_kvcache(0, KEY.format(2)) is model.shared_pool_recur_infer[1]
    recording.detach()
    assert len(model.past_kv_cache_recurrent_infer) == 2


def test_a_copy_of_a_recorded_model_tells_nothing(model: WorldModel, writer: Listing) -> None:
    """Deep, shallow and pickled copies are as they would be without the recorder."""
    with Recording({"collect": model}, writer):
        model.set_recur(KEY.format(1), 1.0)
        dicts = model.past_kv_cache_recurrent_infer
        copies = [copy.deepcopy(dicts), copy.copy(dicts), pickle.loads(pickle.dumps(dicts))]  # noqa: S301
        for copied in copies:
            assert type(copied) is defaultdict
            assert copied == {KEY.format(1): 0}
            copied.clear()
    assert len(writer.lines) == 1


def test_the_dicts_still_make_missing_entries(model: WorldModel, writer: Listing) -> None:
    """LightZero's are `defaultdict(dict)`; so are the recorder's."""
    with Recording({"collect": model}, writer):
        assert isinstance(model.past_kv_cache_recurrent_infer, defaultdict)
        assert model.past_kv_cache_recurrent_infer.default_factory is dict


def test_world_models_are_found_once_each() -> None:
    """Roles that share one model share one name."""
    shared, target = WorldModel(), WorldModel()
    role = SimpleNamespace(world_model=shared)
    policy = SimpleNamespace(
        _learn_model=role, _collect_model=role, _eval_model=role, _target_model=SimpleNamespace(world_model=target)
    )
    assert world_models_of(policy) == {"learn+collect+eval": shared, "target": target}


def test_what_is_no_policy_is_refused() -> None:
    """The message says what was expected."""
    with pytest.raises(
        UnusableCacheError, match=r"int has no world model: expected one of \._learn_model\.world_model"
    ):
        world_models_of(3)


def test_what_is_no_world_model_is_refused(writer: Listing) -> None:
    """The message names what is missing, and nothing was changed."""
    broken = SimpleNamespace(env_num=2)
    with pytest.raises(
        UnusableCacheError,
        match=r"SimpleNamespace is not a world model that kvparity knows: for LightZero 0\.2\.0 it lacks",
    ):
        Recording({"collect": broken}, writer)
    assert vars(broken) == {"env_num": 2}


def test_the_sizes_of_the_pools_are_read(model: WorldModel) -> None:
    """Recur slots are simulations times environments."""
    assert spec_of(model) == CacheSpec(env_num=2, init_pool_size=2, num_simulations=2)


def test_the_identity_tells_weights_apart(model: WorldModel) -> None:
    """Equal weights give the same digest, one changed number another."""
    other = WorldModel()
    assert identity_of(model) == identity_of(other)
    other.state_dict = lambda: {"weight": torch.tensor([0.0, 1.0, 2.0, 4.0])}  # type: ignore[method-assign]
    assert identity_of(model) != identity_of(other)
