"""Disturbs a workload: lookups of keys from the past, and clears at any moment.

Each function takes a stream of operations and yields it with more operations in between. A `Checkout`, and anything
that uses the wm pool, is added only while no working copy is in use: never between a checkout and its writes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from kvparity.operations import ALL, ALL_INIT, RECUR, WM, Checkout, Clear, Get, Set, Write, init

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from kvparity.caches.protocol import CacheSpec
    from kvparity.operations import Operation, PoolId

_PROBE_CHANCE = 0.08
_CLEAR_CHANCE = 0.04
_WM_CHANCE = 0.004


class _Past:
    """The latest sets of each pool, twice as many as it has slots: about half of them were overwritten."""

    def __init__(self, spec: CacheSpec) -> None:
        self.sets: dict[PoolId, deque[Set]] = {
            pool: deque(maxlen=2 * spec.slots(pool)) for pool in spec.pools if pool != WM
        }

    def note(self, operation: Operation) -> None:
        if isinstance(operation, Set):
            self.sets[operation.pool].append(operation)

    def draw(self, rng: Random) -> Set | None:
        """One of them at random; None if there is none."""
        pools = [pool for pool, sets in self.sets.items() if sets]
        return rng.choice(self.sets[rng.choice(pools)]) if pools else None


def probed(operations: Iterator[Operation], spec: CacheSpec, rng: Random) -> Iterator[Operation]:
    """Look up keys of the near past again, whether or not their slots were overwritten."""
    past = _Past(spec)
    for operation in operations:
        yield operation
        past.note(operation)
        if not _working(operation) and rng.random() < _PROBE_CHANCE:
            yield from _look_up(past, rng)


def cleared(operations: Iterator[Operation], spec: CacheSpec, rng: Random) -> Iterator[Operation]:
    """Clear any pool at any moment, set some of the forgotten keys again with other values, and look them up.

    Sometimes the wm pool is used directly: cleared, set, and read at once.
    """
    past = _Past(spec)
    for operation in operations:
        yield operation
        past.note(operation)
        working = _working(operation)
        if rng.random() < _CLEAR_CHANCE:
            pool = rng.choice((init(rng.randrange(spec.env_num)), ALL_INIT, RECUR, *(() if working else (ALL, WM))))
            yield Clear(pool=pool)
            yield from _set_again(pool, past, rng)
        if not working:
            if rng.random() < _PROBE_CHANCE:
                yield from _look_up(past, rng)
            if rng.random() < _WM_CHANCE:
                yield from _use_wm(past, rng)


def _working(operation: Operation) -> bool:
    return isinstance(operation, Checkout | Write)


def _look_up(past: _Past, rng: Random) -> Iterator[Operation]:
    known = past.draw(rng)
    if known is not None:
        yield Get(pool=known.pool, key=known.key)
        if known.pool.env is not None:
            yield Checkout(env=known.pool.env, key=known.key)


def _set_again(pool: PoolId, past: _Past, rng: Random) -> Iterator[Operation]:
    hit = {ALL: past.sets, ALL_INIT: [each for each in past.sets if each.family == "init"]}.get(pool, [pool])
    for each in hit:
        lost = list(past.sets.get(each, ()))
        for known in rng.sample(lost, len(lost) // 2):
            again = replace(known, value=rng.choice(lost).value)
            yield again
            past.note(again)


def _use_wm(past: _Past, rng: Random) -> Iterator[Operation]:
    known = past.draw(rng)
    if known is not None:
        if rng.randrange(2):
            yield Clear(pool=WM)
        yield replace(known, pool=WM)
        yield Get(pool=WM, key=known.key)
