"""`Trial`: does operations to two caches one by one, and ends with the first new divergence."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NoReturn

from kvparity.driving.driver import Driver, step
from kvparity.results.divergence import DivergenceLog
from kvparity.search.case import Case, Signature, first_divergence
from kvparity.search.program import program

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from kvparity.caches.protocol import CacheSpec
    from kvparity.driving.comparison import Comparison
    from kvparity.operations import Operation
    from kvparity.results.divergence import Divergence, KnownDifference


class PartedError(AssertionError):
    """Two caches differ. The text says how, followed by a program that shows it.

    Attributes:
        divergence: how they differ.
        case: the operations so far.
        comparison: the two caches.
    """

    def __init__(self, divergence: Divergence, case: Case, comparison: Comparison) -> None:
        super().__init__(divergence, case, comparison)
        self.divergence = divergence
        self.case = case
        self.comparison = comparison

    def __str__(self) -> str:
        divergence, case, names = self.divergence, self.case, (self.comparison.reference, self.comparison.candidate)
        plain = case.with_plain_values()
        same = first_divergence(self.comparison, plain.spec, plain.operations, Signature.of(divergence)) is not None
        source = program(plain, names=names, plain=True) if same else program(case, names=names)
        parts = (
            f"{divergence.kind}, wrong: {divergence.wrong}, at operation {divergence.number}",
            divergence.explanation,
            divergence.difference,
            source,
        )
        return "\n".join(part for part in parts if part)


class Trial:
    """Does operations to two caches, and compares them after each.

    Args:
        comparison: the two caches.
        spec: their sizes.
        log: where divergences go; several trials may share one. None makes a new one with the comparison's known
            differences.
        passed_over: signatures of divergences that do not end the trial.

    Attributes:
        shadow: the two caches.
        operations: done so far.
    """

    def __init__(
        self,
        comparison: Comparison,
        spec: CacheSpec,
        *,
        log: NewsLog | None = None,
        passed_over: Container[Signature] = (),
    ) -> None:
        self._comparison = comparison
        self._log = NewsLog(comparison.known) if log is None else log
        self._passed_over = passed_over
        self.shadow = comparison.shadow(spec, self._log)
        self.operations: list[Operation] = []
        self._driver = Driver(self.shadow)

    def apply(self, operation: Operation) -> None:
        """Do one operation to both caches.

        Raises:
            PartedError: they differ in a way that is neither known nor passed over.
        """
        number = len(self.operations)
        self.operations.append(operation)
        step(self._driver, self.shadow, operation, number)
        self._raise_news()

    def check_stats(self) -> None:
        """Compare the counters of each cache with what was observed.

        Raises:
            PartedError: they differ.
        """
        self.shadow.check_stats()
        self._raise_news()

    def diverged(self, divergence: Divergence) -> NoReturn:
        """End the trial with a new divergence.

        Raises:
            PartedError: always.
        """
        raise _error_of(Signature.of(divergence))(divergence, self.case, self._comparison)

    @property
    def case(self) -> Case:
        """The operations so far."""
        return Case(spec=self.shadow.spec, operations=tuple(self.operations))

    def _raise_news(self) -> None:
        for divergence in self._log.news():
            if Signature.of(divergence) not in self._passed_over:
                self.diverged(divergence)


class NewsLog(DivergenceLog):
    """A log that explains every divergence and hands out the new ones."""

    def __init__(self, known: Sequence[KnownDifference] = ()) -> None:
        super().__init__(known)
        self._news: list[Divergence] = []

    def wants_explanation(self, kind: str, wrong: str) -> bool:  # noqa: ARG002
        """Always: the explanation is part of a divergence's signature."""
        return True

    def add(self, divergence: Divergence) -> Divergence:
        """Count it, and hand it out with the next `news` if it is not known."""
        divergence = super().add(divergence)
        if divergence.known is None:
            self._news.append(divergence)
        return divergence

    def news(self) -> list[Divergence]:
        """The unexpected divergences since the last call."""
        news = self._news
        if news:
            self._news = []
        return news


@cache
def _error_of(signature: Signature) -> type[PartedError]:
    """An exception type for each signature: Hypothesis distinguishes failures by type and line."""
    return type("PartedError", (PartedError,), {"__module__": __name__, "__doc__": signature.explanation})
