"""`Driver`: does operations to a cache, with the habits of the real producer and consumer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from kvparity.operations import Checkout, Clear, Get, Operation, Set, Write
from kvparity.values.entry import KeysValues, copy_into, read, write_token

if TYPE_CHECKING:
    from kvparity.caches.protocol import Cache
    from kvparity.shadow.shadow_cache import ShadowCache

_TOKENS = 2  # the axis of tokens in [N, H, T, D]


class Driver:
    """Does operations to a cache, with the habits of the real producer and consumer.

    The producer reuses one object for all values. By turns it gets the tensors of a value, or its own tensors are
    overwritten in place. The consumer writes into its working copies.

    Args:
        cache: the cache, which may be a `ShadowCache`.
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._producer: KeysValues | None = None
        self._in_place: KeysValues | None = None
        self._sets = 0
        self._working_copies: dict[int, Any] = {}

    def apply(self, operation: Operation) -> Any | None:
        """Do one operation, and return what a lookup returned.

        Raises:
            Exception: what the cache raises.
        """
        match operation:
            case Set():
                value = self._produce(operation.value)
                self.cache.set(operation.pool, operation.key, value, priority=operation.priority)
            case Get():
                return self.cache.get(operation.pool, operation.key)
            case Checkout():
                self._working_copies[operation.env] = None
                copy = self.cache.checkout(operation.env, operation.key)
                self._working_copies[operation.env] = copy
                return copy
            case Write():
                copy = self._working_copies.get(operation.env)
                if copy is not None:
                    for layer in copy._keys_values:
                        _write(layer._k_cache, operation.fill)
                        _write(layer._v_cache, operation.fill)
            case Clear():
                self.cache.clear(operation.pool)
        return None

    def _produce(self, value: Any) -> KeysValues:
        self._sets += 1
        tensors, sizes = read(value)
        if self._sets % 2:
            # Overwritten in place: a cache that kept the tensors of an earlier set sees them change.
            self._in_place = copy_into(value, self._in_place)
            tensors = read(self._in_place)[0]
        if self._producer is None or len(self._producer) * 2 != len(tensors):
            self._producer = KeysValues(tensors, sizes)
            return self._producer
        pairs = iter(zip(tensors, sizes, strict=True))
        for layer in self._producer._keys_values:
            layer._k_cache._cache, layer._k_cache._size = next(pairs)
            layer._v_cache._cache, layer._v_cache._size = next(pairs)
        return self._producer


def _write(cache: Any, fill: float) -> None:
    try:
        write_token(cache, fill)
    except (RuntimeError, IndexError, ZeroDivisionError):
        if _has_room_for(cache._cache, fill):
            raise


def _has_room_for(tensor: torch.Tensor, fill: float) -> bool:
    """Whether a consumer could write such a token: a trace may have tensors of any shape and dtype, and any fill."""
    if tensor.dim() <= _TOKENS or not tensor.shape[_TOKENS]:
        return False
    if tensor.is_floating_point() or tensor.is_complex():
        return not abs(fill) > torch.finfo(tensor.dtype).max
    return tensor.dtype is torch.bool or abs(fill) <= torch.iinfo(tensor.dtype).max


def step(driver: Driver, shadow: ShadowCache, operation: Operation, number: int) -> None:
    """Do one operation of a stream. Swallows what the reference raises, which is in the log already."""
    shadow.counts.next_number = number
    try:
        driver.apply(operation)
    except BaseException as error:  # only to swallow the one that the shadow passed on; all others go on
        if error is not shadow.raised:
            raise
    if isinstance(operation, Write):
        shadow.counts.count_write()
