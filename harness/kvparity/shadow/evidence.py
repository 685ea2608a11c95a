"""`Evidence`: what is kept of a run of one `ShadowCache` besides its divergences."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kvparity.evidence.history import History
from kvparity.evidence.latency import Stopwatch
from kvparity.evidence.memory import resident_bytes
from kvparity.evidence.timeline import Pace
from kvparity.results.divergence import BEHAVIOUR, CORRUPTION

if TYPE_CHECKING:
    from kvparity.evidence.latency import Latency
    from kvparity.evidence.timeline import Account, Timeline
    from kvparity.results.divergence import DivergenceLog
    from kvparity.shadow.side import Side

SAMPLE_EVERY = 17  # a prime: searches alternate between lookups and sets
SIDES = ("reference", "candidate")
_POOLS_APART = 16
_SHARE = 0.005
_ALLOWED_S = 0.02  # in advance, so that short runs have a timeline, too


class Evidence:
    """Collects, at little cost: the history of keys, how counts grew, and how long a sample of operations took.

    Args:
        timed: the sides whose operations are worth timing.
        share: of wall time that asking the caches what they count may take: their statistics may be slow.

    Attributes:
        history: what was done to which key.
        began: when it began, in seconds of `time.perf_counter`.
    """

    def __init__(self, *, timed: tuple[str, ...] = SIDES, share: float = _SHARE) -> None:
        self.history = History()
        self.began = time.perf_counter()
        self._pace = Pace()
        self._share = share
        self._looking_s = self._last_look_s = 0.0
        self._watches = {role: Stopwatch() for role in timed}

    @property
    def timeline(self) -> Timeline:
        """How counts grew."""
        return self._pace.timeline

    @property
    def latencies(self) -> dict[str, dict[str, Latency]]:
        """How long operations took, by side and kind: of each `SAMPLE_EVERY`-th operation."""
        return {role: watch.taken for role, watch in self._watches.items()}

    def watch(self, role: str, kind: str) -> Stopwatch | None:
        """What times an operation of that kind on one side; None where that is not timed."""
        watch = self._watches.get(role)
        if watch is not None:
            watch.kind = kind
        return watch

    def look(self, operations: int, sides: tuple[Side, Side], log: DivergenceLog) -> None:
        """Add a point to the timeline where one is due, and looking has not taken too much time so far."""
        if operations < self._pace.next_at:
            return
        if self._looking_s <= _ALLOWED_S + self._share * (time.perf_counter() - self.began):
            self.add_point(operations, sides, log)

    def add_point(self, operations: int, sides: tuple[Side, Side], log: DivergenceLog) -> None:
        """Add a point to the timeline, unless it has one of this very moment."""
        if self.timeline.operations[-1:] == [operations]:
            return
        elapsed_s = time.perf_counter() - self.began
        self.timeline.add(
            operations=operations,
            elapsed_s=elapsed_s,
            corruption=log.count(CORRUPTION),
            behaviour=log.count(BEHAVIOUR),
            resident_bytes=resident_bytes(),
            sides={side.role: _grouped(side.account()) for side in sides},
        )
        self._pace.added()
        took_s = time.perf_counter() - self.began - elapsed_s
        # Charge the smaller of the two times, so that one interrupted look cannot use up the whole budget.
        self._looking_s += min(took_s, self._last_look_s)
        self._last_look_s = took_s


class Sampler:
    """Times each `SAMPLE_EVERY`-th operation of both sides, and then adds a point to the timeline where one is due.

    Args:
        evidence: keeps the times and the timeline.
        sides: the reference and the candidate.
        log: the divergences, whose counts are in the timeline.
    """

    def __init__(self, evidence: Evidence, sides: tuple[Side, Side], log: DivergenceLog) -> None:
        self._evidence = evidence
        self._sides = sides
        self._log = log

    def start(self, kind: str, operations: int) -> None:
        """Time the operation that comes now."""
        for side in self._sides:
            side.stopwatch = self._evidence.watch(side.role, kind)
        self._evidence.look(operations, self._sides, self._log)

    def stop(self) -> None:
        """Time no further operations."""
        for side in self._sides:
            side.stopwatch = None

    def add_point(self, operations: int) -> None:
        """Add a point to the timeline."""
        self._evidence.add_point(operations, self._sides, self._log)


def _grouped(pools: dict[str, dict[str, int | None]]) -> dict[str, dict[str, int | None]]:
    """The pools one by one or, where they are many, by family."""
    if len(pools) <= _POOLS_APART:
        return pools
    families: Account = {"": {}}
    for pool, counted in pools.items():
        family = pool.partition("[")[0]
        total = families[""].setdefault(family, dict.fromkeys(counted, 0))
        for name, number in counted.items():
            before = total[name]
            total[name] = None if before is None or number is None else before + number
    return families[""]
