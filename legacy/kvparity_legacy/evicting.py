"""The generation of October 2025: before it overwrites a slot, it removes the key that the slot was filled for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from kvparity.caches.protocol import Drop
from kvparity.values.entry import KeysValues, read
from kvparity_legacy.rings import Ring, RingCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.operations import PoolId


class EvictingRing(Ring):
    """A ring with a back-pointer for each slot: the key that was set there last.

    It differs from the original in one way, on purpose: it allocates a slot's tensors anew when the number of layers, a
    shape, a dtype or a device differs. The original keeps those of the first value forever, as
    `kvparity_legacy.released` does. So this generation can be the reference for values of changing kinds.

    Attributes:
        on_drop: called with each drop at the moment when it happens.
    """

    __slots__ = ("_owners", "on_drop")

    def __init__(self, pool: PoolId, slot_count: int) -> None:
        super().__init__(pool, slot_count)
        self._owners: list[int | None] = [None] * slot_count
        self.on_drop: Callable[[Drop], None] | None = None

    # Quirk: `clear` is inherited: pointer and back-pointers stay. So a key that is set again after a clear is dropped
    # when the ring reaches its slot of before (test_evicting_drops_a_key_early_after_a_clear).

    def set(self, key: int, value: Any) -> None:
        """Drop the key that the back-pointer of the next slot names, and store `value` there under `key`."""
        # Quirk: a live key takes a new slot too, and the back-pointer of its old slot still names it. When the ring
        # reaches the old slot, it drops the key although its newest value is in another slot
        # (test_evicting_drops_a_key_whose_newest_value_is_elsewhere).
        # Quirk: the old owner of the slot is dropped even if the copy then raises
        # (test_evicting_a_failing_set_has_dropped_the_owner_already).
        self._drop_owner(incoming=key)
        slot = self._store(value)
        self._index[key] = slot
        self._owners[slot] = key

    def lend_copy(self, value: Any) -> KeysValues | None:
        """Drop the key that the back-pointer of the next slot names, copy `value` there, and lend it."""
        self._drop_owner(incoming=None)
        slot = self._store(value)
        self._owners[slot] = None
        return self._slots[slot]

    def _drop_owner(self, *, incoming: int | None) -> None:
        slot = self._pointer
        owner = self._owners[slot]
        if owner is None or owner not in self._index:
            return
        newest = self._index.pop(owner)
        if owner == incoming:
            return  # the set that is under way enters it again
        self.evictions += 1
        if self.on_drop is not None:
            if newest == slot:
                reason = f"it reused slot {slot}, which held the key"
            else:
                reason = (
                    f"it reused slot {slot}, which still named this key as its owner, although the key's newest value"
                    f" is in slot {newest} (known quirk: docs/the-original.md)"
                )
            self.on_drop(Drop(pool=self.pool, key=owner, slot=slot, reason=reason, spurious=newest != slot))

    def _ready_slot(self, slot: int, value: Any) -> KeysValues:
        stored = self._slots[slot]
        if stored is None or not _same_kind(stored, value):
            tensors, sizes = read(value)
            stored = KeysValues([torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in tensors], sizes)
            self._allocate(slot, stored)
        return stored


class EvictingCache(RingCache):
    """The original that the refactoring started from. It returns no wrong hits, but loses keys too early."""

    _ring_class = EvictingRing
    _recur_ring_class = EvictingRing

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self._on_drop: Callable[[Drop], None] | None = None

    @property
    def on_drop(self) -> Callable[[Drop], None] | None:
        """The listener, called with each live key that is dropped to make room; None for none."""
        return self._on_drop

    @on_drop.setter
    def on_drop(self, listener: Callable[[Drop], None] | None) -> None:
        self._on_drop = listener
        for ring in self._rings.values():
            ring.on_drop = listener  # type: ignore[attr-defined]


def _same_kind(stored: KeysValues, value: Any) -> bool:
    if len(stored._keys_values) != len(value._keys_values):
        return False
    for own, new in zip(stored._keys_values, value._keys_values, strict=True):
        if not (_alike(own._k_cache._cache, new._k_cache._cache) and _alike(own._v_cache._cache, new._v_cache._cache)):
            return False
    return True


def _alike(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype is b.dtype and a.device == b.device and a.is_same_size(b)
