"""A failing stream of operations made small: delta debugging that keeps the *same* divergence.

The same is: of the same kind, with the same side wrong, for the same reason (the explanation without its numbers).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from kvparity.errors import UsageError
from kvparity.operations import Checkout, Clear, Get, Operation, PoolId, Set, Write, init
from kvparity.search.case import Case, Signature, first_divergence, first_shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from kvparity.caches.protocol import CacheSpec
    from kvparity.driving.comparison import Comparison
    from kvparity.results.divergence import Divergence

_FEW = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimal:
    """The smallest case that was found.

    Attributes:
        case: it.
        divergence: what it shows.
        plain_values: whether its values are the small ones of `plain`.
        tests: how many cases were tried.
        needed: the place of the last operation without which it passes; None where none was tried.
        interrupted: whether the search was stopped, or out of time, before it was done.
    """

    case: Case
    divergence: Divergence
    plain_values: bool
    tests: int
    needed: int | None
    interrupted: bool


class FlakyError(UsageError):
    """The same operations do not show the same divergence twice."""


class OutOfTimeError(Exception):
    """A search that had so much time, and no more, is not done."""


class Deadline:
    """So much time, and no more.

    Args:
        seconds: how much; None for as much as it takes.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._at = None if seconds is None else time.monotonic() + seconds

    def before_each(self, operations: Iterable[Operation]) -> Iterator[Operation]:
        """The same operations while there is time.

        Raises:
            OutOfTimeError: there is none left.
        """
        for operation in operations:
            if self._at is not None and time.monotonic() > self._at:
                raise OutOfTimeError
            yield operation


