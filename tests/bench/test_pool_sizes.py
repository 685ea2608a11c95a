"""Curves over pool sizes, compared with real caches of each size."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from kvparity import Checkout, Clear, Get, Set, build_cache, init
from kvparity.bench.pool_sizes import Sweep, sweep
from kvparity.bench.workload import Workload, load
from kvparity.caches.protocol import CacheSpec
from kvparity.driving.driver import Driver
from kvparity.operations import ALL, RECUR, WM
from kvparity.registry import load_scenario
from kvparity.search.case import plain

if TYPE_CHECKING:
    from kvparity import Operation

ENDLESS = 4096


def workload(spec: CacheSpec, *operations: Operation) -> Workload:
    """Operations for one cache."""
    return Workload(
        name="test",
        specs={0: spec},
        operations=tuple((0, operation) for operation in operations),
        offered=None,
        values="",
    )


def scenario(name: str, steps: int) -> Workload:
    """A scenario's operations, with small values."""
    found = load_scenario(name)
    small = [
        replace(operation, value=plain(1)) if isinstance(operation, Set) else operation
        for operation in islice(found.operations(0), steps)
    ]
    return workload(found.spec, *small)


def stored(key: int, *, priority: float | None = None) -> Set:
    """A set in recur."""
    return Set(pool=RECUR, key=key, value=plain(1), priority=priority)


def looked_up(*keys: int) -> list[Get]:
    """Gets from recur."""
    return [Get(pool=RECUR, key=key) for key in keys]


def recur(found: tuple[Sweep, ...]) -> Sweep:
    """The sweep of the recur pool."""
    return found[1]


def missed_by_a_real_cache(strategy: str, spec: CacheSpec, work: Workload, family: str) -> tuple[int, int]:
    """What a refactored cache of that size misses: in pools of the family as it counts itself, and checkouts."""
    cache = build_cache(f"refactored-{strategy}", spec)
    driver = Driver(cache)
    checkouts = 0
    for _, operation in work.operations:
        found = driver.apply(operation)
        checkouts += isinstance(operation, Checkout) and found is None
    stats = [cache.stats(pool) for pool in spec.pools if pool.family == family]  # type: ignore[attr-defined]
    return sum(each.misses for each in stats), checkouts


