"""Faults of storing: a `set` that does not copy everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from kvparity.values.entry import KeysValues, clone, read
from kvparity_scenarios.faults.fault import Fault, copies

if TYPE_CHECKING:
    from types import SimpleNamespace

    from kvparity.operations import PoolId
    from kvparity_scenarios.correct_cache import Pool


class ByReference(Fault):
    """Stores the producer's own object, so every key returns the last value that was set.

    UniZero's first manager (October 2025) did this, in the belief that the original did. All its 41 tests passed.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """No copy."""
        del target
        kept: KeysValues = value
        return kept


class DetachTakenForCopy(Fault):
    """Stores a new object with the producer's own tensors: `detach` returns a view.

    Likely if `.detach()` or `.data` is used instead of `.clone()`.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Copy the sizes only."""
        del target
        tensors, sizes = read(value)
        return KeysValues([tensor.detach() for tensor in tensors], sizes)


class CopiesAtFirstGet(Fault):
    """Stores a reference and copies it at the first lookup.

    Likely as an optimisation: most nodes of a search are never looked up. But by then the producer has changed it.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Copy only the object around the tensors."""
        del target
        tensors, sizes = read(value)
        return KeysValues(tensors, sizes)

    def lend(self, found: KeysValues) -> Any:
        """Copy the tensors."""
        for layer in found._keys_values:
            for cache in (layer._k_cache, layer._v_cache):
                cache._cache = cache._cache.clone()
        return found


class ForgetsV(Fault):
    """Copies K into the slot, but not V.

    Likely if the two lines for K and V are edited separately.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Leave V as zeros."""
        del target
        tensors, sizes = copies(value)
        for v in tensors[1::2]:
            v.zero_()
        return KeysValues(tensors, sizes)


class SwapsKAndV(Fault):
    """Exchanges K and V.

    Likely if tensors are passed by position: K and V have the same shape, so nothing raises.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Exchange each K with its V."""
        del target
        tensors, sizes = copies(value)
        return KeysValues([tensors[i ^ 1] for i in range(len(tensors))], sizes)


class SwapsLayers(Fault):
    """Stores the layers in reverse order.

    Likely if layers come from a stack, or from a dict that is sorted by name ("layer_10" < "layer_2").
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Reverse the layers; each keeps its own sizes."""
        del target
        entry = clone(value)
        entry._keys_values = entry._keys_values[::-1]
        return entry


class ForgetsLastLayer(Fault):
    """Does not copy the last layer.

    Likely from `range(num_layers - 1)`.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Leave K and V of the last layer as zeros."""
        del target
        tensors, sizes = copies(value)
        for tensor in tensors[-2:]:
            tensor.zero_()
        return KeysValues(tensors, sizes)


class ForgetsPadding(Fault):
    """Copies the valid tokens only, not the padding after them.

    Likely as an optimisation. The original copies whole tensors, and UniZero reads the padding when it pads a batch.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Leave the padding as zeros."""
        del target
        tensors, sizes = copies(value)
        for tensor, size in zip(tensors, sizes, strict=True):
            tensor[:, :, size:].zero_()
        return KeysValues(tensors, sizes)


class ForgetsLastToken(Fault):
    """Does not copy the last valid token.

    Likely from a slice `[:, :, : size - 1]`.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Leave the newest token as zeros."""
        del target
        tensors, sizes = copies(value)
        for tensor, size in zip(tensors, sizes, strict=True):
            tensor[:, :, max(0, size - 1) : size].zero_()
        return KeysValues(tensors, sizes)


class ForgetsSizes(Fault):
    """Copies the tensors into the slot, but keeps the sizes of the slot's first value.

    Likely if the tensors of a slot are reused: sizes are plain integers, which `copy_` does not copy.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Keep the old sizes, if there are any."""
        tensors, sizes = copies(value)
        old = [] if target is None else read(target)[1]
        return KeysValues(tensors, old if len(old) == len(sizes) else sizes)


