"""`Result`: the numbers and divergences of a comparison, independent of how they are shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from kvparity.evidence import Coverage, Latency, Provenance, Timeline
from kvparity.results.divergence import BEHAVIOUR, CORRUPTION, SEVERITIES, SIDES, Divergence
from kvparity.values.difference import Tolerance  # noqa: TC001  `type_check` reads the annotation

if TYPE_CHECKING:
    from collections import Counter

    from kvparity.caches.protocol import CacheSpec

SCHEMA = 1
FAIL_ON = ("corruption", "behaviour", "never")
Table: TypeAlias = dict[str, dict[str, dict[str, int | None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAnswers:
    """How the answers of the reference compare with the answers recorded in a trace.

    Attributes:
        given: lookups with a recorded answer.
        reproduced: lookups that the reference answered as recorded.
        first_other: the first that it answered differently, in words.
    """

    given: int = 0
    reproduced: int = 0
    first_other: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCase:
    """One way in which two caches differ, kept as a trace.

    Attributes:
        kind: of the divergence; `wrong` and `explanation` likewise.
        operations: number of operations in the trace.
        reproducible: whether the same operations showed it again; otherwise it could not be minimized.
        trace: path of the file.
    """

    kind: str
    wrong: str
    explanation: str
    operations: int
    reproducible: bool
    trace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingAccount:
    """How a training was shadowed, and what that cost.

    Attributes:
        models: names of the world models.
        serve: the side whose answers the training got.
        compare_every: every N-th lookup was compared.
        passed_over: lookups while shadowing paused to keep to its share of wall time.
        shadow_s: wall time of shadowing.
        wall_s: wall time of the training.
        stopped: why the candidate was removed before the end; None if it was not.
        stopped_after_s: wall time until then.
        stopped_after_operations: operations that the candidate had done or tried until then, in all world models.
    """

    models: tuple[str, ...]
    serve: str
    compare_every: int
    passed_over: int
    shadow_s: float
    wall_s: float
    stopped: str | None
    stopped_after_s: float | None = None
    stopped_after_operations: int | None = None

    @property
    def share(self) -> float:
        """The share of wall time that shadowing took, from 0 to 1."""
        return self.shadow_s / self.wall_s if self.wall_s else 0.0


@dataclass(slots=True, kw_only=True)
class Result:
    """One workload through two caches, or several added up.

    Attributes:
        workload: its name.
        spec: the sizes of the caches; None if workloads with different sizes were added.
        reference: name of the cache that is trusted, and served the workload.
        candidate: name of the cache under test.
        operations: number of operations by kind.
        gets_compared: lookups that were compared, hits and misses.
        values_compared: lookups that hit on both sides, so that tensors were compared.
        total: divergences.
        unexpected: divergences that are not known, by severity.
        by_kind: divergences by kind.
        by_side: divergences by who is wrong.
        by_known: known divergences by the reason why they are accepted.
        by_group: divergences by kind and who is wrong.
        first: the first divergence of each group.
        kept: the first divergences.
        stats: by side and pool. Hits and misses are those that were observed, or those that the cache reports if wrong
            answers leave that open; evictions, length and bytes are those that the cache reports.
        elapsed_s: wall time.
        seed: of the workload; None if it has none.
        interrupted: whether it was stopped early.
        ended_early: whether the replayed trace is a recording that ended before it was closed.
        recorded: how the reference compares with the answers in a trace; None without answers.
        examples: number of examples, in fuzzing; otherwise None.
        cases: what fuzzing kept.
        missing: parts of the run without a result, such as `rank 1`.
        training: how a real training was shadowed; None for any other workload.
        coverage: what was exercised.
        timeline: counts over time; empty if they were not kept.
        latencies: durations of a sample of the operations, by side and kind.
        provenance: where the result comes from; None if that was not recorded.
        programs: by group, a minimal program that shows its first divergence.
        tolerances: how far numbers could differ, in a sum each tolerance that was used; empty if bits had to be equal.
        runs: the single results of a sum; empty if this is none.
    """

    workload: str
    spec: CacheSpec | None
    reference: str
    candidate: str
    operations: Counter[str]
    gets_compared: int
    values_compared: int
    total: int
    unexpected: Counter[str]
    by_kind: Counter[str]
    by_side: Counter[str]
    by_known: Counter[str]
    by_group: Counter[tuple[str, str]]
    first: dict[tuple[str, str], Divergence]
    kept: list[Divergence]
    stats: Table
    elapsed_s: float
    seed: int | None = None
    interrupted: bool = False
    ended_early: bool = False
    recorded: RecordedAnswers | None = None
    examples: int | None = None
    cases: list[KeptCase] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    training: TrainingAccount | None = None
    coverage: Coverage = field(default_factory=Coverage)
    timeline: Timeline = field(default_factory=Timeline)
    latencies: dict[str, dict[str, Latency]] = field(default_factory=dict)
    provenance: Provenance | None = None
    programs: dict[tuple[str, str], str] = field(default_factory=dict)
    tolerances: list[Tolerance] = field(default_factory=list)
    runs: list[Result] = field(default_factory=list)

    @property
    def single_runs(self) -> list[Result]:
        """The single results of a sum; a single result, itself."""
        return [single for run in self.runs for single in run.single_runs] or [self]

    @property
    def candidate_s(self) -> float | None:
        """Wall time of the candidate's own calls, estimated from a sample; None if none was timed."""
        timed = {kind: latency.mean_ns for kind, latency in self.latencies.get("candidate", {}).items()}
        means = [(self.operations[kind], mean_ns) for kind, mean_ns in timed.items() if mean_ns is not None]
        return sum([count * mean_ns for count, mean_ns in means]) / 1e9 if means else None

    @property
    def operations_total(self) -> int:
        """The number of all operations."""
        return sum(self.operations.values())

    @property
    def within(self) -> str:
        """How far numbers could differ, in words; empty if bits had to be equal."""
        return " or ".join(map(_in_words, self.tolerances))

    @property
    def stopped(self) -> str | None:
        """Why the candidate was removed from a training, the first of several; None if it was not."""
        accounts = [run.training for run in self.runs or [self] if run.training is not None]
        return next((account.stopped for account in accounts if account.stopped), None)

    def fails(self, fail_on: str) -> bool:
        """Whether the result fails under `--fail-on`; a missing part counts as corruption."""
        if fail_on == "never":
            return False
        return (
            bool(self.missing)
            or self.unexpected[CORRUPTION] > 0
            or (fail_on == "behaviour" and self.unexpected[BEHAVIOUR] > 0)
        )

    def count(self, severity: str) -> int:
        """Divergences of that severity, including known ones."""
        return sum(n for kind, n in self.by_kind.items() if SEVERITIES[kind] == severity)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        result: dict[str, Any] = {
            "schema": SCHEMA,
            "spec": None if self.spec is None else asdict(self.spec),
            "reference": self.reference,
            "candidate": self.candidate,
            "workload": self.workload,
            "seed": self.seed,
            "interrupted": self.interrupted,
            "operations": dict(self.operations),
            "gets_compared": self.gets_compared,
            "values_compared": self.values_compared,
            "divergences": {
                "total": self.total,
                "unexpected": sum(self.unexpected.values()),
                "unexpected_by_severity": {severity: self.unexpected[severity] for severity in (CORRUPTION, BEHAVIOUR)},
                "by_kind": dict(self.by_kind),
                "by_severity": {severity: self.count(severity) for severity in (CORRUPTION, BEHAVIOUR)},
                "by_side": {side: self.by_side[side] for side in SIDES},
                "known": dict(self.by_known),
            },
            "first": [
                {**divergence.as_dict(), "count": self.by_group[group], "program": self.programs.get(group)}
                for group, divergence in self.first.items()
            ],
            "stats": self.stats,
            "coverage": asdict(self.coverage),
            "timing": {
                "elapsed_s": self.elapsed_s,
                "operations_per_s": self.operations_total / self.elapsed_s if self.elapsed_s else None,
            },
        }
        if self.ended_early:
            result["recording_ended_early"] = True
        if self.recorded is not None:
            result["recorded_answers"] = asdict(self.recorded)
        if self.examples is not None:
            result["fuzzing"] = {"examples": self.examples, "cases": [asdict(case) for case in self.cases]}
        if self.missing:
            result["missing"] = self.missing
        if self.tolerances:
            result["tolerances"] = [asdict(tolerance) for tolerance in self.tolerances]
        if self.training is not None:
            result["training"] = {**asdict(self.training), "share": self.training.share}
        if self.provenance is not None:
            result["provenance"] = asdict(self.provenance)
        if not self.runs:
            result["kept"] = [divergence.as_dict() for divergence in self.kept]
            result["timeline"] = asdict(self.timeline)
            result["latencies"] = {
                side: {kind: latency.as_dict() for kind, latency in kinds.items()}
                for side, kinds in self.latencies.items()
            }
        else:
            result["runs"] = [run.as_dict() for run in self.runs]
        return result


def _in_words(tolerance: Tolerance) -> str:
    if tolerance.rtol is None or tolerance.atol is None:
        return "torch's own tolerance"
    return f"rtol {tolerance.rtol:g}, atol {tolerance.atol:g}"
