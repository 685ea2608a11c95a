"""Entries with extreme numbers, types and sizes, each looked up right after its set.

Axes: `L` layers, `N` samples (1 in an entry), `H` heads, `T` tokens, `D` head dim.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import torch
import xxhash

from kvparity.operations import ALL, ALL_INIT, RECUR, Checkout, Clear, Get, Set, Write, init
from kvparity.values.entry import KeysValues, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from kvparity.caches.protocol import CacheSpec
    from kvparity.operations import Operation, PoolId

# Neighbouring keys that a hash or a cast can confuse: a float holds integers up to 2**53, and in CPython hash(-1)
# equals hash(-2), where -1 is 2**64 - 1 as a signed integer.
EDGE_KEYS = (0, 1, 2**32 - 1, 2**32, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1)

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _float_edges(exponent_bits: int, fraction_bits: int) -> tuple[int, ...]:
    """Bit patterns of an IEEE type: zeros, infinities, NaNs with payloads, denormals, the extreme numbers."""
    sign = 1 << (exponent_bits + fraction_bits)
    infinity = ((1 << exponent_bits) - 1) << fraction_bits
    quiet = infinity | 1 << (fraction_bits - 1)
    least_normal = 1 << fraction_bits
    positive = (
        0,
        infinity,
        quiet,
        quiet | 0b101,
        infinity | 1,
        1,
        least_normal - 1,
        least_normal,
        infinity - 1,
    )
    return tuple(pattern | side for pattern in positive for side in (0, sign))


def _integer_edges(bits: int) -> tuple[int, ...]:
    """Bit patterns of a signed integer: 0, 1, -1, the greatest and the least."""
    return 0, 1, (1 << bits) - 1, (1 << (bits - 1)) - 1, 1 << (bits - 1)


EDGES: dict[torch.dtype, tuple[int, ...]] = {
    torch.float16: _float_edges(5, 10),
    torch.bfloat16: _float_edges(8, 7),
    torch.float32: _float_edges(8, 23),
    torch.float64: _float_edges(11, 52),
    torch.int8: _integer_edges(8),
    torch.int64: _integer_edges(64),
}

_CLEAR_EVERY = 16
_LOOKALIKES_EVERY = 8
_ALIKE_EVERY = 5  # in each fifth entry K equals V, as in a new context
_SHAPES = ((1, 1, 4, 1), (1, 2, 8, 4), (2, 1, 4, 8), (2, 2, 6, 5))


def numeric_operations(spec: CacheSpec, rng: Random) -> Iterator[Operation]:
    """Set an entry in an init pool and another in recur, look both up, and write into a copy. Sometimes clear.

    Sometimes set entries and keys that a cache can confuse. Where a key is set again, its pool is cleared before and
    after, so a ring with back-pointers and a first-in-first-out pool agree. Types and shapes change from entry to
    entry, so slots must be allocated anew.
    """
    seed = rng.getrandbits(32)
    keys = (xxhash.xxh64_intdigest(number.to_bytes(8, "little"), seed) for number in count())
    first = rng.randrange(spec.env_num)
    for pool in (init(first), RECUR):
        yield from _edge_keys(pool, first, rng)
    for turn in count():
        env = rng.randrange(spec.env_num)
        for pool in (init(env), RECUR):
            yield from _tried(pool, env, next(keys), edge_value(rng, turn), rng)
        if turn % _LOOKALIKES_EVERY == 0:
            yield from _joined_keys(spec, turn, rng)
            yield from _set_again(env, next(keys), turn, rng)
            yield from _same_bytes(env, keys, rng)
        if turn % _CLEAR_EVERY == _CLEAR_EVERY - 1:
            yield Clear(pool=rng.choice((init(env), RECUR, ALL_INIT, ALL)))


def _edge_keys(pool: PoolId, env: int, rng: Random) -> Iterator[Operation]:
    """Set all extreme keys in one pool, then look them up again: a cache must not confuse two of them."""
    for turn, key in enumerate(EDGE_KEYS):
        yield from _tried(pool, env, key, edge_value(rng, turn), rng)
    for key in EDGE_KEYS:
        yield Get(pool=pool, key=key)


def _joined_keys(spec: CacheSpec, turn: int, rng: Random) -> Iterator[Operation]:
    """Small keys whose digits, after those of the environment, are the same: environment 1, key 12; 11, key 2."""
    first, second = 1, 11
    if spec.env_num > second:
        keys = {first: int(f"1{turn}"), second: turn}
        for env, key in keys.items():
            yield from _tried(init(env), env, key, edge_value(rng, turn), rng)
        for env, key in keys.items():
            yield Get(pool=init(env), key=key)


def _set_again(env: int, key: int, turn: int, rng: Random) -> Iterator[Operation]:
    """Set a held key again: with a full entry, with one without valid tokens, and with the same one twice."""
    # In the original each of the four sets takes a slot. An empty pool has room for them, so nothing is evicted.
    yield Clear(pool=init(env))
    for sizes in (1, 0, 1):
        tensors, _ = read(edge_value(rng, turn))
        value = KeysValues(tensors, [sizes * tensors[0].shape[2]] * len(tensors))
        yield from _tried(init(env), env, key, value, rng)
    yield from _tried(init(env), env, key, value, rng)
    yield Clear(pool=init(env))


def _same_bytes(env: int, keys: Iterator[int], rng: Random) -> Iterator[Operation]:
    """The same bytes in tensors of other shapes, types and numbers of layers, under keys of one pool."""
    row = _edge_row(rng, torch.float32, (4, 1, 2, 4, 6))
    entries = (row, row.view(4, 1, 4, 2, 6), row.view(4, 1, 2, 6, 4), row.view(torch.int32), row[:2])
    names = [next(keys) for _ in entries]
    for name, entry in zip(names, entries, strict=True):
        yield from _tried(RECUR, env, name, KeysValues(list(entry.unbind(0)), [2] * len(entry)), rng)
    for name in names:
        yield Get(pool=RECUR, key=name)


def _tried(pool: PoolId, env: int, key: int, value: KeysValues, rng: Random) -> Iterator[Operation]:
    yield Set(pool=pool, key=key, value=value)
    yield Get(pool=pool, key=key)
    yield Checkout(env=env, key=key)
    if _has_room(value):
        yield Write(env=env, fill=_fill(value, rng))
        yield Get(pool=pool, key=key)


def edge_value(rng: Random, turn: int) -> KeysValues:
    """A new entry of random bits, in which a third of the numbers are extreme ones of its type. In some, K equals V.

    `turn` chooses the type, the shape and the memory layout. Sizes are from 0 to `T`: one for all, or one for each.
    """
    dtype = tuple(EDGES)[turn % len(EDGES)]
    layers, heads, tokens, head_dim = _SHAPES[turn // len(EDGES) % len(_SHAPES)]
    row = _edge_row(rng, dtype, (2 * layers, 1, heads, tokens, head_dim))
    if turn % _ALIKE_EVERY == 0:
        row[1::2] = row[::2]
    sizes = rng.choice(
        (
            [0] * len(row),
            [tokens] * len(row),
            [rng.randint(0, tokens)] * len(row),
            [rng.randint(0, tokens), rng.randint(0, tokens)] * layers,
            [rng.randint(0, tokens) for _ in row],
        )
    )
    if turn % 3:
        return KeysValues.from_row(row, sizes)
    return KeysValues(row.transpose(2, 3).contiguous().transpose(2, 3).unbind(0), sizes)


def _edge_row(rng: Random, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    """A new contiguous row `[2 * L, N, H, T, D]`."""
    width = dtype.itemsize
    number = int(np.prod(shape))
    bits = np.frombuffer(rng.randbytes(number * width), dtype=f"<u{width}").copy()
    edges = np.array(EDGES[dtype], dtype=bits.dtype)
    start = rng.randrange(len(edges))
    places = slice(rng.randrange(3), None, 3)
    bits[places] = np.resize(np.roll(edges, start), len(bits[places]))
    signed = torch.from_numpy(bits.view(f"<i{width}"))
    return signed.view(dtype).view(shape)


def _has_room(value: KeysValues) -> bool:
    return all(
        cache._size < cache._cache.shape[2]
        for layer in value._keys_values
        for cache in (layer._k_cache, layer._v_cache)
    )


def _fill(value: KeysValues, rng: Random) -> float:
    dtype = value[0]._k_cache._cache.dtype
    return rng.choice((float("nan"), float("inf"), -0.0, 0.5)) if dtype.is_floating_point else 7.0
