"""The refactored cache against the original: a set, a get, and the cycle of a search.

| line | over | under |
| --- | --- | --- |
| set | `KVCacheManager.set_init_cache`; half of the sets evict | the same with `legacy-evicting` |
| set (released) | the same | the same with LightZero 0.2.0, which checks and evicts nothing: for information |
| get | `KVCacheManager.get_init_cache` of a held key | the same with `legacy-evicting` |
| search cycle | `cycles` on `refactored-fifo` | `cycles` on `legacy-evicting` |

`legacy-evicting` checks shape and dtype of each tensor here; the code that it models does not.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from kvparity.caches.adapter import adapt
from kvparity.operations import RECUR, init
from kvparity.values.entry import write_token
from kvparity_legacy import EvictingCache, ReleasedCache
from kvparity_refactored import fifo
from lines.entries import SPEC, Producer, each
from lines.measuring import Line, Ratio, timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kvparity.caches.protocol import Cache
    from kvparity_legacy.rings import RingCache
    from lines.measuring import Effort

POOL = init(0)  # of sets and gets: both sides take the pool as first argument here
SETS = 2 * SPEC.init_pool_size  # half of the sets evict
STEPS = SPEC.num_simulations * SPEC.env_num  # steps of one cycle


def legacy() -> EvictingCache:
    """The original, empty."""
    return EvictingCache(SPEC.config(), SPEC.env_num)


def refactored() -> Cache:
    """The refactored cache, empty."""
    return adapt(fifo(SPEC.config(), SPEC.env_num))


def sets(store: Callable[[int, Any], object], producer: Producer) -> float:
    """Microseconds of one set, without the producer's own work."""
    value = producer.produce(0)

    def work() -> None:
        for key in range(SETS):
            store(key, value)

    return timed(work, SETS)


def gets(lookup: Callable[[int], object]) -> float:
    """Microseconds of one get of a held key."""
    held = range(SETS - SPEC.init_pool_size, SETS)

    def work() -> None:
        for _ in range(10):
            for key in held:
                lookup(key)

    return timed(work, 10 * len(held))


def cycles(
    cache: Cache, producer: Producer, *, new_tokens: int = 2, clock: Callable[[], float] = time.thread_time
) -> float:
    """Microseconds of one step of a search, cache work only.

    A step is: look in two pools, make a working copy, append two tokens (an action, an observation) to K and V of each
    of its layers, and set the child from the producer. Without `new_tokens` the copy stays as it is.

    Every environment's root is in its init pool, and the parent of every node is the node that was set just before, as
    in the first searches of LightZero.
    """
    for env in range(SPEC.env_num):
        cache.set(init(env), env, producer.produce(env))
    cache.clear(RECUR)

    def work() -> None:
        for key in range(STEPS):
            copy = cache.checkout(key % SPEC.env_num, key)
            if copy is None:
                sys.exit(f"the benchmark's own workload missed key {key}: its numbers would mean nothing")
            for _ in range(new_tokens):
                for layer in copy._keys_values:
                    write_token(layer._k_cache, 1.0)
                    write_token(layer._v_cache, 1.0)
            cache.set(RECUR, key + SPEC.env_num, producer.produce(key))

    return timed(work, STEPS, clock=clock)


def _set(original: type[RingCache], entry: str, _: Effort) -> Iterator[Ratio]:
    producer, manager = Producer(entry), fifo(SPEC.config(), SPEC.env_num)
    reference = original(SPEC.config(), SPEC.env_num)
    while True:
        reference.clear(POOL)
        manager.clear_init_caches()
        under = sets(partial(reference.set, POOL), producer)
        yield Ratio(sets(partial(manager.set_init_cache, 0), producer), under)


def _get(entry: str, _: Effort) -> Iterator[Ratio]:
    producer, original, manager = Producer(entry), legacy(), fifo(SPEC.config(), SPEC.env_num)
    sets(partial(original.set, POOL), producer)
    sets(partial(manager.set_init_cache, 0), producer)
    while True:
        under = gets(partial(original.get, POOL))
        yield Ratio(gets(partial(manager.get_init_cache, 0)), under)


def _cycle(entry: str, _: Effort) -> Iterator[Ratio]:
    producer, original, candidate = Producer(entry), legacy(), refactored()
    while True:
        under = cycles(original, producer)
        yield Ratio(cycles(candidate, producer), under)


LINES = (
    Line(name="set", target=each(0.45, 0.70, 0.70), begin=partial(_set, EvictingCache)),
    Line(name="set (released)", target=each(None), begin=partial(_set, ReleasedCache)),
    Line(name="get", target=each(1.1), begin=_get),
    Line(name="search cycle", target=each(0.85), begin=_cycle),
)
