"""The verdict on a training with each cache, and on a third one that shows how well the training repeats itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kvparity.training.paired.curves import Likeness, compare_curves

if TYPE_CHECKING:
    from kvparity.training.paired.curves import Curves, Parting

SAME, DIFFERENT, INCONCLUSIVE = "SAME", "DIFFERENT", "INCONCLUSIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """One training.

    Attributes:
        name: `reference`, `candidate`, `reference again` or `explained`.
        served_by: name of the cache whose answers the model got.
        status: the script's exit status.
        wall_s: seconds from the first inference to the end.
        iterations: iterations of the learner.
        samples: samples that the learner learnt from.
        peak_bytes: the most memory that the process held, in bytes.
        mean_bytes: the memory that it held on average over the iterations, in bytes.
        stats: hits, misses and evictions of the serving cache for each family of pools, and under `lookups` those of
            all lookups, counted where they are made.
        curves: what was logged.
        first_divergence: the first divergence of the two caches in words; empty if only one was there.
    """

    name: str
    served_by: str
    status: int
    wall_s: float
    iterations: int
    samples: int
    peak_bytes: int
    mean_bytes: float
    stats: dict[str, dict[str, int | None]]
    curves: Curves
    first_divergence: str = ""

    @property
    def samples_per_s(self) -> float:
        """Samples that the learner learnt from, per second of the training."""
        return self.samples / self.wall_s if self.wall_s else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON. It has the lengths of the curves; their numbers are in files of their own."""
        fields = asdict(self)
        fields["curves"] = {name: len(values) for name, values in self.curves.items()}
        return {**fields, "samples_per_s": self.samples_per_s}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Three trainings, and the verdict on them.

    Attributes:
        reference: the training served by the reference.
        candidate: the training served by the candidate.
        again: the training served by the reference once more.
        likeness: what differs between the reference's and the candidate's training.
        noise: what differs between the reference's two trainings.
        verdict: `SAME` if every number is equal to the last bit; `DIFFERENT` if a number differs at a step up to which
            the reference repeats itself, or if the candidate's training failed; otherwise `INCONCLUSIVE`.
        reason: the reason for the verdict, in one sentence.
        caches_part_at: the first divergence of the two caches in words; empty if no fourth training looked for it.
    """

    reference: TrainingRun
    candidate: TrainingRun
    again: TrainingRun
    likeness: Likeness
    noise: Likeness
    verdict: str
    reason: str
    caches_part_at: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "schema": 1,
            "verdict": self.verdict,
            "reason": self.reason,
            "caches_part_at": self.caches_part_at,
            "likeness": _likeness(self.likeness),
            "noise": _likeness(self.noise),
            "trainings": [run.as_dict() for run in (self.reference, self.candidate, self.again)],
        }


def _likeness(likeness: Likeness) -> dict[str, Any]:
    """For JSON, with the partings in words: JSON has neither NaN nor infinity."""
    partings = [str(parting) for parting in likeness.partings]
    return {"alike": likeness.alike, "curves": likeness.curves, "numbers": likeness.numbers, "partings": partings}


def pair(reference: TrainingRun, candidate: TrainingRun, again: TrainingRun) -> Paired:
    """Compare the candidate's training with the reference's, and the reference's two trainings with each other."""
    likeness = compare_curves(reference.curves, candidate.curves)
    noise = compare_curves(reference.curves, again.curves)
    verdict, reason = _verdict_of(likeness, noise, (reference, candidate, again))
    return Paired(
        reference=reference,
        candidate=candidate,
        again=again,
        likeness=likeness,
        noise=noise,
        verdict=verdict,
        reason=reason,
    )


def _verdict_of(
    likeness: Likeness, noise: Likeness, runs: tuple[TrainingRun, TrainingRun, TrainingRun]
) -> tuple[str, str]:
    return _ended_badly(*runs) or _compared(likeness, noise)


def _ended_badly(reference: TrainingRun, candidate: TrainingRun, again: TrainingRun) -> tuple[str, str] | None:
    """The verdict if a training failed, or if the candidate served nothing; otherwise None."""
    for run in (reference, again):
        if run.status:
            return INCONCLUSIVE, f"the training {run.name}, served by {run.served_by}, ended with status {run.status}"
    if candidate.status:
        return DIFFERENT, (
            f"the training served by {candidate.served_by} ended with status {candidate.status}; the reference's"
            " training ended with 0"
        )
    if not any(row["hits"] for row in candidate.stats.values()):
        return INCONCLUSIVE, "the candidate served no hit: the script made no world model, or looked nothing up in it"
    return None


def _compared(likeness: Likeness, noise: Likeness) -> tuple[str, str]:
    if not likeness.numbers:
        return INCONCLUSIVE, "nothing was compared: no number was logged by both trainings"
    if likeness.alike:
        return SAME, f"all {likeness.numbers:,} numbers of {likeness.curves} curves are equal to the last bit"
    noisy = {parting.curve: parting.step for parting in noise.partings}
    for parting in likeness.partings:
        if parting.curve not in noisy or parting.step < noisy[parting.curve]:
            return DIFFERENT, f"{parting}{_repeats(parting, noisy)}"
    first = noise.partings[0]
    return INCONCLUSIVE, (
        f"the reference does not repeat itself, so nobody can tell what the candidate changes: {first}"
    )


def _repeats(parting: Parting, noisy: dict[str, int]) -> str:
    if parting.curve in noisy:
        return f", where the reference repeats itself up to step {noisy[parting.curve]:,}"
    return ", where the reference repeats itself"