@pytest.mark.parametrize("strategy", ["fifo", "lru", "priority"])
@pytest.mark.parametrize("name", ["pool-pressure", "revisit", "clear-storm"])
def test_a_curve_is_what_real_caches_of_each_size_miss(name: str, strategy: str) -> None:
    """Init pools and recur pool; beyond what endless pools miss, which no size would avoid."""
    work = scenario(name, 1200)
    spec = work.specs[0]
    most = replace(spec, init_pool_size=ENDLESS, num_simulations=ENDLESS)
    for swept in sweep(work):
        curve = next(each for each in swept.curves if each.strategy == strategy)
        unavoidable, _ = missed_by_a_real_cache(strategy, most, work, swept.family)
        for point in curve.points:
            sized = (
                replace(most, init_pool_size=point.size)
                if swept.family == "init"
                else replace(most, num_simulations=point.size // spec.env_num)
            )
            misses, checkouts = missed_by_a_real_cache(strategy, sized, work, swept.family)
            assert (misses - unavoidable, checkouts) == (point.misses, point.checkout_misses)


def test_the_size_that_is_needed_is_the_least_that_loses_nothing() -> None:
    """One step less loses something; and one per cent likewise."""
    for swept in sweep(scenario("pool-pressure", 3000)):
        for curve in swept.curves:
            assert curve.at(curve.needed).misses == 0
            assert curve.at(curve.nearly).misses <= swept.lookups * 0.01
            assert curve.needed == swept.step or curve.at(curve.needed - swept.step).misses > 0
            assert curve.nearly == swept.step or curve.at(curve.nearly - swept.step).misses > swept.lookups * 0.01


def test_what_no_size_would_avoid_is_not_counted() -> None:
    """Keys that were never set, or not since the last clear."""
    operations = [stored(1), Clear(pool=ALL), stored(2), *looked_up(1, 2, 3), Checkout(env=0, key=9)]
    found = recur(sweep(workload(CacheSpec(env_num=1), *operations)))
    assert (found.lookups, found.checkouts) == (1, 1)
    assert {(point.misses, point.checkout_misses) for curve in found.curves for point in curve.points} == {(0, 1)}


def test_more_slots_that_lose_more_are_not_enough() -> None:
    """Belady's anomaly: four slots lose something of what three hold, because what is held is not set anew."""
    spec = CacheSpec(env_num=1, num_simulations=3)
    operations: list[Operation] = []
    for key in (1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5):  # the classic string: a miss stores the key
        operations += [*looked_up(key), stored(key)]
    found = recur(sweep(workload(spec, *operations)))
    fifo = found.curves[0]
    assert fifo.at(3).misses < fifo.at(4).misses
    assert fifo.nearly == fifo.needed == 5


def test_priorities_decide_who_leaves() -> None:
    """A pool of one slot keeps what has the higher priority only under that strategy."""
    operations = [stored(1, priority=2.0), stored(2, priority=1.0), stored(3, priority=0.0), *looked_up(1, 1, 3)]
    found = recur(sweep(workload(CacheSpec(env_num=1, num_simulations=2), *operations)))
    assert {curve.strategy: curve.at(2).misses for curve in found.curves} == {"fifo": 2, "lru": 2, "priority": 0}


def test_a_recur_pool_has_a_multiple_of_its_environments() -> None:
    """Because its size is `num_simulations * env_num`."""
    spec = CacheSpec(env_num=3, num_simulations=2)
    found = recur(sweep(workload(spec, *map(stored, range(7)), *looked_up(0))))
    assert found.filled == 9
    assert all(point.size % 3 == 0 for curve in found.curves for point in curve.points)


def test_init_pools_are_sized_alike() -> None:
    """The environment that needs most decides."""
    own, other = init(0), init(1)
    operations = [Set(pool=own, key=1, value=plain(1)), *[Set(pool=other, key=key, value=plain(1)) for key in range(5)]]
    operations += [Get(pool=own, key=1), Get(pool=other, key=0)]
    found = sweep(workload(CacheSpec(env_num=2), *operations))[0]
    assert (found.family, found.lookups, found.curves[0].needed) == ("init", 2, 5)


def test_working_copies_are_no_concern_of_the_other_pools() -> None:
    """What goes to the wm pool is passed over."""
    spec = CacheSpec(env_num=1)
    operations = [stored(1), Set(pool=WM, key=2, value=plain(1)), Get(pool=WM, key=2), Clear(pool=WM), *looked_up(1)]
    assert recur(sweep(workload(spec, *operations))) == recur(sweep(workload(spec, stored(1), *looked_up(1))))


def test_a_stream_that_looks_nothing_up_needs_no_pool() -> None:
    """It has no curve."""
    spec = CacheSpec(env_num=1)
    both = Workload(
        name="two",
        specs={0: spec, 1: spec},
        operations=((0, stored(1)), (1, stored(1)), (1, looked_up(1)[0])),
        offered=3,
        values="",
    )
    assert [(each.stream, each.family) for each in sweep(both)] == [(1, "init"), (1, "recur")]


def test_the_bundled_training_has_too_small_a_recur_pool() -> None:
    """A search fills 800 slots and there are 400; the two init slots of each environment are enough."""
    inits, nodes = sweep(load("cartpole-unizero-100sims", steps=20_000, seed=0))
    assert (nodes.size, nodes.filled, nodes.step) == (400, 800, 8)
    assert all(400 < curve.nearly < curve.needed <= 800 for curve in nodes.curves)
    assert all(curve.at(400).misses > 0 for curve in nodes.curves)
    assert all(curve.at(2).misses == 0 for curve in inits.curves)
