"""The generation on PyPI: LightZero 0.2.0, `lzero/model/unizero_world_models/world_model.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from kvparity.values.entry import KeysValues
from kvparity_legacy.rings import Ring, RingCache

if TYPE_CHECKING:
    from collections.abc import Sequence


class ReleasedRing(Ring):
    """A ring that never removes a key when it overwrites a slot."""

    # Quirk: `set` is inherited. The key of an overwritten slot stays in the dict, so its `get` is a hit that lends the
    # tensors of another key (test_released_an_overwritten_key_hits_with_another_keys_tensors). For the same reason
    # the dict holds more keys than the ring has slots (test_released_holds_more_keys_than_slots).

    __slots__ = ()
    evicts = False

    def _ready_slot(self, slot: int, value: Any) -> KeysValues:
        stored = self._slots[slot]
        if stored is None:
            # Quirk: K of layer 0 of the first value decides the slot's shape forever, for every layer, K and V. Into
            # it, `copy_` casts (test_released_casts_to_the_slots_dtype), broadcasts
            # (test_released_broadcasts_into_the_slots_shape), or raises RuntimeError
            # (test_released_raises_on_another_shape).
            # Quirk: the dtype is torch's default one, not even that of the first value
            # (test_released_stores_in_the_default_dtype).
            first = value._keys_values[0]._k_cache._cache
            stored = _uninitialised(len(value._keys_values), first.shape, first.device)
            self._allocate(slot, stored)
        return stored


class ReleasedRecurRing(ReleasedRing):
    """The recur ring. Upstream looks up in one expression, which raises on a miss."""

    __slots__ = ()

    def get(self, key: int) -> KeysValues | None:
        """Lend the slot's own object.

        Raises:
            TypeError: on a miss.
        """
        slot = self._index.get(key)
        if slot is None:
            self.misses += 1
        else:
            self.hits += 1
        # Quirk: a miss uses None as a list index (test_released_a_recur_miss_raises_type_error,
        # test_released_a_checkout_that_misses_raises_type_error).
        return self._slots[slot]  # type: ignore[index]


class ReleasedCache(RingCache):
    """LightZero 0.2.0: wrong hits as soon as a ring overwrites slots, and a `TypeError` on a recur miss.

    It never removes a key, so it has no drops to report.
    """

    _ring_class = ReleasedRing
    _recur_ring_class = ReleasedRecurRing


def _uninitialised(num_layers: int, shape: Sequence[int], device: torch.device) -> KeysValues:
    """`2 * num_layers` separate tensors `[N, H, T, D]` of `shape`, in torch's default dtype."""
    tensors = [torch.empty(shape, device=device) for _ in range(2 * num_layers)]
    return KeysValues(tensors, [0] * len(tensors))
