"""The passes of the minimizer: each tries one way to make a case smaller, and keeps what shows the divergence still.

`FIRST` runs once, `REPEATED` runs until no pass finds anything smaller, `LAST` runs once at the end.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from kvparity.operations import Checkout, Clear, Get, Operation, PoolId, Set, Write, init
from kvparity.search.case import Case

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kvparity.caches.protocol import CacheSpec

_FEW = 64  # operations: in a longer case it would take too long to drop a slot and an operation together


class Search(Protocol):
    """What a pass works on."""

    @property
    def best(self) -> Case:
        """The smallest case so far that shows the divergence."""

    def consider(self, case: Case) -> bool:
        """Make `case` the best one if it shows the divergence; whether it does."""


def keep_the_end(search: Search) -> None:
    """Keep the last 1, 2, 4, ... operations, until they are enough."""
    length = 1
    operations = search.best.operations
    while length < len(operations):
        if _consider_operations(search, operations[-length:]):
            return
        length *= 2


def shrink_pools(search: Search) -> None:
    """Make the pools smaller: they then need fewer operations to fill."""
    spec = search.best.spec
    used = {env for operation in search.best.operations if (env := _env(operation)) is not None}
    recur = {
        (env_num, simulations)
        for env_num in (*range(max(used, default=0) + 1, spec.env_num), spec.env_num)
        for simulations in (*_smaller(spec.num_simulations), spec.num_simulations)
    }
    for env_num, simulations in sorted(recur, key=lambda size: (size[0] * size[1], size)):
        smaller = replace(spec, env_num=env_num, num_simulations=simulations)
        if smaller == spec or search.consider(replace(search.best, spec=smaller)):
            break
    for slots in _smaller(spec.init_pool_size):
        if search.consider(replace(search.best, spec=replace(search.best.spec, init_pool_size=slots))):
            break


def drop_pools(search: Search) -> None:
    """Drop all operations of a pool."""
    for pool in dict.fromkeys(map(_pool, search.best.operations)):  # a set has another order in each process
        rest = [operation for operation in search.best.operations if _pool(operation) != pool]
        if len(rest) < len(search.best):
            _consider_operations(search, rest)


def drop_parts(search: Search) -> None:
    """Drop ever smaller parts of the operations: Zeller's delta debugging (ddmin)."""
    parts = 2
    while len(search.best) > 1:
        operations = search.best.operations
        parts = min(parts, len(operations))
        bounds = [len(operations) * part // parts for part in range(parts + 1)]
        for start, stop in pairwise(bounds):
            if _consider_operations(search, operations[:start] + operations[stop:]):
                parts = max(parts - 1, 2)
                break
        else:
            if parts == len(operations):
                return
            parts *= 2


def renumber_environments(search: Search) -> None:
    """Number the environments from 0."""
    used = sorted({env for operation in search.best.operations if (env := _env(operation)) is not None})
    number = {env: at for at, env in enumerate(used)}
    if any(env != at for env, at in number.items()):
        _consider_operations(search, [_with_env(operation, number) for operation in search.best.operations])


def drop_slots_with_operations(search: Search) -> None:
    """Drop a slot together with an operation, again and again: dropping one alone may hide the divergence."""
    while len(search.best) <= _FEW and (
        _drop_slot_and_operation(search, "recur") or _drop_slot_and_operation(search, "init")
    ):
        pass


def drop_priorities(search: Search) -> None:
    """Drop the priorities of all sets."""
    operations = search.best.operations
    if any(isinstance(operation, Set) and operation.priority is not None for operation in operations):
        _consider_operations(
            search,
            [replace(each, priority=None) if isinstance(each, Set) else each for each in operations],
        )


def shorten_keys(search: Search) -> None:
    """Number the keys from 1."""
    number: dict[int, int] = {}
    operations: list[Operation] = []
    for operation in search.best.operations:
        if isinstance(operation, Set | Get | Checkout):
            key = number.setdefault(operation.key, len(number) + 1)
            operations.append(replace(operation, key=key))
        else:
            operations.append(operation)
    _consider_operations(search, operations)


def drop_single_operations(search: Search) -> None:
    """Drop single operations, until every one that is left is needed."""
    at = 0
    while at < len(search.best):
        operations = search.best.operations
        if _consider_operations(search, operations[:at] + operations[at + 1 :]):
            at = 0
        else:
            at += 1


FIRST: tuple[Callable[[Search], None], ...] = (keep_the_end,)
REPEATED: tuple[Callable[[Search], None], ...] = (
    shrink_pools,
    drop_pools,
    drop_parts,
    renumber_environments,
    drop_slots_with_operations,
)
LAST: tuple[Callable[[Search], None], ...] = (drop_priorities, shorten_keys, drop_single_operations)


def _consider_operations(search: Search, operations: Sequence[Operation]) -> bool:
    return search.consider(replace(search.best, operations=tuple(operations)))


def _drop_slot_and_operation(search: Search, family: str) -> bool:
    best = search.best
    spec = best.spec
    if family == "init":
        smaller = [replace(spec, init_pool_size=spec.init_pool_size - 1)] if spec.init_pool_size > 1 else []
    else:
        smaller = [
            replace(spec, env_num=env_num, num_simulations=slots // env_num)
            for slots in range(spec.recur_pool_size - 1, max(spec.recur_pool_size - 4, 0), -1)
            for env_num in range(1, spec.env_num + 1)
            if slots % env_num == 0
        ]
    for each in smaller:
        for at in range(len(best)):
            operations = best.operations[:at] + best.operations[at + 1 :]
            if _fits(operations, each) and search.consider(Case(spec=each, operations=operations)):
                return True
    return False


def _smaller(size: int) -> list[int]:
    """Sizes to try instead of `size`: 1 to 8, 16, 32, ..."""
    return [
        *range(1, min(size, 9)),
        *(1 << exponent for exponent in range(4, size.bit_length()) if 1 << exponent < size),
    ]


def _pool(operation: Operation) -> PoolId | None:
    if isinstance(operation, Set | Get | Clear):
        return operation.pool
    return None


def _env(operation: Operation) -> int | None:
    if isinstance(operation, Checkout | Write):
        return operation.env
    return operation.pool.env


def _fits(operations: Sequence[Operation], spec: CacheSpec) -> bool:
    return all((_env(operation) or 0) < spec.env_num for operation in operations)


def _with_env(operation: Operation, number: dict[int, int]) -> Operation:
    env = _env(operation)
    if env is None:
        return operation
    if isinstance(operation, Checkout | Write):
        return replace(operation, env=number[env])
    return replace(operation, pool=init(number[env]))
