"""Faults of lending: a `get` does not return the entry, or a checkout does not return a copy of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from kvparity.operations import WM, PoolId
from kvparity.results.divergence import BEHAVIOUR
from kvparity.values.entry import KeysValues, clone, copy_into, read
from kvparity_scenarios.faults.fault import Fault, copies

if TYPE_CHECKING:
    from kvparity_scenarios.correct_cache import Pool


class WorkingCopyIsEntry(Fault):
    """Lends the entry itself as a working copy, so the consumer writes into it.

    UniZero's first manager put the entry into the wm pool by reference, and the transformer wrote into it.
    """

    def working_copy(self, found: KeysValues) -> Any:
        """The entry itself."""
        return found


class WorkingCopySharesV(Fault):
    """Copies only K into a working copy, and lends the entry's own V.

    Likely if only one of two lines has a `.clone()`.
    """

    def working_copy(self, found: KeysValues) -> Any:
        """A copy of K, and the entry's V."""
        tensors, sizes = read(found)
        return KeysValues([tensor if i % 2 else tensor.clone() for i, tensor in enumerate(tensors)], sizes)


class WorkingCopySharesSizes(Fault):
    """Copies the tensors into a working copy, and shares the objects that hold the sizes.

    Likely with `copy.copy`, which copies one level: the consumer appends a token, and the size of the entry grows.
    """

    def working_copy(self, found: KeysValues) -> Any:
        """Both share the layers. The entry gets copies of the tensors."""
        for layer in found._keys_values:
            for cache in (layer._k_cache, layer._v_cache):
                cache._cache = cache._cache.clone()
        copied = KeysValues(*read(found))
        copied._keys_values = found._keys_values
        return copied


class WorkingCopyLosesSizes(Fault):
    """Lends a working copy that builds its layers at each access, so sizes that the consumer writes are lost.

    Likely if a wrapper builds the layers in a property: tensors are shared, integers are not.
    """

    def working_copy(self, found: KeysValues) -> Any:
        """A correct copy, behind a property."""
        return _BuildsLayersAgain(super().working_copy(found))


class _BuildsLayersAgain:
    """Builds the layers of an entry at each access.

    Args:
        entry: the source of their tensors and sizes.
    """

    def __init__(self, entry: KeysValues) -> None:
        self._entry = entry

    @property
    def _keys_values(self) -> Any:
        return KeysValues(*read(self._entry))._keys_values


class WorkingCopyJoinsEqualTensors(Fault):
    """Stores equal tensors of a working copy only once, so a token written into K also appears in V.

    Likely from deduplication: K and V of a new context are all zeros, and so equal, until the first token is appended.
    """

    methods = ("numeric-edge",)
    steps = 2000

    def working_copy(self, found: KeysValues) -> Any:
        """Use one tensor for all equal ones."""
        tensors, sizes = copies(super().working_copy(found))
        for index, tensor in enumerate(tensors):
            for earlier in tensors[:index]:
                if earlier.shape == tensor.shape and earlier.dtype == tensor.dtype and torch.equal(earlier, tensor):
                    tensors[index] = earlier
        return KeysValues(tensors, sizes)


class OneWorkingCopy(Fault):
    """Lends the same working copy to all environments.

    Likely if an attribute `self.working_copy` saves allocations, and was tested with one environment.
    """

    def working_copy(self, found: KeysValues) -> Any:
        """Always slot 0 of the wm pool."""
        wm = self.pools[WM]
        copied = wm.slots[0] = copy_into(found, wm.slots[0])
        return copied


class WorkingCopiesTooFew(Fault):
    """Reuses a working copy one checkout too early.

    Likely from an off-by-one in the wm pool: the last environment's checkout overwrites the working copy of the first.
    """

    def slots_of(self, pool: PoolId, slots: int) -> int:
        """One slot fewer in the wm pool."""
        return max(1, slots - 1) if pool == WM else slots


class WorkingCopyNeverFilled(Fault):
    """Lends a working copy of zeros, of the right shape.

    UniZero kept old attributes that were initialised but never filled: code that read them got zeros.
    """

    def working_copy(self, found: KeysValues) -> Any:
        """Allocate, and copy nothing."""
        tensors, _ = read(found)
        return KeysValues([torch.zeros_like(tensor) for tensor in tensors], [0] * len(tensors))