class Minimizer:
    """Makes a case smaller while its divergence stays the same. Deterministic.

    Args:
        comparison: the two caches.
        case: the stream, which shows the divergence.
        signature: the divergence to keep.
        progress: called now and then with the present number of operations and of tests.
        deadline: until when to search.
    """

    def __init__(
        self,
        comparison: Comparison,
        case: Case,
        signature: Signature,
        *,
        progress: Callable[[int, int], None] = lambda _operations, _tests: None,
        deadline: Deadline | None = None,
    ) -> None:
        self._comparison = comparison
        self._signature = signature
        self._progress = progress
        self._deadline = deadline or Deadline()
        self._tests = 0
        self._best = case
        self._plain = False
        self._needed: int | None = None

    def run(self) -> Minimal:
        """Search until nothing gets smaller, or until interrupted or out of time, which keeps the best so far.

        Raises:
            FlakyError: the case does not show the divergence, or the best one does not show it again.
        """
        interrupted = False
        try:
            self._cut_after()
            self._take(self._best.with_plain_values(), plain_values=True)
            self._search()
            if self._plain:  # numbered anew
                self._take(self._best.with_plain_values())
        except (KeyboardInterrupt, OutOfTimeError):
            interrupted = True
        found = first_divergence(self._comparison, self._best.spec, self._best.operations, self._signature)
        if found is None:
            raise self._flaky(f"{len(self._best)} operations that showed it once do not show it again")
        return Minimal(
            case=self._best,
            divergence=found,
            plain_values=self._plain,
            tests=self._tests,
            needed=self._needed,
            interrupted=interrupted,
        )

    # ------------------------------------------------------------------ inside

    def _search(self) -> None:
        self._shortest_suffix()
        before = None
        while before is not self._best:
            before = self._best
            self._shrink_spec()
            self._without_pools()
            self._ddmin()
            self._merge_environments()
            self._shrink_together()
        self._without_priorities()
        self._small_keys()
        self._one_by_one()

    def _take(self, case: Case, *, plain_values: bool = False) -> bool:
        """Make `case` the best one if it shows the divergence too."""
        self._tests += 1
        self._progress(len(self._best), self._tests)
        operations = self._deadline.before_each(case.operations)
        found = first_shown(self._comparison, case.spec, operations, self._signature)
        if found is None:
            return False
        # What comes after the divergence is not needed.
        self._best = case if found.after == len(case) else replace(case, operations=case.operations[: found.after])
        self._plain = self._plain or plain_values
        return True

    def _keep(self, operations: Sequence[Operation]) -> bool:
        return self._take(replace(self._best, operations=tuple(operations)))

    def _cut_after(self) -> None:
        if not self._take(self._best):
            raise self._flaky("the case does not show the divergence that it is to be minimized for")

    def _flaky(self, what: str) -> FlakyError:
        shown = f"{self._signature.kind}, wrong: {self._signature.wrong}"
        return FlakyError(f"{shown}: {what}; a cache that does not do the same twice cannot be minimized")

    def _shortest_suffix(self) -> None:
        """The last 1, 2, 4, ... operations, until they are enough."""
        length = 1
        operations = self._best.operations
        while length < len(operations):
            if self._keep(operations[-length:]):
                return
            length *= 2

    def _shrink_spec(self) -> None:
        """Smaller pools need fewer operations to fill."""
        spec = self._best.spec
        used = {env for operation in self._best.operations if (env := _env(operation)) is not None}
        recur = {
            (env_num, simulations)
            for env_num in (*range(max(used, default=0) + 1, spec.env_num), spec.env_num)
            for simulations in (*_smaller(spec.num_simulations), spec.num_simulations)
        }
        for env_num, simulations in sorted(recur, key=lambda size: (size[0] * size[1], size)):
            smaller = replace(spec, env_num=env_num, num_simulations=simulations)
            if smaller == spec or self._take(replace(self._best, spec=smaller)):
                break
        for slots in _smaller(spec.init_pool_size):
            if self._take(replace(self._best, spec=replace(self._best.spec, init_pool_size=slots))):
                break

    def _shrink_together(self) -> None:
        """A slot and an operation fewer, again and again: neither alone may show the divergence."""
        while len(self._best) <= _FEW and (
            self._drop_slot_and_operation("recur") or self._drop_slot_and_operation("init")
        ):
            pass

    def _drop_slot_and_operation(self, family: str) -> bool:
        best = self._best
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
                if _fits(operations, each) and self._take(Case(spec=each, operations=operations)):
                    return True
        return False

    def _without_pools(self) -> None:
        for pool in {_pool(operation) for operation in self._best.operations}:
            rest = [operation for operation in self._best.operations if _pool(operation) != pool]
            if len(rest) < len(self._best):
                self._keep(rest)

    def _ddmin(self) -> None:
        """Zeller's delta debugging: leave out ever smaller parts."""
        parts = 2
        while len(self._best) > 1:
            operations = self._best.operations
            parts = min(parts, len(operations))
            bounds = [len(operations) * part // parts for part in range(parts + 1)]
            for start, stop in pairwise(bounds):
                if self._keep(operations[:start] + operations[stop:]):
                    parts = max(parts - 1, 2)
                    break
            else:
                if parts == len(operations):
                    return
                parts *= 2

    def _one_by_one(self) -> None:
        """No single operation can be left out; remember the last one whose absence makes the rest pass."""
        at = 0
        while at < len(self._best):
            operations = self._best.operations
            if self._keep(operations[:at] + operations[at + 1 :]):
                at = 0
            else:
                at += 1
        self._needed = max(len(self._best) - 2, 0)

    def _merge_environments(self) -> None:
        """Environments renumbered from 0."""
        used = sorted({env for operation in self._best.operations if (env := _env(operation)) is not None})
        number = {env: at for at, env in enumerate(used)}
        if any(env != at for env, at in number.items()):
            self._keep([_with_env(operation, number) for operation in self._best.operations])

    def _without_priorities(self) -> None:
        if any(isinstance(operation, Set) and operation.priority is not None for operation in self._best.operations):
            self._keep(
                [
                    replace(operation, priority=None) if isinstance(operation, Set) else operation
                    for operation in self._best.operations
                ]
            )

    def _small_keys(self) -> None:
        number: dict[int, int] = {}
        operations: list[Operation] = []
        for operation in self._best.operations:
            if isinstance(operation, Set | Get | Checkout):
                key = number.setdefault(operation.key, len(number) + 1)
                operations.append(replace(operation, key=key))
            else:
                operations.append(operation)
        self._keep(operations)


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
