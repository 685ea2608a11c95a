"""What a comparison came to: numbers and divergences, apart from how they are shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from kvparity.evidence import Coverage, Latency, Provenance, Timeline
from kvparity.results.divergence import BEHAVIOUR, CORRUPTION, SEVERITIES, SIDES, Divergence
from kvparity.values.difference import Tolerance  # noqa: TC001  read at run time, by whoever looks at what was read

if TYPE_CHECKING:
    from collections import Counter

    from kvparity.caches.protocol import CacheSpec

SCHEMA = 1
FAIL_ON = ("corruption", "behaviour", "never")
Table: TypeAlias = dict[str, dict[str, dict[str, int | None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAnswers:
    """How the reference compares with the answers that a trace carries.

    Attributes:
        given: lookups with a recorded answer.
        reproduced: of these, the ones that the reference answered alike.
        first_other: the first that it did not, in words.
    """

    given: int = 0
    reproduced: int = 0
    first_other: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCase:
    """One way in which two caches part, kept as a trace.

    Attributes:
        kind: of the divergence; `wrong` and `explanation` likewise.
        operations: of the trace.
        reproducible: whether the same operations showed it again; one that is not could not be made small.
        trace: the file.
    """

    kind: str
    wrong: str
    explanation: str
    operations: int
    reproducible: bool
    trace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingAccount:
    """How a training was shadowed, and what that cost it.

    Attributes:
        models: the names of its world models.
        serve: whose answers the training got.
        compare_every: each N-th lookup was compared.
        passed_over: lookups that came while shadowing paused, to keep to its share of wall time.
        shadow_s: wall time that shadowing took.
        wall_s: wall time in all.
        stopped: why the candidate was taken out before the end; None where it was not.
        stopped_after_s: the wall time until then.
        stopped_after_operations: those that the candidate had done or tried, of all world models.
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
        """Of wall time that shadowing took."""
        return self.shadow_s / self.wall_s if self.wall_s else 0.0


@dataclass(slots=True, kw_only=True)
class Result:
    """One workload through two caches, or several of them added up.

    Attributes:
        workload: its name.
        spec: the sizes; None where several workloads differ in it.
        reference: name of the side that served.
        candidate: name of the side on trial.
        operations: how many of each kind.
        gets_compared: lookups compared, hits and misses.
        values_compared: lookups that hit on both sides, so that tensors were compared.
        total: divergences.
        unexpected: of these, by severity, the ones that are not known.
        by_kind: all, by kind.
        by_side: all, by who is wrong.
        by_known: the known ones, by the reason given.
        by_group: all, by (kind, who is wrong).
        first: the first of each group, whole.
        kept: the first ones, whole.
        stats: per side and pool: hits and misses as seen from outside (as the cache says, where wrong answers left
            that open); evictions, length and bytes as the cache says.
        elapsed_s: wall time.
        seed: of the workload, where it has one.
        interrupted: whether it was stopped early.
        ended_early: whether what was replayed is a recording that nobody finished.
        recorded: how the reference compares with a trace's own answers; None where there are none.
        examples: how many streams of operations were tried, where they are many: in fuzzing.
        cases: what fuzzing kept.
        missing: parts of the run of which there is no result, such as `rank 1`.
        training: how a real training was shadowed; None for any other workload.
        coverage: what was exercised.
        timeline: how it went; empty where that was not kept.
        latencies: by side and kind of operation, how long a sample of them took.
        provenance: where it comes from; None where that was not asked for.
        programs: by group, a minimal program that shows its first divergence, where one was made.
        tolerances: how far numbers were let lie apart, of a sum each that was used; empty where bits had to be equal.
        runs: the single results, where this is a sum.
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
    def candidate_s(self) -> float | None:
        """Wall time of the candidate's own calls, as a sample of them tells; None where none was timed."""
        timed = {kind: latency.mean_ns for kind, latency in self.latencies.get("candidate", {}).items()}
        means = [(self.operations[kind], mean_ns) for kind, mean_ns in timed.items() if mean_ns is not None]
        return sum([count * mean_ns for count, mean_ns in means]) / 1e9 if means else None

    @property
    def operations_total(self) -> int:
        """All operations."""
        return sum(self.operations.values())

    @property
    def within(self) -> str:
        """How far numbers were let lie apart, in words; empty where bits had to be equal."""
        return " or ".join(map(_in_words, self.tolerances))

    @property
    def stopped(self) -> str | None:
        """Why the candidate was taken out of a training, or out of the first of several in which it was."""
        accounts = [run.training for run in self.runs or [self] if run.training is not None]
        return next((account.stopped for account in accounts if account.stopped), None)

    def fails(self, fail_on: str) -> bool:
        """Whether `--fail-on` counts what was found; what is missing counts as the worst that it could be."""
        if fail_on == "never":
            return False
        return (
            bool(self.missing)
            or self.unexpected[CORRUPTION] > 0
            or (fail_on == "behaviour" and self.unexpected[BEHAVIOUR] > 0)
        )

    def count(self, severity: str) -> int:
        """Divergences of that severity, known ones included."""
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
