"""How long operations took, as a distribution: a mean hides the stalls for which a search waits."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_PER_OCTAVE = 8  # buckets: neighbours differ by 9 %


@dataclass(slots=True, kw_only=True)
class Latency:
    """Durations, counted in buckets of 9 % width.

    Attributes:
        counts: by bucket, see `lower_ns`.
        longest_ns: the longest duration, exact.
    """

    counts: dict[int, int] = field(default_factory=dict)
    longest_ns: int = 0

    @property
    def samples(self) -> int:
        """The number of durations."""
        return sum(self.counts.values())

    @property
    def mean_ns(self) -> float | None:
        """The mean, to a few percent; None without samples."""
        if not self.counts:
            return None
        return sum([lower_ns(bucket + 0.5) * count for bucket, count in self.counts.items()]) / self.samples

    def add(self, elapsed_ns: int) -> None:
        """Count one duration."""
        bucket = math.floor(_PER_OCTAVE * math.log2(max(elapsed_ns, 1)))
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.longest_ns = max(self.longest_ns, elapsed_ns)

    def __iadd__(self, other: Latency) -> Latency:
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.longest_ns = max(self.longest_ns, other.longest_ns)
        return self

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the buckets become strings."""
        counts = {str(bucket): count for bucket, count in sorted(self.counts.items())}
        return {"counts": counts, "longest_ns": self.longest_ns}

    def quantile_ns(self, q: float) -> float | None:
        """The duration below which the share `q` of all lie, to one bucket; None without samples."""
        rank = q * self.samples
        below = 0
        for bucket, count in sorted(self.counts.items()):
            below += count
            if below >= rank:
                return min(lower_ns(bucket + 0.5), float(self.longest_ns))
        return None


def lower_ns(bucket: float) -> float:
    """The lower bound of a bucket; it ends where the next one begins."""
    return float(2 ** (bucket / _PER_OCTAVE))


class Stopwatch:
    """Times the calls of one side.

    Attributes:
        kind: of the next operation.
        taken: durations by kind of operation.
    """

    def __init__(self) -> None:
        self.kind = ""
        self.taken: dict[str, Latency] = {}

    def run(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call `call` and count its duration, also if it raises."""
        began = time.perf_counter_ns()
        try:
            return call(*arguments, **options)
        finally:
            self.taken.setdefault(self.kind, Latency()).add(time.perf_counter_ns() - began)
