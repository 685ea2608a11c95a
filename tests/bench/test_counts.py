"""What is counted apart from time: hits, bytes, allocations, memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch

from kvparity import CacheSpec, Checkout, Clear, Get, KeysValues, PoolId, Set, build_cache, init
from kvparity.bench.measure import measure
from kvparity.bench.memory import Ledger
from kvparity.bench.workload import Workload
from kvparity.operations import RECUR
from kvparity.search.case import plain
from kvparity.values.entry import clone
from kvparity_scenarios.correct_cache import CorrectCache
from support.doubles import DoesNotCount

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.bench.result import Figures
    from kvparity.caches.protocol import Cache
    from kvparity_scenarios.correct_cache import Pool

SPEC = CacheSpec(env_num=1, init_pool_size=2, num_simulations=4)
ENTRY_BYTES = 2 * 2 * 2 * 4  # plain values: K and V, two tokens of two float32 each


class Clones(CorrectCache):
    """Has no storage of its own: it clones in every set, and its clear frees the clones."""

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        del target
        return clone(value)

    def forget(self, pool: Pool) -> None:
        super().forget(pool)
        pool.slots = [None] * len(pool.slots)


class Leaks(Clones):
    """Its clear forgets the keys and keeps the entries."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: list[Any] = []

    def forget(self, pool: Pool) -> None:
        self.lost.extend(pool.slots)
        super().forget(pool)


def figures(build: Callable[[CacheSpec], Cache], *operations: Any) -> Figures:
    """Of one cache."""
    workload = Workload(
        name="test",
        specs={0: SPEC},
        operations=tuple((0, operation) for operation in operations),
        offered=None,
        values="",
    )
    found, _ = measure(workload, {"it": build}, reference="it", repeats=1, clock=lambda: 0)
    return found.figures["it"]


def nodes(*keys: int) -> list[Set]:
    """Sets in recur."""
    return [Set(pool=RECUR, key=key, value=plain(key)) for key in keys]


def test_hits_and_bytes_are_counted_from_outside() -> None:
    """A checkout that hits moves an entry, one that misses none, and a get never."""
    lookups = [Get(pool=RECUR, key=1), Get(pool=RECUR, key=9), Checkout(env=0, key=1), Checkout(env=0, key=9)]
    counts = figures(lambda _: CorrectCache(), *nodes(1), *lookups).counts
    assert (counts.lookups, counts.hits, counts.hit_rate) == (4, 2, 0.5)
    assert counts.bytes_moved == 2 * ENTRY_BYTES


def test_without_lookups_there_is_no_hit_rate() -> None:
    """None, rather than zero."""
    assert figures(lambda _: CorrectCache(), *nodes(1)).counts.hit_rate is None


def test_evictions_are_the_caches_own_word() -> None:
    """Evictions of init and recur pools are added up, those of wm are not; None if a count is missing."""
    operations = [*nodes(1, 2, 3, 4, 5, 6), *[Set(pool=init(0), key=key, value=plain(key)) for key in (1, 2, 3)]]
    operations += [Checkout(env=0, key=6), Checkout(env=0, key=5)]
    assert figures(partial(build_cache, "refactored-fifo"), *operations).counts.evictions == 3
    assert figures(partial(build_cache, "legacy-released"), *operations).counts.evictions is None
    assert figures(lambda _: DoesNotCount(), *operations).counts.evictions is None


def test_a_cache_that_clones_allocates_in_every_set() -> None:
    """One that copies into its slots does not, once they are filled."""
    operations = [*nodes(1, 2, 3), Clear(pool=RECUR), *nodes(4, 5)]
    assert figures(lambda _: Clones(), *operations).memory.allocations == 5
    assert figures(partial(build_cache, "refactored-fifo"), *operations).memory.allocations == 0


def test_memory_is_what_the_cache_holds() -> None:
    """At most and at the end; not the values that it is given."""
    operations = [*nodes(1, 2, 3), Clear(pool=RECUR), *nodes(4, 5)]
    cloning = figures(lambda _: Clones(), *operations).memory
    assert (cloning.peak_bytes, cloning.steady_bytes, cloning.growth_bytes) == (3 * ENTRY_BYTES, 2 * ENTRY_BYTES, 0)
    slots = figures(partial(build_cache, "refactored-fifo"), *operations).memory
    assert (slots.peak_bytes, slots.steady_bytes, slots.growth_bytes) == (3 * ENTRY_BYTES, 3 * ENTRY_BYTES, 0)


def test_a_leak_is_growth() -> None:
    """What a second pass adds for good."""
    assert figures(lambda _: Leaks(), *nodes(1, 2, 3)).memory.growth_bytes == 3 * ENTRY_BYTES


def test_python_memory_is_counted_too() -> None:
    """A cache that keeps a list of all its keys holds more than one that does not."""

    class Remembers(CorrectCache):
        def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
            super().set(pool, key, value, priority=priority)
            self.notes = [*getattr(self, "notes", []), bytearray(100_000)]

    plainly = figures(lambda _: CorrectCache(), *nodes(1, 2, 3))
    at_length = figures(lambda _: Remembers(), *nodes(1, 2, 3))
    assert at_length.memory.python_bytes - plainly.memory.python_bytes > 250_000


def test_views_and_writes_are_no_allocations() -> None:
    """Only a storage that was not there before is; and it counts once, until it is freed."""
    ledger, source = Ledger(), torch.zeros(4)
    with ledger.booked():
        source[1:].detach().mul_(2)
        torch.add(source, 1, out=source)
        assert ledger.allocations == 0
        copy = source.clone()
        view = copy[1:]
        assert (ledger.allocations, ledger.live_bytes) == (1, 16)
    del copy
    assert ledger.live_bytes == 16
    del view
    assert (ledger.live_bytes, ledger.peak_bytes) == (0, 16)


def test_what_is_allocated_outside_is_nobodys() -> None:
    """The driver's tensors are not the cache's."""
    ledger = Ledger()
    with ledger.booked():
        pass
    torch.zeros(4)
    assert ledger.allocations == 0


def test_two_streams_are_added_up() -> None:
    """Each has a cache of its own."""
    operations = tuple((stream, operation) for stream in (0, 1) for operation in (*nodes(1), Get(pool=RECUR, key=1)))
    workload = Workload(name="two", specs={0: SPEC, 1: SPEC}, operations=operations, offered=4, values="")
    found, _ = measure(workload, {"it": lambda _: CorrectCache()}, reference="it", repeats=1, clock=lambda: 0)
    assert (found.figures["it"].counts.hits, found.figures["it"].memory.steady_bytes) == (2, 2 * ENTRY_BYTES)


@pytest.mark.parametrize("tokens", [2, 4])
def test_bytes_are_those_of_the_values(tokens: int) -> None:
    """Padding included, as everything is copied."""
    value = KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=tokens, head_dim=2, size=1)
    operation = Set(pool=RECUR, key=1, value=value)
    assert figures(lambda _: CorrectCache(), operation).counts.bytes_moved == 2 * tokens * 2 * 4
