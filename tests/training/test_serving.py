"""One cache alone serves a training: its own caches, or the candidate instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kvparity import KVParityError
from kvparity.training.paired.serving import CandidateCaches, OwnCaches
from support.worldmodels import ManagedModel, ReleasedModel, play, same

if TYPE_CHECKING:
    from kvparity.training.paired.serving import Server

MODELS = pytest.mark.parametrize("kind", [ReleasedModel, ManagedModel])
SERVERS = pytest.mark.parametrize("make", [OwnCaches, lambda: CandidateCaches("refactored-fifo")])


@MODELS
def test_a_candidate_serves_what_a_models_own_caches_would(kind: type) -> None:
    """If it is correct and nothing overflows; the counts are the same, too."""
    model, twin = kind(), kind()
    own, candidate = OwnCaches(), CandidateCaches("refactored-fifo")
    own.meet(twin)
    candidate.meet(model)
    assert same(play(model), play(twin))
    assert candidate.stats()["lookups"] == own.stats()["lookups"]
    if kind is ReleasedModel:  # nobody says which of a manager's pools answered a search
        for family in ("init", "recur"):
            counted, expected = candidate.stats()[family], own.stats()[family]
            assert (counted["hits"], counted["misses"]) == (expected["hits"], expected["misses"])
    else:
        assert own.stats()["recur"]["hits"] is None


@MODELS
def test_a_models_own_caches_get_nothing_then(kind: type) -> None:
    """So time and memory are those of the candidate alone."""
    model = kind()
    server = CandidateCaches("refactored-fifo")
    server.meet(model)
    play(model)
    server.leave()
    if kind is ReleasedModel:
        assert model.shared_pool_recur_infer == [None] * len(model.shared_pool_recur_infer)
        assert not any(slot for slots in model.shared_pool_init_infer for slot in slots)
    else:
        assert not any(len(pool) for pool in (*model.kv_cache_manager.init_pools, model.kv_cache_manager.recur_pool))


@MODELS
@SERVERS
def test_a_model_has_its_own_back_in_the_end(kind: type, make: type[Server]) -> None:
    """Each attribute is the same object as before."""
    model = kind()
    before = dict(vars(model))
    server = make()
    server.meet(model)
    play(model)
    server.leave()
    after = {name: getattr(model, name) for name in before}
    assert all(after[name] is value or after[name] == value for name, value in before.items())
    assert model.search(0, 12345) is None if kind is ManagedModel else True


def test_a_faulty_candidate_serves_its_fault() -> None:
    """Nothing is compared, and nothing is caught."""
    model, twin = ReleasedModel(), ReleasedModel()
    CandidateCaches("fault:forgets-v").meet(model)
    model.set_recur(1, 2.0)
    twin.set_recur(1, 2.0)
    assert not model.search(0, 1)._keys_values[0]._v_cache._cache.any()
    assert twin.search(0, 1)._keys_values[0]._v_cache._cache.any()


def test_what_a_candidate_raises_reaches_the_model() -> None:
    """As it would after the switch."""
    model = ReleasedModel()
    CandidateCaches("fault:raises-always").meet(model)
    with pytest.raises(RuntimeError, match="no"):
        model.set_recur(1, 2.0)


def test_a_working_copy_is_copied_once() -> None:
    """The model works on the copy that the candidate makes. What root inference gets is copied."""
    model = ReleasedModel()
    CandidateCaches("refactored-fifo").meet(model)
    model.set_init(0, 1, 2.0)
    worked_on = model.search(0, 1)
    lent = model.root(0, 1)
    lent._keys_values[0]._k_cache._cache.fill_(9.0)
    assert worked_on._keys_values[0]._k_cache._cache.unique().tolist() == [2.0]
    assert model.root(0, 1)._keys_values[0]._k_cache._cache.unique().tolist() == [2.0]


def test_no_world_model_is_refused() -> None:
    """With the same error as in a shadow."""
    with pytest.raises(KVParityError, match="object is not a world model that kvparity knows"):
        CandidateCaches("refactored-fifo").meet(object())
