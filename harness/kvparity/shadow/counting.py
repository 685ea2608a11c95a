"""`OperationCounts`: how many operations there were, and how many lookups were compared."""

from __future__ import annotations

from collections import Counter


class OperationCounts:
    """Counts operations, and numbers them.

    Args:
        compare_every: compare each N-th lookup only.

    Attributes:
        number: of the operation under way, or of the last one; -1 before the first.
        next_number: of the next operation. Set it to drive a part of a longer stream.
        calls: operations that were begun, which is all but the consumer's writes.
        done: operations, by kind.
        gets_compared: lookups that were compared; of these, `values_compared` were hits on both sides.
    """

    def __init__(self, *, compare_every: int = 1) -> None:
        self.number = -1
        self.next_number = 0
        self.calls = 0
        self.done = dict.fromkeys(("set", "get", "checkout", "clear", "write"), 0)
        self.gets_compared = 0
        self.values_compared = 0
        self._compare_every = compare_every
        self._lookups = 0

    @property
    def operations(self) -> Counter[str]:
        """How many of each kind there were."""
        return +Counter(self.done)

    def begin(self, kind: str) -> int:
        """Count another operation of that kind. Returns its number."""
        number = self.number = self.next_number
        self.next_number = number + 1
        self.calls += 1
        self.done[kind] += 1
        return number

    def count_write(self) -> None:
        """The caller wrote into a working copy, which counts as an operation without a number."""
        self.done["write"] += 1

    def compares_next(self) -> bool:
        """Whether the lookup that comes now is compared."""
        if self._compare_every == 1:
            return True
        self._lookups += 1
        return (self._lookups - 1) % self._compare_every == 0
