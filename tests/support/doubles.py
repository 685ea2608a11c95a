"""Faulty caches that are not in the gallery: no scenario needs them, but a test of one rule does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from kvparity import KeysValues, PoolId
from kvparity.caches.protocol import PoolStats
from kvparity.values.entry import clone, read
from kvparity_refactored import KVCacheManager
from kvparity_scenarios.correct_cache import CorrectCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity_scenarios.correct_cache import Pool


class DoesNotCount(CorrectCache):
    """Without a fault, and without statistics."""

    stats: Any = None


class ClearsNothing(CorrectCache):
    """Still knows its keys after a clear."""

    def clear(self, pool: PoolId) -> None:
        pass


class AlwaysMisses(CorrectCache):
    """Finds nothing."""

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        del key
        return super().look_up(pool, -1)


class Invents(CorrectCache):
    """Has an answer for every key."""

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        found = super().look_up(pool, key)
        return KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=2, head_dim=2) if found is None else found


class Raises(CorrectCache):
    """Raises where it should answer."""

    error: type[Exception] = RuntimeError

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        del pool
        raise self.error(f"no {key}")


class RaisesKeyError(Raises):
    """The same with another exception."""

    error = KeyError


class RaisesOnSet(CorrectCache):
    """Cannot store."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        raise MemoryError("full")


class RaisesOnClear(CorrectCache):
    """Cannot forget."""

    def clear(self, pool: PoolId) -> None:
        raise MemoryError("still full")


class LendsRubbish(CorrectCache):
    """Its working copy is no entry."""

    def checkout(self, env: int, key: int) -> Any:
        return "rubbish" if super().checkout(env, key) is not None else None


@dataclass(frozen=True)
class FrozenTokens:
    """A tensor whose size nobody can change."""

    _cache: torch.Tensor
    _size: int


class LendsFrozenSizes(CorrectCache):
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


class AnswersFromElsewhere(CorrectCache):
    """Keeps the right bytes on another device."""

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        found = super().look_up(pool, key)
        if found is None:
            return None
        tensors, sizes = read(found)
        return KeysValues([tensor.as_subclass(Elsewhere) for tensor in tensors], sizes)


class TakesApartWhatItIsGiven(CorrectCache):
    """Copies the value that is set, and then does `harm` to the object that it came in."""

    def __init__(self, harm: Callable[[KeysValues], object]) -> None:
        super().__init__()
        self.harm = harm

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        super().set(pool, key, value, priority=priority)
        self.harm(value)


class Changed(CorrectCache):
    """Returns each entry changed by `change`."""

    def change(self, value: KeysValues) -> KeysValues:
        raise NotImplementedError

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        found = super().look_up(pool, key)
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


class Lies(CorrectCache):
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