class SizeOfKForV(Fault):
    """Stores the size of K as the size of V.

    Likely if an entry has only one `size`, as LightZero's `kv.size` suggests.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Use the sizes of K for V."""
        del target
        tensors, sizes = copies(value)
        return KeysValues(tensors, [sizes[i & ~1] for i in range(len(sizes))])


class OneSizeForAllLayers(Fault):
    """Stores the sizes of layer 0 for all layers.

    Likely for the same reason: `kv.size` reads layer 0.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Use the sizes of layer 0."""
        del target
        tensors, sizes = copies(value)
        return KeysValues(tensors, sizes[:2] * (len(sizes) // 2))


class KeepsOldDtype(Fault):
    """Copies into the slot's tensors even if their dtype differs, so `copy_` casts.

    UniZero replaced the clone in every set by a copy into the slot. It must reallocate if the dtype differs.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Copy in place if layers and shapes are equal, whatever the dtype."""
        tensors, sizes = read(value)
        old = [] if target is None else read(target)[0]
        if [t.shape for t in old] != [t.shape for t in tensors]:
            return clone(value)
        return KeysValues([stored.copy_(new) for stored, new in zip(old, tensors, strict=True)], sizes)


class KeepsOldShape(Fault):
    """Copies into the slot's tensors even if their shape differs, so `copy_` broadcasts or raises.

    The same change in UniZero: it must reallocate if the shape differs, as it does between tasks.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Copy in place if layers and dtypes are equal, whatever the shape."""
        tensors, sizes = read(value)
        old = [] if target is None else read(target)[0]
        if [t.dtype for t in old] != [t.dtype for t in tensors]:
            return clone(value)
        return KeysValues([stored.copy_(new) for stored, new in zip(old, tensors, strict=True)], sizes)


class KeepsOldLayers(Fault):
    """Copies only as many layers as both the value and the slot have.

    LightZero's own copy does this: further layers are lost, or old ones of the slot stay.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Keep the number of layers of the slot."""
        if target is None:
            return clone(value)
        old_tensors, old_sizes = read(target)
        tensors, sizes = copies(value)
        shared = min(len(old_tensors), len(tensors))
        return KeysValues(tensors[:shared] + old_tensors[shared:], sizes[:shared] + old_sizes[shared:])


class ReadsMemoryInOrder(Fault):
    """Copies a tensor's memory as if the tensor were contiguous.

    Likely with raw pointers, `.storage()` or a custom kernel: a transposed tensor comes out scrambled.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Ignore the strides."""
        del target
        tensors, sizes = read(value)
        scrambled = [
            torch.as_strided(tensor, tensor.shape, torch.empty(tensor.shape, device="meta").stride()).clone()
            for tensor in tensors
        ]
        return KeysValues(scrambled, sizes)


class WritesIntoSource(Fault):
    """Copies the source, then changes the source in place.

    UniZero's correction of positions in its sliding window (`+=`) wrote through a view into the batch of the entry.
    """

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Store a correct copy, and change the caller's tensors."""
        super().set(pool, key, value, priority=priority)
        for tensor in read(value)[0]:
            tensor.sub_(1)


class WritesIntoSourceLater(Fault):
    """Copies the source, then fills it with zeros at the next lookup.

    Likely if a queue of sources is emptied "when there is time": by then the producer uses the object again.
    """

    def __init__(self, config: SimpleNamespace | None = None, env_num: int = 8) -> None:
        super().__init__(config, env_num)
        self.sources: list[Any] = []

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Store a correct copy, and keep the source."""
        super().set(pool, key, value, priority=priority)
        self.sources = [value]

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Look up correctly, and fill the tensors of the last set's caller with zeros."""
        while self.sources:
            for tensor in read(self.sources.pop())[0]:
                tensor.zero_()
        return super().look_up(pool, key)


class KeepsOldValueOnUpdate(Fault):
    """Ignores a `set` of a key that it already holds.

    Likely from `if key in cache: return`, as in a cache of pure functions. UniZero's context also depends on the path.
    """

    methods = ("revisit", "clear-storm")

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Store new keys only."""
        if self.key(key) not in self.pool(pool).held:
            super().set(pool, key, value, priority=priority)
