"""What must not grow: the cost of an operation in a long session, and in a large pool.

| line | over | under |
| --- | --- | --- |
| a million operations | an operation of the scenario `mcts`, driven as `kvparity run` drives it, after 1,000,000 operations | the same after 10,000, in another session |
| pool, STRATEGY | an operation on a `KVCachePool` of 100,000 slots, entries of 8 KB | the same with 100 slots |
| shadowed pool, STRATEGY | an operation on a `ShadowCache` of two refactored caches with 100,000 slots in `recur`, tiny entries | the same with 100 slots |

The scenario's own work does not count. Operations on a pool alternate: the set of a new key, which evicts, and the get of a
held key; both pools are full before. Each set has a priority, which only the strategy PRIORITY uses.
"""  # noqa: E501  a table

from __future__ import annotations

import random
import time
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from kvparity.caches.protocol import CacheSpec
from kvparity.driving.comparison import Comparison
from kvparity.driving.driver import Driver, step
from kvparity.operations import RECUR
from kvparity.registry import load_scenario
from kvparity.shadow.evidence import Evidence
from kvparity.values.entry import KeysValues
from kvparity_refactored import EvictionStrategy, KVCachePool
from lines.entries import ANY_SIZE, SMALL, Producer
from lines.measuring import US, Line, Ratio, timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lines.measuring import Effort

_WINDOW = 8_180  # operations: ten searches of the scenario
_PART = 2_000
_FEW_SLOTS = 100


class Session:
    """The scenario `mcts` through both caches, as `Comparison.scenario` runs it."""

    def __init__(self) -> None:
        scenario = load_scenario("mcts")
        self._shadow = Comparison("legacy-evicting", "refactored-fifo").shadow(scenario.spec, evidence=Evidence())
        self._driver = Driver(self._shadow)
        self._operations = scenario.operations(0)
        self._done = 0

    def go_on(self, operations: int) -> float:
        """Microseconds of each of the next operations, without the scenario's own work."""
        taken = 0.0
        for begin in range(0, operations, _PART):
            part = list(islice(self._operations, min(_PART, operations - begin)))
            began = time.thread_time()
            for number, operation in enumerate(part, start=self._done):
                step(self._driver, self._shadow, operation, number)
            taken += time.thread_time() - began
            self._done += len(part)
        return taken / operations * US


def _operations(_: str, effort: Effort) -> Iterator[Ratio]:
    old = Session()
    old.go_on(effort.operations)
    while True:
        young = Session()
        young.go_on(effort.young)
        under = young.go_on(_WINDOW)
        yield Ratio(old.go_on(_WINDOW), under)


class Churn:
    """Sets of new keys into a full pool, and gets of held keys.

    Args:
        store: sets a key with a priority.
        lookup: gets a key.
        slots: the number of slots of the pool, which is filled here.
    """

    def __init__(self, store: Callable[[int, float], object], lookup: Callable[[int], object], slots: int) -> None:
        self._store = store
        self._lookup = lookup
        self._slots = slots
        self._random = random.Random(0)
        self._next = 0
        while self._next < slots:
            self._set(self._random.random())

    def __call__(self) -> float:
        """Microseconds of one operation."""
        draw = self._random
        draws = [(draw.random(), draw.randrange(self._slots // 2)) for _ in range(_PART)]

        def work() -> None:
            for priority, back in draws:
                self._set(priority)
                self._lookup(self._next - 1 - back)

        return timed(work, 2 * _PART)

    def _set(self, priority: float) -> None:
        self._store(self._next, priority)
        self._next += 1


def _pool(strategy: str, _: str, effort: Effort) -> Iterator[Ratio]:
    value = Producer(SMALL).value

    def churn(slots: int) -> Churn:
        pool = KVCachePool(slots, EvictionStrategy(strategy))
        return Churn(lambda key, priority: pool.set(key, value, priority), pool.get, slots)

    large, small = churn(effort.slots), churn(_FEW_SLOTS)
    while True:
        under = small()
        yield Ratio(large(), under)


def _shadowed_pool(strategy: str, _: str, effort: Effort) -> Iterator[Ratio]:
    value: Any = KeysValues([torch.zeros(1, 1, 1, 1)] * 2, [1] * 2)
    name = f"refactored-{strategy}"

    def churn(slots: int) -> Churn:
        spec = CacheSpec(env_num=1, init_pool_size=1, num_simulations=slots)
        shadow = Comparison(name, name).shadow(spec)
        return Churn(
            lambda key, priority: shadow.set(RECUR, key, value, priority=priority),
            partial(shadow.get, RECUR),
            slots,
        )

    large, small = churn(effort.slots), churn(_FEW_SLOTS)
    while True:
        under = small()
        yield Ratio(large(), under)


LINES = (
    Line(name="a million operations", target={SMALL: 1.05}, begin=_operations, most=10, warm_up=0),
    *(
        Line(name=f"pool, {each.value}", target={SMALL: 1.3}, begin=partial(_pool, each.value))
        for each in EvictionStrategy
    ),
    *(
        Line(name=f"shadowed pool, {each.value}", target={ANY_SIZE: 1.3}, begin=partial(_shadowed_pool, each.value))
        for each in EvictionStrategy
    ),
)
