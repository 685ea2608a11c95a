"""Which pool sizes a workload needs: its keys go through ideal pools of many sizes, without tensors and clocks.

A lookup of a key that was never set in the pool, or not since it was cleared, misses whatever the size. Such lookups
are left out. Of the others, which an endless pool would answer, each curve shows the share that a pool of a given size
has lost: its capacity misses.

The init pools and the recur pool are examined one at a time, while the other is endless. So each curve shows only what
its own pool loses.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from kvparity.judging.oracle import STRATEGIES
from kvparity.operations import RECUR, WM, Checkout, Clear, Get, PoolId, Set, covered, init

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kvparity.bench.workload import Workload
    from kvparity.caches.protocol import CacheSpec
    from kvparity.operations import Operation

Family: TypeAlias = Literal["init", "recur"]

WITHIN = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What pools of one size lose.

    Attributes:
        size: number of slots; each init pool has that many.
        misses: lookups that missed because of the size.
        checkout_misses: checkouts that neither the init pool nor recur answered, for whatever reason.
    """

    size: int
    misses: int
    checkout_misses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What pools of one strategy lose at each size.

    Attributes:
        strategy: a key of `kvparity.judging.oracle.STRATEGIES`.
        points: in the order of their sizes.
        needed: the smallest size that loses nothing.
        nearly: the smallest size that loses at most 1 %.
    """

    strategy: str
    points: tuple[Point, ...]
    needed: int
    nearly: int

    def at(self, size: int) -> Point:
        """The point of that size, which the curve must have."""
        return next(point for point in self.points if point.size == size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The curves of one kind of pool.

    Attributes:
        stream: of the operations.
        family: `init` or `recur`.
        step: all sizes are multiples of it, because a recur pool has `num_simulations * env_num` slots.
        size: the size in the workload's own caches.
        filled: the most keys that an endless pool holds at once, rounded up to a step. More slots are never used.
        lookups: number of lookups that an endless pool answers.
        checkouts: number of checkouts, over all pools.
        curves: one for each strategy.
    """

    stream: int
    family: str
    step: int
    size: int
    filled: int
    lookups: int
    checkouts: int
    curves: tuple[Curve, ...]


class _Step(NamedTuple):
    """What happens to one pool. It is a lookup if neither `stores` nor `clears` is set."""

    pool: PoolId
    key: int = 0
    priority: float | None = None
    stores: bool = False
    clears: bool = False
    checkout: bool = False  # a checkout that no other pool answers


def sweep(workload: Workload) -> tuple[Sweep, ...]:
    """Examine the init pools and the recur pool of each stream that has lookups."""
    sweeps: list[Sweep] = []
    for stream, spec in workload.specs.items():
        demand = _Demand(spec)
        for owner, operation in workload.operations:
            if owner == stream:
                demand.note(operation)
        if demand.lookups:
            sweeps.append(demand.swept(stream, "init", step=1, size=spec.init_pool_size))
            sweeps.append(demand.swept(stream, "recur", step=spec.env_num, size=spec.recur_pool_size))
    return tuple(sweeps)


