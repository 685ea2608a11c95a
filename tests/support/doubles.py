"""Faulty caches: each breaks the contract in one way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from kvparity import KeysValues, PoolId
from kvparity.caches.protocol import PoolStats
from kvparity.values.entry import clone, read
from kvparity_refactored import KVCacheManager

if TYPE_CHECKING:
    from collections.abc import Callable


class Plain:
    """A sound cache of the smallest kind: dicts of copies that never evict. `init[env]`, recur and wm alike."""

    def __init__(self, config: Any = None, env_num: int = 1) -> None:
        self.config = config
        self.env_num = env_num
        self.held: dict[tuple[PoolId, int], Any] = {}

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        del priority
        self.held[pool, key] = clone(value)

    def get(self, pool: PoolId, key: int) -> Any:
        return self.held.get((pool, key))

    def checkout(self, env: int, key: int) -> Any:
        found = self.get(PoolId("init", env), key)
        found = self.get(PoolId("recur"), key) if found is None else found
        return None if found is None else clone(found)

    def clear(self, pool: PoolId) -> None:
        for held, key in list(self.held):
            if pool.family in ("all", held.family) and pool.env in (None, held.env):
                del self.held[held, key]


class ByReference(Plain):
    """Stores the producer's object instead of a copy, as the first manager upstream did."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        del priority
        self.held[pool, key] = value


class KeepsTensors(Plain):
    """Copies the object, but not the tensors in it."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        del priority
        tensors = [t for layer in value._keys_values for t in (layer._k_cache._cache, layer._v_cache._cache)]
        sizes = [s for layer in value._keys_values for s in (layer._k_cache._size, layer._v_cache._size)]
        self.held[pool, key] = KeysValues(tensors, sizes)


class LendsTheEntry(Plain):
    """Its working copy is the entry itself."""

    def checkout(self, env: int, key: int) -> Any:
        found = self.get(PoolId("init", env), key)
        return self.get(PoolId("recur"), key) if found is None else found


class SharesOneWorkingCopy(Plain):
    """All environments get one and the same working copy."""

    shared: KeysValues | None = None

    def checkout(self, env: int, key: int) -> Any:
        found = super().checkout(env, key)
        if found is None:
            return None
        if self.shared is None:
            self.shared = found
        for mine, its in zip(self.shared._keys_values, found._keys_values, strict=True):
            mine._k_cache._cache.copy_(its._k_cache._cache)
            mine._v_cache._cache.copy_(its._v_cache._cache)
            mine._k_cache._size, mine._v_cache._size = its._k_cache._size, its._v_cache._size
        return self.shared


class ClearsNothing(Plain):
    """Still knows its keys after a clear."""

    def clear(self, pool: PoolId) -> None:
        pass


class KeepsTheFirstValue(Plain):
    """A key that is set again keeps its old value."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        if (pool, key) not in self.held:
            super().set(pool, key, value, priority=priority)


class KeepsNegativeZeroOut(Plain):
    """Has one zero only, as whoever adds 0.0 has."""

    def get(self, pool: PoolId, key: int) -> Any:
        found = super().get(pool, key)
        tensors, sizes = read(found)
        return KeysValues([tensor + 0.0 for tensor in tensors], sizes)


class ForgetsThePadding(Plain):
    """Returns zeros after the last valid token."""

    def get(self, pool: PoolId, key: int) -> Any:
        found = clone(super().get(pool, key))
        for layer in found._keys_values:
            for cache in (layer._k_cache, layer._v_cache):
                cache._cache[:, :, cache._size :] = 0
        return found


class AlwaysMisses(Plain):
    """Finds nothing."""

    def get(self, pool: PoolId, key: int) -> Any:
        del pool, key

    def checkout(self, env: int, key: int) -> Any:
        del env, key


class Invents(Plain):
    """Has an answer for every key."""

    def get(self, pool: PoolId, key: int) -> Any:
        found = super().get(pool, key)
        return KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=2, head_dim=2) if found is None else found


class Raises(Plain):
    """Raises where it should answer."""

    error: type[Exception] = RuntimeError

    def get(self, pool: PoolId, key: int) -> Any:
        raise self.error(f"no {key} in {pool}")


class RaisesKeyError(Raises):
    """The same with another exception."""

    error = KeyError


