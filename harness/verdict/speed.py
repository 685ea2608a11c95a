"""Whether the candidate is slower: what a bench measured, with its intervals, so that noise is not called slow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.verdict.outcome import FAILED, PASSED, UNKNOWN, Check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.thresholds import Thresholds
    from harness.verdict.subject import Subject

_MEASURE = "time"  # of all that a bench measures, what the caches themselves take, operations of every kind together
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A candidate's time by the reference's, in one workload.

    Attributes:
        workload: its name.
        median: of the repeats.
        low: lower end of its interval; `high` the upper one.
        confidence: with which the true median lies in that.
    """

    workload: str
    median: float
    low: float
    high: float
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """Of a bench, what a verdict needs.

    Attributes:
        reference: the cache that the others were held against.
        ratios: by candidate, one for each workload.
        failures: by cache, what it raised, with the workload.
        setting: versions and machine, by name.
    """

    reference: str
    ratios: dict[str, tuple[Ratio, ...]]
    failures: dict[str, str]
    setting: dict[str, Any]


def ratios_of(fields: dict[str, Any], where: str) -> Ratios:
    """Of what `kvparity bench --json` wrote.

    Raises:
        UsageError: it is nothing of the kind.
    """
    try:
        settings = fields["settings"]
        ratios: dict[str, list[Ratio]] = {str(name): [] for name in settings["candidates"]}
        failures: dict[str, str] = {}
        for run in fields["runs"]:
            for name, measures in run["ratios"].items():
                found = measures[_MEASURE]
                numbers = {key: _finite(found[key]) for key in ("median", "low", "high", "confidence")}
                ratios.setdefault(name, []).append(Ratio(workload=str(run["workload"]), **numbers))
            for name, raised in run["failures"].items():
                failures.setdefault(name, f"{raised} (in {run['workload']})")
        return Ratios(
            reference=str(settings["reference"]),
            ratios={name: tuple(found) for name, found in ratios.items()},
            failures=failures,
            setting=dict(fields["machine"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{where} is no bench: {type(error).__name__}: {error}") from None


def _finite(number: Any) -> float:
    """JSON has no other numbers, but its readers have."""
    if not math.isfinite(number):
        raise ValueError(f"{number} is no ratio")
    return float(number)


def speed(subject: Subject, benches: Sequence[Ratios], thresholds: Thresholds) -> Check:
    """Slower where even the low end of the interval lies above the limit.

    Raises:
        UsageError: a bench is of other caches.
    """
    for bench in benches:
        _check_names(subject, bench)
    raised = [bench.failures[subject.candidate] for bench in benches if subject.candidate in bench.failures]
    ratios = [ratio for bench in benches for ratio in bench.ratios.get(subject.candidate, ())]
    command = _bench_command(subject)
    if raised:
        return Check(
            name="speed", outcome=FAILED, sentence=f"it raised when it was timed: {raised[0]}", command=command
        )
    if not ratios:
        sentence = "the bench has no ratio: the reference raised" if benches else "it was not timed"
        return Check(name="speed", outcome=UNKNOWN, sentence=sentence, command=command)
    limit, against = thresholds.time_ratio, " and ".join(dict.fromkeys(bench.reference for bench in benches))
    slow = [ratio for ratio in ratios if ratio.low > limit and ratio.confidence >= _CONFIDENCE]
    unsure = [ratio for ratio in ratios if ratio.high > limit or ratio.confidence < _CONFIDENCE]
    outcome = FAILED if slow else UNKNOWN if unsure else PASSED
    told = slow or unsure or sorted(ratios, key=lambda ratio: ratio.high)[-1:]
    sentence = f"{', '.join(map(_said, told))} times the time of {against} (limit {limit:g})"
    if outcome == UNKNOWN:
        sentence += ": " + ("too few repeats" if unsure[0].confidence < _CONFIDENCE else "too wide to tell")
    if outcome == PASSED and len(ratios) > 1:
        sentence += f", the slowest of {len(ratios)} workloads"
    return Check(name="speed", outcome=outcome, sentence=sentence, command="" if outcome == PASSED else command)


def _said(ratio: Ratio) -> str:
    return f"{ratio.workload} {ratio.median:.3f} ({ratio.confidence:.0%}: {ratio.low:.3f} to {ratio.high:.3f})"


def _bench_command(subject: Subject) -> str:
    """Of a training, against the bundled original: what stands in the model cannot be timed apart from it."""
    if not subject.trained:
        return subject.command("bench", output="bench.json")
    return f"kvparity bench --reference legacy-released --candidate {subject.candidate} --json bench.json"


def _check_names(subject: Subject, bench: Ratios) -> None:
    if subject.candidate not in {*bench.ratios, *bench.failures}:
        raise UsageError(
            f"the bench timed {', '.join(bench.ratios)}; the results are of {subject.candidate}:"
            f" `{_bench_command(subject)}` times that"
        )
    if bench.reference != subject.reference and not subject.trained:
        raise UsageError(
            f"the bench held its candidates against {bench.reference}, the results against {subject.reference}:"
            f" `{_bench_command(subject)}` times that"
        )
