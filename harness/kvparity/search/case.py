"""A case: operations for caches of one spec, and the divergence that they show."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from kvparity.driving.driver import Driver, step
from kvparity.operations import Operation, Set
from kvparity.results.divergence import Divergence, DivergenceLog
from kvparity.values.entry import KeysValues
from kvparity.values.fingerprints import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kvparity.caches.protocol import CacheSpec
    from kvparity.driving.comparison import Comparison
    from kvparity.results.divergence import KnownDifference

_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


class Signature(NamedTuple):
    """What makes two divergences the same one: kind, side and reason (the explanation without its numbers)."""

    kind: str
    wrong: str
    explanation: str

    @classmethod
    def of(cls, divergence: Divergence) -> Signature:
        """The signature of `divergence`."""
        return cls(divergence.kind, divergence.wrong, _NUMBER.sub("#", divergence.explanation))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A stream of operations for caches of one spec."""

    spec: CacheSpec
    operations: tuple[Operation, ...]

    def __len__(self) -> int:
        return len(self.operations)

    def with_plain_values(self) -> Case:
        """The same operations with small values: equal values stay equal, different values stay different."""
        numbers: dict[bytes, int] = {}
        operations: list[Operation] = []
        for operation in self.operations:
            if isinstance(operation, Set):
                number = numbers.setdefault(fingerprint(operation.value), len(numbers) + 1)
                operations.append(replace(operation, value=plain(number)))
            else:
                operations.append(operation)
        return replace(self, operations=tuple(operations))


def plain(number: int) -> KeysValues:
    """A small value, different for each number: one layer, `[1, 1, 2, 2]` float32, every element is `number`."""
    value = KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=2, head_dim=2, size=1)
    assert value._row is not None
    value._row.fill_(number)
    return value


class Shown(NamedTuple):
    """A divergence, and how many operations had been done when it was noticed.

    The divergence may have a smaller number: a change of something that was lent is noticed later, and reported for the
    operation that lent it.
    """

    divergence: Divergence
    after: int


def first_shown(
    comparison: Comparison, spec: CacheSpec, operations: Iterable[Operation], wanted: Signature | None = None
) -> Shown | None:
    """The first unexpected divergence that the operations show, of the signature `wanted` or of any."""
    log = _Watch(comparison.known, wanted)
    shadow = comparison.shadow(spec, log)
    driver = Driver(shadow)
    done = 0
    for number, operation in enumerate(operations):
        step(driver, shadow, operation, number)
        done = number + 1
        if log.found is not None:
            return Shown(log.found, done)
    shadow.check_stats()
    return None if log.found is None else Shown(log.found, done)


def first_divergence(
    comparison: Comparison, spec: CacheSpec, operations: Iterable[Operation], wanted: Signature | None = None
) -> Divergence | None:
    """The divergence of `first_shown`, without the time at which it was noticed."""
    shown = first_shown(comparison, spec, operations, wanted)
    return None if shown is None else shown.divergence


class _Watch(DivergenceLog):
    """Keeps only the first unexpected divergence of the signature `wanted`, or of any."""

    def __init__(self, known: Sequence[KnownDifference], wanted: Signature | None) -> None:
        super().__init__(known)
        self._wanted = wanted
        self.found: Divergence | None = None

    def wants_explanation(self, kind: str, wrong: str) -> bool:
        return self._wanted is None or (kind, wrong) == self._wanted[:2]

    def add(self, divergence: Divergence) -> Divergence:
        wanted = self.found is None and self._wanted in (None, Signature.of(divergence))
        if wanted and not any(known.accepts(divergence, self.today) for known in self.known):
            self.found = divergence
        return divergence