class LendsNeighbour(Fault):
    """Lends the slot before the one that holds the key.

    Likely if slots are counted from 1 in one place.
    """

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """The slot before, if it is filled."""
        found = super().look_up(pool, key)
        return None if found is None else pool.slots[pool.held[key] - 1] or found


class LendsValidTokensOnly(Fault):
    """Lends the valid tokens only, without the padding after them.

    Likely through LightZero's `cache.get()`, which slices: there is no room for another token.
    """

    def lend(self, found: KeysValues) -> Any:
        """Shorter views."""
        tensors, sizes = read(found)
        cut = [tensor[:, :, :size] for tensor, size in zip(tensors, sizes, strict=True)]
        return KeysValues(cut, sizes)


class LendsWithoutSamples(Fault):
    """Lends tensors without their first axis.

    Likely from `squeeze(0)` or `[0]`, because an entry always has one sample.
    """

    def lend(self, found: KeysValues) -> Any:
        """`[H, T, D]` instead of `[N, H, T, D]`."""
        tensors, sizes = read(found)
        return KeysValues([tensor[0] for tensor in tensors], sizes)


class LendsLists(Fault):
    """Lends a list of tensors instead of an entry.

    Likely if the cache was written for another model: code that reads `.size` raises or, worse, does not.
    """

    def lend(self, found: KeysValues) -> Any:
        """The tensors as a list."""
        return read(found)[0]


class LendsFalse(Fault):
    """Returns False for a miss instead of None.

    Likely from `return key in self and ...`: callers that test `is not None` use it as an entry.
    """

    methods = ("clear-storm", "revisit")

    def get(self, pool: PoolId, key: int) -> Any | None:
        """False instead of None."""
        return super().get(pool, key) or False


class GetConsumes(Fault):
    """Forgets an entry after its first lookup.

    Likely from `dict.pop` instead of `dict.get`.
    """

    severity = BEHAVIOUR

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Look up, and forget the key."""
        found = super().look_up(pool, key)
        if found is not None:
            pool.free.append(pool.held.pop(key))
            del pool.priorities[key]
        return found


class GetStoresMisses(Fault):
    """Stores an empty entry under each key that misses, and returns it at the next lookup.

    Likely from a `defaultdict`, or from `dict.setdefault` in a getter.
    """

    methods = ("revisit", "mcts")

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Set zeros on a miss."""
        found = super().look_up(pool, key)
        if found is None and any(pool.slots):
            shape = next(filter(None, pool.slots))
            slot = self.take_slot(pool, key)
            pool.slots[slot] = KeysValues([torch.zeros_like(t) for t in read(shape)[0]], [0] * len(read(shape)[0]))
        return found


class LendsOneBuffer(Fault):
    """Lends one buffer for all lookups, so the next `get` overwrites what the last one returned.

    Likely to protect entries without allocations. But UniZero looks up all roots before it reads the first.
    """

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.buffer: KeysValues | None = None

    def lend(self, found: KeysValues) -> Any:
        """The buffer, with a copy of the entry."""
        self.buffer = copy_into(found, self.buffer)
        return self.buffer


class WritesIntoLoans(Fault):
    """Changes the entry in place at each lookup, after it copied the answer.

    Likely in a sliding window: UniZero corrects positions with `+=`, and the second reader gets the correction twice.
    """

    methods = ("numeric-edge", "revisit")

    def lend(self, found: KeysValues) -> Any:
        """A copy of the entry, which is then changed."""
        answer = clone(found)
        for tensor in read(found)[0]:
            tensor.add_(1)
        return answer


class LendsInOtherLayout(Fault):
    """Lends tensors with heads and tokens exchanged.

    Likely if an attention kernel needs `[N, T, H, D]`.
    """

    def lend(self, found: KeysValues) -> Any:
        """`[N, T, H, D]` instead of `[N, H, T, D]`."""
        tensors, sizes = copies(found)
        return KeysValues([tensor.transpose(1, 2) for tensor in tensors], sizes)