class RaisesOnSet(Plain):
    """Cannot store."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        raise MemoryError("full")


class RaisesOnClear(Plain):
    """Cannot forget."""

    def clear(self, pool: PoolId) -> None:
        raise MemoryError("still full")


class ReturnsRubbish(Plain):
    """Answers with something that is no entry."""

    def get(self, pool: PoolId, key: int) -> Any:
        return "rubbish" if super().get(pool, key) is not None else None


class LendsRubbish(Plain):
    """Its working copy is no entry."""

    def checkout(self, env: int, key: int) -> Any:
        return "rubbish" if super().checkout(env, key) is not None else None


@dataclass(frozen=True)
class FrozenTokens:
    """A tensor whose size nobody can change."""

    _cache: torch.Tensor
    _size: int


class LendsFrozenSizes(Plain):
    """No token can be appended to its working copy."""

    def checkout(self, env: int, key: int) -> Any:
        found = super().checkout(env, key)
        for layer in found._keys_values:
            layer._k_cache = FrozenTokens(layer._k_cache._cache, layer._k_cache._size)
            layer._v_cache = FrozenTokens(layer._v_cache._cache, layer._v_cache._size)
        return found


class Elsewhere(torch.Tensor):
    """A tensor that says that it is on another device."""

    device = torch.device("meta")


class AnswersFromElsewhere(Plain):
    """Keeps the right bytes on another device."""

    def get(self, pool: PoolId, key: int) -> Any:
        found = super().get(pool, key)
        if found is None:
            return None
        tensors, sizes = read(found)
        return KeysValues([tensor.as_subclass(Elsewhere) for tensor in tensors], sizes)


class WritesIntoWhatItIsGiven(Plain):
    """Spoils the value that is set."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        super().set(pool, key, value, priority=priority)
        for layer in value._keys_values:
            layer._k_cache._cache.zero_()
            layer._k_cache._size = 0


class TakesApartWhatItIsGiven(Plain):
    """Copies the value that is set, and then does `harm` to the object that it came in."""

    def __init__(self, harm: Callable[[KeysValues], object]) -> None:
        super().__init__()
        self.harm = harm

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        super().set(pool, key, value, priority=priority)
        self.harm(value)


class Changed(Plain):
    """Returns each entry changed by `change`."""

    def change(self, value: KeysValues) -> KeysValues:
        raise NotImplementedError

    def get(self, pool: PoolId, key: int) -> Any:
        found = super().get(pool, key)
        return None if found is None else self.change(clone(found))


class ForgetsTheSize(Changed):
    """Copies tensors but not a size."""

    def change(self, value: KeysValues) -> KeysValues:
        value._keys_values[0]._v_cache._size += 1
        return value


class Casts(Changed):
    """Keeps half the bits."""

    def change(self, value: KeysValues) -> KeysValues:
        cache = value._keys_values[0]._k_cache
        cache._cache = cache._cache.half()
        return value


class Reinterprets(Changed):
    """Returns the right bits as integers."""

    def change(self, value: KeysValues) -> KeysValues:
        cache = value._keys_values[0]._k_cache
        cache._cache = cache._cache.view(torch.int32)
        return value


class DropsAnAxis(Changed):
    """Returns the right bits in another shape."""

    def change(self, value: KeysValues) -> KeysValues:
        cache = value._keys_values[0]._k_cache
        cache._cache = cache._cache[0]
        return value


class Pads(Changed):
    """Has room for another token."""

    def change(self, value: KeysValues) -> KeysValues:
        cache = value._keys_values[0]._k_cache
        cache._cache = torch.nn.functional.pad(cache._cache, (0, 0, 0, 1))
        return value


class RoundsALittle(Changed):
    """Is off by less than a millionth."""

    def change(self, value: KeysValues) -> KeysValues:
        value._keys_values[0]._k_cache._cache.mul_(1 + 5e-7)
        return value


class Lies(Plain):
    """Counts what did not happen."""

    def stats(self, pool: PoolId) -> PoolStats:
        del pool
        return PoolStats(hits=1000, misses=1000, evictions=1000, length=1000)


class ReferenceManager(KVCacheManager):
    """A `KVCacheManager` that stores references: what 41 of 41 tests upstream called sound."""

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.entries: dict[tuple[str, int], Any] = {}

    def get_init_cache(self, env_id: int, cache_key: int) -> Any:
        return self.entries.get((f"init{env_id}", cache_key))

    def set_init_cache(self, env_id: int, cache_key: int, kv_cache: Any, priority: float | None = None) -> int:
        del priority
        self.entries[f"init{env_id}", cache_key] = kv_cache
        return 0

    def get_recur_cache(self, cache_key: int) -> Any:
        return self.entries.get(("recur", cache_key))

    def set_recur_cache(self, cache_key: int, kv_cache: Any, priority: float | None = None) -> int:
        del priority
        self.entries["recur", cache_key] = kv_cache
        return 0

    def hierarchical_get(self, env_id: int, cache_key: int) -> Any:
        found = self.get_init_cache(env_id, cache_key)
        return self.get_recur_cache(cache_key) if found is None else found
