"""Faults of lending: what a `get` or a checkout gives out is not the entry, or not a copy of it."""

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
    """Lends the entry itself to be written into.

    UniZero's first manager put the entry into the wm pool by reference: the transformer wrote into it.
    """

    def working_copy(self, found: KeysValues) -> Any:
        """No copy."""
        return found


class WorkingCopySharesV(Fault):
    """Copies K for the consumer and lends the entry's own V.

    Likely where one of two lines has a `.clone()`.
    """

    def working_copy(self, found: KeysValues) -> Any:
        """Half a copy."""
        tensors, sizes = read(found)
        return KeysValues([tensor if i % 2 else tensor.clone() for i, tensor in enumerate(tensors)], sizes)


class WorkingCopySharesSizes(Fault):
    """Copies tensors for the consumer and shares the objects that hold the sizes.

    Likely with `copy.copy`, which copies one level: the consumer appends a token, and the entry grows by one.
    """

    def working_copy(self, found: KeysValues) -> Any:
        """The copy becomes the entry's tensors, the shell is shared."""
        for layer in found._keys_values:
            for cache in (layer._k_cache, layer._v_cache):
                cache._cache = cache._cache.clone()
        copied = KeysValues(*read(found))
        copied._keys_values = found._keys_values
        return copied


class WorkingCopyLosesSizes(Fault):
    """Lends a working copy whose layers are made anew at each look: a size that its consumer writes is lost.

    Likely where a wrapper builds the layers in a property: the tensors are shared and integers are not.
    """

    def working_copy(self, found: KeysValues) -> Any:
        """A right copy, behind a property."""
        return _MadeAnew(super().working_copy(found))


class _MadeAnew:
    """Makes the layers of an entry anew at each look.

    Args:
        entry: whose tensors and sizes they have.
    """

    def __init__(self, entry: KeysValues) -> None:
        self._entry = entry

    @property
    def _keys_values(self) -> Any:
        return KeysValues(*read(self._entry))._keys_values


class WorkingCopyJoinsEqualTensors(Fault):
    """Stores equal tensors of a working copy once: a token that is written into K shows in V, too.

    Likely from deduplication: K and V of a fresh context are equal, all zeros, until the first token is appended.
    """

    methods = ("numeric-edge",)
    steps = 2000

    def working_copy(self, found: KeysValues) -> Any:
        """One tensor for all that are equal."""
        tensors, sizes = copies(super().working_copy(found))
        for index, tensor in enumerate(tensors):
            for earlier in tensors[:index]:
                if earlier.shape == tensor.shape and earlier.dtype == tensor.dtype and torch.equal(earlier, tensor):
                    tensors[index] = earlier
        return KeysValues(tensors, sizes)


class OneWorkingCopy(Fault):
    """Lends one and the same working copy to all environments.

    Likely where an attribute `self.working_copy` saves allocations, tried with one environment.
    """

    def working_copy(self, found: KeysValues) -> Any:
        """Slot 0 of the wm pool."""
        wm = self.pools[WM]
        copied = wm.slots[0] = copy_into(found, wm.slots[0])
        return copied


class WorkingCopiesTooFew(Fault):
    """Takes a working copy back one checkout too early.

    Likely from an off-by-one in the wm pool: the last environment's checkout overwrites what the first is writing into.
    """

    def slots_of(self, pool: PoolId, slots: int) -> int:
        """One fewer."""
        return max(1, slots - 1) if pool == WM else slots


class WorkingCopyNeverFilled(Fault):
    """Lends a working copy of zeros, of the right shape.

    UniZero kept old attributes that were initialised and never filled: their readers got silent emptiness.
    """

    def working_copy(self, found: KeysValues) -> Any:
        """Allocated, and that is all."""
        tensors, _ = read(found)
        return KeysValues([torch.zeros_like(tensor) for tensor in tensors], [0] * len(tensors))


class LendsNeighbour(Fault):
    """Lends the slot before the one that holds the key.

    Likely where slots are counted from 1 on one side.
    """

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """One off, where there is a neighbour."""
        found = super().look_up(pool, key)
        return None if found is None else pool.slots[pool.held[key] - 1] or found


class LendsValidTokensOnly(Fault):
    """Lends the valid tokens only, without the padding after them.

    Likely through LightZero's `cache.get()`, which slices: there is no room left to append a token.
    """

    def lend(self, found: KeysValues) -> Any:
        """Views, cut short."""
        tensors, sizes = read(found)
        cut = [tensor[:, :, :size] for tensor, size in zip(tensors, sizes, strict=True)]
        return KeysValues(cut, sizes)


class LendsWithoutSamples(Fault):
    """Lends tensors without their first axis.

    Likely from `squeeze(0)` or `[0]`, since an entry always has one sample.
    """

    def lend(self, found: KeysValues) -> Any:
        """`[H, T, D]` instead of `[N, H, T, D]`."""
        tensors, sizes = read(found)
        return KeysValues([tensor[0] for tensor in tensors], sizes)


class LendsLists(Fault):
    """Lends a list of tensors instead of an entry.

    Likely where a cache is written for another model: whoever reads `.size` of it raises, or worse, does not.
    """

    def lend(self, found: KeysValues) -> Any:
        """Rubbish, to a UniZero."""
        return read(found)[0]


class LendsFalse(Fault):
    """Answers False for a miss, where None is the contract.

    Likely from `return key in self and ...`: callers that ask `is not None` take it for an entry.
    """

    methods = ("clear-storm", "revisit")

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Not None."""
        return super().get(pool, key) or False


class GetConsumes(Fault):
    """Forgets an entry when it is looked up.

    Likely from `dict.pop` in place of `dict.get`.
    """

    severity = BEHAVIOUR

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Once."""
        found = super().look_up(pool, key)
        if found is not None:
            pool.free.append(pool.held.pop(key))
            del pool.priorities[key]
        return found


class GetStoresMisses(Fault):
    """Stores an empty entry under each key that it misses, and finds that the next time.

    Likely from a `defaultdict`, or `dict.setdefault` in a getter.
    """

    methods = ("revisit", "mcts")

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """A miss is a set."""
        found = super().look_up(pool, key)
        if found is None and any(pool.slots):
            shape = next(filter(None, pool.slots))
            slot = self.take_slot(pool, key)
            pool.slots[slot] = KeysValues([torch.zeros_like(t) for t in read(shape)[0]], [0] * len(read(shape)[0]))
        return found


class LendsOneBuffer(Fault):
    """Copies what a `get` finds into one buffer and lends that, so the next `get` overwrites it.

    Likely as a protection of entries that saves allocations: UniZero looks all roots up before it reads the first.
    """

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.buffer: KeysValues | None = None

    def lend(self, found: KeysValues) -> Any:
        """Right until the next one."""
        self.buffer = copy_into(found, self.buffer)
        return self.buffer


class WritesIntoLoans(Fault):
    """Adds a positional difference to an entry in place each time that it is looked up.

    Likely in a sliding window: UniZero corrects positions with `+=`, and the second reader gets them twice.
    """

    methods = ("numeric-edge", "revisit")

    def lend(self, found: KeysValues) -> Any:
        """Right the first time."""
        answer = clone(found)
        for tensor in read(found)[0]:
            tensor.add_(1)
        return answer


class LendsInOtherLayout(Fault):
    """Lends tensors with heads and tokens exchanged.

    Likely where an attention kernel wants `[N, T, H, D]`.
    """

    def lend(self, found: KeysValues) -> Any:
        """Transposed."""
        tensors, sizes = copies(found)
        return KeysValues([tensor.transpose(1, 2) for tensor in tensors], sizes)
