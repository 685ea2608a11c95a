"""One test for each quirk of the original that is kept on purpose; the code names them in its `# Quirk:` comments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

import kvparity_legacy
from kvparity.contract import SPEC, entry, same
from kvparity.operations import RECUR, init
from kvparity.values.entry import KeysValues, read
from kvparity_legacy import EvictingCache, ReleasedCache

if TYPE_CHECKING:
    from kvparity.caches.protocol import Cache

POOL = init(0)  # of SPEC.init_pool_size == 3 slots


def released() -> ReleasedCache:
    """A new, empty cache of LightZero 0.2.0."""
    return ReleasedCache(SPEC.config(), SPEC.env_num)


def evicting() -> EvictingCache:
    """A new, empty cache of October 2025."""
    return EvictingCache(SPEC.config(), SPEC.env_num)


def set_all(cache: Cache, keys: range | tuple[int, ...]) -> None:
    """Set each key in `POOL` to the entry of that seed."""
    for key in keys:
        cache.set(POOL, key, entry(key))


def test_every_quirk_names_a_test_that_exists() -> None:
    """Each test that a `# Quirk:` comment names is in this file, and each quirk test here is named by one."""
    sources = Path(kvparity_legacy.__file__).parent.glob("*.py")
    named = set(re.findall(r"\b(test_\w+)", "\n".join(source.read_text() for source in sources)))
    here = {name for name in globals() if name.startswith("test_")} - {"test_every_quirk_names_a_test_that_exists"}
    assert named == here


def test_released_an_overwritten_key_hits_with_another_keys_tensors() -> None:
    """A key whose slot was overwritten is still a hit, and lends what another key wrote there."""
    cache = released()
    set_all(cache, range(4))
    assert same(cache.get(POOL, 0), entry(3))


def test_released_holds_more_keys_than_slots() -> None:
    """The dict of a ring of three slots holds ten keys after ten sets."""
    cache = released()
    set_all(cache, range(10))
    assert cache.stats(POOL).length == 10


def test_released_a_recur_miss_raises_type_error() -> None:
    """A get of a key that recur does not hold uses None as a list index."""
    cache = released()
    with pytest.raises(TypeError, match="list indices must be integers or slices, not NoneType"):
        cache.get(RECUR, 1)
    assert cache.stats(RECUR).misses == 1


def test_released_a_checkout_that_misses_raises_type_error() -> None:
    """A checkout of a key that neither pool holds uses None as a list index."""
    with pytest.raises(TypeError, match="list indices must be integers or slices, not NoneType"):
        released().checkout(0, 1)


def test_released_stores_in_the_default_dtype() -> None:
    """Even the first value of a slot is cast to torch's default dtype."""
    cache = released()
    cache.set(POOL, 1, entry(1, dtype=torch.float64))
    lent = cache.get(POOL, 1)
    assert {tensor.dtype for tensor in read(lent)[0]} == {torch.float32}


def test_released_casts_to_the_slots_dtype() -> None:
    """A later value of another dtype loses the bits that do not fit into the slot's dtype."""
    cache, fine = released(), entry(9, dtype=torch.float64)
    for tensor in read(fine)[0]:
        tensor.add_(1e-12)
    set_all(cache, range(3))
    cache.set(POOL, 9, fine)
    lent = cache.get(POOL, 9)
    assert read(lent)[0][0].equal(read(fine)[0][0].float())
    assert not read(lent)[0][0].double().equal(read(fine)[0][0])


def test_released_broadcasts_into_the_slots_shape() -> None:
    """A value of one token fills all eight tokens of a slot that got its shape from an earlier value."""
    cache, short = released(), entry(9, shape=(1, 2, 1, 4))
    set_all(cache, range(3))
    cache.set(POOL, 9, short)
    lent = cache.get(POOL, 9)
    assert read(lent)[0][0].equal(read(short)[0][0].expand(1, 2, 8, 4))


def test_released_raises_on_another_shape() -> None:
    """A value that does not broadcast raises RuntimeError, because a slot keeps its first shape forever."""
    cache = released()
    set_all(cache, range(3))
    with pytest.raises(RuntimeError, match="must match the size of tensor"):
        cache.set(POOL, 9, entry(9, shape=(1, 2, 6, 4)))


def test_released_drops_layers_beyond_the_first_values() -> None:
    """A value of three layers loses its third in a slot that was allocated for two."""
    cache = released()
    set_all(cache, range(3))
    cache.set(POOL, 9, entry(9, layers=3))
    lent = cache.get(POOL, 9)
    assert lent is not None
    assert len(lent) == 2


def test_released_keeps_stale_layers_under_a_value_of_fewer() -> None:
    """After a value of one layer, the slot still has the second layer of its earlier value."""
    cache = released()
    set_all(cache, range(3))
    cache.set(POOL, 9, entry(9, layers=1))
    tensors, sizes = read(cache.get(POOL, 9))
    assert tensors[2].equal(read(entry(0))[0][2])
    assert sizes == read(entry(9, layers=1))[1] + read(entry(0))[1][2:]


def test_released_a_failing_set_tears_the_slot_and_moves_nothing() -> None:
    """A copy that raises in layer 1 has overwritten layer 0 under the old key; dict and pointer have not changed."""
    cache = released()
    set_all(cache, range(3))
    bad = KeysValues(read(entry(9))[0][:2] + [torch.zeros(1, 2, 6, 4)] * 2, [1, 1, 1, 1])
    with pytest.raises(RuntimeError, match="must match the size of tensor"):
        cache.set(POOL, 9, bad)
    torn, _ = read(cache.get(POOL, 0))
    assert torn[0].equal(read(bad)[0][0])
    assert torn[2].equal(read(entry(0))[0][2])
    assert cache.get(POOL, 9) is None
    cache.set(POOL, 10, entry(10))
    assert same(cache.get(POOL, 0), entry(10))


def test_a_source_that_requires_grad_makes_the_slot_part_of_its_graph() -> None:
    """Outside of no_grad, a lent entry has a gradient function, which keeps the producer's graph alive."""
    for cache in (released(), evicting()):
        value = entry(1)
        read(value)[0][0].requires_grad_()
        cache.set(POOL, 1, value)
        assert [tensor.requires_grad for tensor in read(cache.get(POOL, 1))[0]] == [True, False, False, False]


def test_evicting_drops_a_key_whose_newest_value_is_elsewhere() -> None:
    """A key that is set again takes a second slot, and is dropped when the ring reaches its first."""
    cache = evicting()
    set_all(cache, (0, 0, 1))
    assert same(cache.get(POOL, 0), entry(0))
    set_all(cache, (2,))
    assert cache.get(POOL, 0) is None
    assert cache.stats(POOL).length == 2


def test_evicting_drops_a_key_early_after_a_clear() -> None:
    """A key that is set again after a clear is dropped when the ring reaches its slot from before the clear."""
    cache = evicting()
    set_all(cache, (0, 1))
    cache.clear(POOL)
    set_all(cache, (0, 2))
    assert cache.get(POOL, 0) is None
    assert cache.stats(POOL).length == 1


def test_evicting_a_failing_set_has_dropped_the_owner_already() -> None:
    """A set that cannot copy its value still drops the key of the next slot."""
    cache = evicting()
    set_all(cache, range(3))
    with pytest.raises(AttributeError):
        cache.set(POOL, 9, "rubbish")
    assert [cache.get(POOL, key) is None for key in (0, 1, 2, 9)] == [True, False, False, True]