class _Demand:
    """One stream's operations, as endless pools see them.

    Args:
        spec: of its cache.
    """

    def __init__(self, spec: CacheSpec) -> None:
        self.lookups = 0
        self._checkouts = 0
        self._nowhere = 0  # checkouts that even endless pools do not answer
        self._held: dict[PoolId, set[int]] = {pool: set() for pool in spec.pools if pool != WM}
        self._most = Counter[str]()
        self._steps: dict[str, list[_Step]] = {"init": [], "recur": []}
        self._answered = Counter[str]()

    def note(self, operation: Operation) -> None:
        """Add the next operation. Operations on the wm pool concern no other pool, and are ignored."""
        match operation:
            case Set(pool=pool, key=key) if pool != WM:
                self._held[pool].add(key)
                self._most[pool.family] = max(self._most[pool.family], len(self._held[pool]))
                self._steps[pool.family].append(_Step(pool, key, operation.priority, stores=True))
            case Get(pool=pool, key=key) if pool != WM:
                self.lookups += 1
                if key in self._held[pool]:
                    self._answer(pool, key)
            case Checkout(env=env, key=key):
                self._check_out(init(env), key)
            case Clear(pool=pool) if pool != WM:
                for each in covered(pool, self._held):
                    self._held[each].clear()
                    self._steps[each.family].append(_Step(each, clears=True))

    def swept(self, stream: int, family: Family, *, step: int, size: int) -> Sweep:
        """The curves of one kind of pool."""
        filled = -(-max(self._most[family], 1) // step) * step
        losses = {
            strategy: _Losses(strategy, self._steps[family], unavoidable=self._nowhere) for strategy in STRATEGIES
        }
        sizes = {size, filled, *_powers_of_two(step, filled)}
        allowed = {"needed": 0, "nearly": int(self._answered[family] * WITHIN)}
        while True:
            least = {
                strategy: {name: loss.least(misses, sizes, step=step) for name, misses in allowed.items()}
                for strategy, loss in losses.items()
            }
            tried = {size for loss in losses.values() for size in loss.points}
            if tried == sizes:
                break
            sizes = tried  # every strategy needs a point at each size, to be shown side by side
        return Sweep(
            stream=stream,
            family=family,
            step=step,
            size=size,
            filled=filled,
            lookups=self._answered[family],
            checkouts=self._checkouts,
            curves=tuple(
                Curve(
                    strategy=strategy,
                    points=tuple(loss.points[size] for size in sorted(sizes)),
                    **least[strategy],
                )
                for strategy, loss in losses.items()
            ),
        )

    def _check_out(self, first: PoolId, key: int) -> None:
        self.lookups += 1
        self._checkouts += 1
        in_init, in_recur = key in self._held[first], key in self._held[RECUR]
        if in_init:
            self._answer(first, key, checkout=not in_recur)
        elif in_recur:
            self._answer(RECUR, key, checkout=True)
        else:
            self._nowhere += 1

    def _answer(self, pool: PoolId, key: int, *, checkout: bool = False) -> None:
        self._answered[pool.family] += 1
        self._steps[pool.family].append(_Step(pool, key, checkout=checkout))


class _Losses:
    """What ideal pools of one strategy lose at each size that was tried.

    Args:
        strategy: a key of `STRATEGIES`.
        steps: what happens to the pools.
        unavoidable: checkouts that no size would answer.
    """

    def __init__(self, strategy: str, steps: Sequence[_Step], *, unavoidable: int) -> None:
        self.points: dict[int, Point] = {}
        self._strategy = STRATEGIES[strategy]
        self._steps = steps
        self._unavoidable = unavoidable

    def least(self, misses: int, sizes: Iterable[int], *, step: int) -> int:
        """The smallest size that loses at most `misses`. It is searched between `sizes`, down to a step.

        First in, first out may lose more with more slots (Belady's anomaly). So a size is enough only if every larger
        one that was tried is enough, too. The largest of `sizes` must be enough.
        """
        for size in sizes:
            self._try(size)
        while True:
            ordered = sorted(self.points)
            first = len(ordered) - 1
            while first and self.points[ordered[first - 1]].misses <= misses:
                first -= 1
            below = ordered[first - 1] if first else 0
            gap = (ordered[first] - below) // step
            if gap == 1:
                return ordered[first]
            self._try(below + gap // 2 * step)

    def _try(self, size: int) -> None:
        if size in self.points:
            return
        pools = {pool: self._strategy(size) for pool in {step.pool for step in self._steps}}
        misses = checkouts = 0
        for pool, key, priority, stores, clears, checkout in self._steps:
            if stores:
                pools[pool].set(key, 0, priority)
            elif clears:
                pools[pool].clear()
            elif not pools[pool].get(key):
                misses += 1
                checkouts += checkout
        self.points[size] = Point(size=size, misses=misses, checkout_misses=checkouts + self._unavoidable)


def _powers_of_two(step: int, most: int) -> Iterator[int]:
    """`step` times each power of two, below `most`."""
    size = step
    while size < most:
        yield size
        size *= 2
