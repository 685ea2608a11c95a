"""Two trainings of one seed, each served by another cache, and a third that shows how far a training repeats at all."""

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
        served_by: the cache whose answers the model got.
        status: the script's exit status.
        wall_s: how long it took, from the first inference on.
        iterations: of the learner.
        samples: that the learner learnt from.
        peak_bytes: most memory that the process held; `mean_bytes` the average over the iterations.
        stats: of the serving cache, per family of pools, and `lookups` as their caller sees them.
        curves: what was logged.
        first_divergence: of the two caches in words, where both were there.
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
        """Samples learnt from per second of the training."""
        return self.samples / self.wall_s if self.wall_s else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON; curves as their lengths, since their numbers are in files of their own."""
        fields = asdict(self)
        fields["curves"] = {name: len(values) for name, values in self.curves.items()}
        return {**fields, "samples_per_s": self.samples_per_s}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """What the trainings came to.

    Attributes:
        reference: served by the reference; `again` the same once more.
        candidate: served by the candidate.
        likeness: of reference and candidate.
        noise: likeness of the reference and itself.
        verdict: `SAME` where every number is equal to the last bit; `DIFFERENT` where one is not and the reference
            repeats itself up to there; else `INCONCLUSIVE`.
        reason: for the verdict, in one sentence.
        caches_part_at: the first divergence of the two caches in words, where a further training was there to see it.
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
    """Partings in words: JSON has neither not-a-number nor infinity."""
    partings = [str(parting) for parting in likeness.partings]
    return {"alike": likeness.alike, "curves": likeness.curves, "numbers": likeness.numbers, "partings": partings}


def pair(reference: TrainingRun, candidate: TrainingRun, again: TrainingRun) -> Paired:
    """Hold the candidate's training against the reference's, and that against itself."""
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
    """The verdict where a training did not end as it should, or was not served."""
    for run in (reference, again):
        if run.status:
            return INCONCLUSIVE, f"the training {run.name}, served by {run.served_by}, ended with status {run.status}"
    if candidate.status:
        return DIFFERENT, (
            f"the training served by {candidate.served_by} ended with status {candidate.status}, where the"
            " reference's ended well"
        )
    if not any(row["hits"] for row in candidate.stats.values()):
        return INCONCLUSIVE, "the candidate served no hit: no world model was met, or nothing was looked up in one"
    return None


def _compared(likeness: Likeness, noise: Likeness) -> tuple[str, str]:
    if not likeness.numbers:
        return INCONCLUSIVE, "no number was logged by both trainings, so nothing was compared"
    if likeness.alike:
        return SAME, f"all {likeness.numbers:,} numbers of {likeness.curves} curves are equal to the last bit"
    noisy = {parting.curve: parting.step for parting in noise.partings}
    for parting in likeness.partings:
        if parting.curve not in noisy or parting.step < noisy[parting.curve]:
            return DIFFERENT, f"{parting}{_repeats(parting, noisy)}"
    first = noise.partings[0]
    return INCONCLUSIVE, (
        f"the reference does not repeat itself: {first}; what the candidate changes cannot be told from that"
    )


def _repeats(parting: Parting, noisy: dict[str, int]) -> str:
    if parting.curve in noisy:
        return f", where the reference repeats itself up to step {noisy[parting.curve]:,}"
    return ", where the reference repeats itself"
