"""Faults of storing: a `set` that does not copy all there is to copy."""

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
    """Stores the producer's own object, so every key returns the last value written.

    UniZero's first manager (October 2025) did, under the belief that the original did too. Its 41 tests passed.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """No copy."""
        del target
        kept: KeysValues = value
        return kept


class DetachTakenForCopy(Fault):
    """Builds a new object around the producer's own tensors: `detach` gives a view.

    Likely wherever `.detach()` or `.data` stands in place of `.clone()`.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Sizes are copied, tensors are not."""
        del target
        tensors, sizes = read(value)
        return KeysValues([tensor.detach() for tensor in tensors], sizes)


class CopiesAtFirstGet(Fault):
    """Keeps a reference and copies it when it is first looked up, to save copies that nobody needs.

    Likely as an optimisation: most nodes of a search are never looked up. By then the producer has moved on.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Not yet: only the object around the tensors."""
        del target
        tensors, sizes = read(value)
        return KeysValues(tensors, sizes)

    def lend(self, found: KeysValues) -> Any:
        """Now."""
        for layer in found._keys_values:
            for cache in (layer._k_cache, layer._v_cache):
                cache._cache = cache._cache.clone()
        return found


class ForgetsV(Fault):
    """Copies K into the slot and leaves V as it was allocated.

    Likely when the two lines for K and V are edited one at a time.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """V is zeros."""
        del target
        tensors, sizes = copies(value)
        for v in tensors[1::2]:
            v.zero_()
        return KeysValues(tensors, sizes)


class SwapsKAndV(Fault):
    """Copies K where V belongs and V where K belongs.

    Likely when tensors are passed by position: K and V have one shape, so nothing complains.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Crosswise."""
        del target
        tensors, sizes = copies(value)
        return KeysValues([tensors[i ^ 1] for i in range(len(tensors))], sizes)


class SwapsLayers(Fault):
    """Stores the layers in reverse order.

    Likely where layers come from a stack that is popped, or from a dict sorted by name ("layer_10" < "layer_2").
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Last layer first, each with its own sizes."""
        del target
        entry = clone(value)
        entry._keys_values = entry._keys_values[::-1]
        return entry


class ForgetsLastLayer(Fault):
    """Does not copy the last layer.

    Likely from `range(num_layers - 1)`.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """K and V of the last layer are zeros."""
        del target
        tensors, sizes = copies(value)
        for tensor in tensors[-2:]:
            tensor.zero_()
        return KeysValues(tensors, sizes)


class ForgetsPadding(Fault):
    """Copies the valid tokens only and leaves what lies past `size`.

    Likely as an optimisation. The original copies whole tensors, and UniZero reads past `size` when it pads a batch.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Padding is zeros."""
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
        """The newest token is zeros."""
        del target
        tensors, sizes = copies(value)
        for tensor, size in zip(tensors, sizes, strict=True):
            tensor[:, :, max(0, size - 1) : size].zero_()
        return KeysValues(tensors, sizes)


class ForgetsSizes(Fault):
    """Copies tensors into the slot and leaves the sizes that the slot's first value had.

    Likely when a slot's tensors are reused: sizes are plain integers that no `copy_` reaches.
    """

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Old sizes where there are any."""
        tensors, sizes = copies(value)
        old = [] if target is None else read(target)[1]
        return KeysValues(tensors, old if len(old) == len(sizes) else sizes)


class SizeOfKForV(Fault):
    """Stores the size of K as that of V.

    Likely where an entry has one `size`, as LightZero's `kv.size` suggests.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """The sizes of V are lost."""
        del target
        tensors, sizes = copies(value)
        return KeysValues(tensors, [sizes[i & ~1] for i in range(len(sizes))])


class OneSizeForAllLayers(Fault):
    """Stores the sizes of layer 0 for all layers.

    Likely for the same reason: `kv.size` reads layer 0.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """The sizes of later layers are lost."""
        del target
        tensors, sizes = copies(value)
        return KeysValues(tensors, sizes[:2] * (len(sizes) // 2))


class KeepsOldDtype(Fault):
    """Copies into the slot's tensors without looking at their dtype, so `copy_` casts to it.

    UniZero's fix for clones on every set copied into what the slot had; it must reallocate when the dtype differs.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """In place where layers and shapes fit, whatever the dtype."""
        tensors, sizes = read(value)
        old = [] if target is None else read(target)[0]
        if [t.shape for t in old] != [t.shape for t in tensors]:
            return clone(value)
        return KeysValues([mine.copy_(its) for mine, its in zip(old, tensors, strict=True)], sizes)


class KeepsOldShape(Fault):
    """Copies into the slot's tensors without looking at their shape, which raises, or broadcasts where it can.

    The same fix of UniZero's: it must reallocate when the shape differs, as it does between tasks.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """In place where layers and dtypes fit, whatever the shape."""
        tensors, sizes = read(value)
        old = [] if target is None else read(target)[0]
        if [t.dtype for t in old] != [t.dtype for t in tensors]:
            return clone(value)
        return KeysValues([mine.copy_(its) for mine, its in zip(old, tensors, strict=True)], sizes)


class KeepsOldLayers(Fault):
    """Copies layer by layer until the shorter of value and slot ends.

    LightZero's own copy does so: later layers are dropped, or a slot's stale ones stay.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """As many layers as the slot had."""
        if target is None:
            return clone(value)
        old_tensors, old_sizes = read(target)
        tensors, sizes = copies(value)
        shared = min(len(old_tensors), len(tensors))
        return KeysValues(tensors[:shared] + old_tensors[shared:], sizes[:shared] + old_sizes[shared:])


class ReadsMemoryInOrder(Fault):
    """Copies a source's memory from its first byte on, as if it were contiguous.

    Likely with raw pointers, `.storage()` or a custom kernel: a transposed tensor comes out scrambled.
    """

    methods = ("numeric-edge",)

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Strides are ignored."""
        del target
        tensors, sizes = read(value)
        scrambled = [
            torch.as_strided(tensor, tensor.shape, torch.empty(tensor.shape, device="meta").stride()).clone()
            for tensor in tensors
        ]
        return KeysValues(scrambled, sizes)


class WritesIntoSource(Fault):
    """Subtracts a positional difference from the source in place, after it has copied it.

    UniZero's sliding-window fix-up (`+=`) wrote through a view into the batch that the entry was a slice of.
    """

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Right for the cache, ruinous for its caller."""
        super().set(pool, key, value, priority=priority)
        for tensor in read(value)[0]:
            tensor.sub_(1)


class WritesIntoSourceLater(Fault):
    """Clears the source in place at the next lookup, long after it has copied it.

    Likely where a queue of sources is drained "when there is time": by then the producer uses the object again.
    """

    def __init__(self, config: SimpleNamespace | None = None, env_num: int = 8) -> None:
        super().__init__(config, env_num)
        self.sources: list[Any] = []

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Right, and the source is kept."""
        super().set(pool, key, value, priority=priority)
        self.sources = [value]

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Right, and ruinous for the caller of the set before."""
        while self.sources:
            for tensor in read(self.sources.pop())[0]:
                tensor.zero_()
        return super().look_up(pool, key)


class KeepsOldValueOnUpdate(Fault):
    """Ignores a `set` of a key that it holds.

    Likely from `if key in cache: return`, as for pure functions: UniZero's context depends on the path as well.
    """

    methods = ("revisit", "clear-storm")

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Only what is new."""
        if self.key(key) not in self.pool(pool).held:
            super().set(pool, key, value, priority=priority)
