"""How long single operations took, as a distribution: means hide the stalls that a search waits for."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_PER_OCTAVE = 8  # buckets: neighbouring ones differ by 9 %


@dataclass(slots=True, kw_only=True)
class Latency:
    """Durations, counted in buckets of 9 % width.

    Attributes:
        counts: by bucket, see `lower_ns`.
        longest_ns: the longest, exactly.
    """

    counts: dict[int, int] = field(default_factory=dict)
    longest_ns: int = 0

    @property
    def samples(self) -> int:
        """How many were counted."""
        return sum(self.counts.values())

    @property
    def mean_ns(self) -> float | None:
        """Their mean, to within a few percent; None where there are none."""
        if not self.counts:
            return None
        return sum([lower_ns(bucket + 0.5) * count for bucket, count in self.counts.items()]) / self.samples

    def add(self, elapsed_ns: int) -> None:
        """Count one."""
        bucket = math.floor(_PER_OCTAVE * math.log2(max(elapsed_ns, 1)))
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.longest_ns = max(self.longest_ns, elapsed_ns)

    def __iadd__(self, other: Latency) -> Latency:
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.longest_ns = max(self.longest_ns, other.longest_ns)
        return self

    def as_dict(self) -> dict[str, Any]:
        """For JSON, whose names are texts."""
        counts = {str(bucket): count for bucket, count in sorted(self.counts.items())}
        return {"counts": counts, "longest_ns": self.longest_ns}

    def quantile_ns(self, q: float) -> float | None:
        """The duration below which the share `q` of all lie, to within a bucket; None where there are none."""
        rank = q * self.samples
        below = 0
        for bucket, count in sorted(self.counts.items()):
            below += count
            if below >= rank:
                return min(lower_ns(bucket + 0.5), float(self.longest_ns))
        return None


def lower_ns(bucket: float) -> float:
    """Where a bucket begins; it ends where the next one begins."""
    return float(2 ** (bucket / _PER_OCTAVE))


class Stopwatch:
    """Times what one side does, by kind of operation."""

    def __init__(self) -> None:
        self.kind = ""
        self.taken: dict[str, Latency] = {}

    def run(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call `call`, and count how long it took, whether it raised or not."""
        began = time.perf_counter_ns()
        try:
            return call(*arguments, **options)
        finally:
            self.taken.setdefault(self.kind, Latency()).add(time.perf_counter_ns() - began)
