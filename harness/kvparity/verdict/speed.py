"""Check whether the candidate is slower, from the intervals of a bench: noise alone is not called slow."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kvparity.errors import UsageError
from kvparity.verdict.checks import FAILED, PASSED, UNKNOWN, Check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kvparity.settings import Thresholds
    from kvparity.verdict.subject import Subject

_MEASURE = "time"  # of the measures of a bench: the time in the cache itself, for operations of all kinds
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The candidate's time divided by the reference's, in one workload.

    Attributes:
        workload: its name.
        median: of the repeats.
        low: lower end of the interval of the median; `high` is the upper end.
        confidence: probability that the interval contains the true median.
    """

    workload: str
    median: float
    low: float
    high: float
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """What a verdict needs of a bench.

    Attributes:
        reference: the cache that the others were compared with.
        ratios: by candidate, one for each workload.
        failures: by cache, what it raised, with the workload.
        setting: versions and machine, by name.
        inputs: sha256 of what was timed, by name: the source of each cache, traces.
        interrupted: whether the bench was stopped early.
    """

    reference: str
    ratios: dict[str, tuple[Ratio, ...]]
    failures: dict[str, str]
    setting: dict[str, Any]
    inputs: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False


def ratios_of(fields: dict[str, Any], where: str) -> Ratios:
    """The ratios in `fields`, which `kvparity bench --json` wrote to the file `where`.

    Raises:
        UsageError: `fields` is no bench.
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
            inputs={str(name): str(digest) for name, digest in fields.get("provenance", {}).get("inputs", {}).items()},
            interrupted=bool(fields.get("interrupted", False)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{where} is no bench: {type(error).__name__}: {error}") from None


def _finite(number: Any) -> float:
    """`number`, which JSON says is finite, though Python reads NaN and Infinity, too."""
    if not math.isfinite(number):
        raise ValueError(f"{number} is no ratio")
    return float(number)


def speed(subject: Subject, benches: Sequence[Ratios], thresholds: Thresholds) -> Check:
    """Fails if even the low end of an interval is above the limit, or if the candidate raised.

    Raises:
        UsageError: a bench is of other caches.
    """
    for bench in benches:
        _check_names(subject, bench)
    gaps = list(dict.fromkeys(gap for bench in benches for gap in _gaps(subject, bench)))
    of_these = [bench for bench in benches if not _others(subject, bench)]
    raised = [bench.failures[name] for bench in of_these if (name := _name(subject, bench)) in bench.failures]
    ratios = [ratio for bench in of_these for ratio in bench.ratios.get(_name(subject, bench), ())]
    against = " and ".join(dict.fromkeys(bench.reference for bench in of_these))
    if raised:
        outcome, sentence = FAILED, f"the candidate raised while it was timed: {raised[0]}"
    elif ratios:
        outcome, sentence = _judged(ratios, thresholds.time_ratio, against)
    else:
        outcome, sentence = (
            UNKNOWN,
            "the bench has no ratio: the reference raised" if benches else "it was not timed",
        )
    if gaps and outcome != FAILED:
        outcome, sentence = UNKNOWN, "; ".join(gaps)
    command = "" if outcome == PASSED else _bench_command(subject)
    return Check(name="speed", outcome=outcome, sentence=sentence, command=command)


def _judged(ratios: list[Ratio], limit: float, against: str) -> tuple[str, str]:
    """The outcome, and a sentence about it."""
    slow = [ratio for ratio in ratios if ratio.low > limit and ratio.confidence >= _CONFIDENCE]
    unsure = [ratio for ratio in ratios if ratio.high > limit or ratio.confidence < _CONFIDENCE]
    outcome = FAILED if slow else UNKNOWN if unsure else PASSED
    shown = slow or unsure or sorted(ratios, key=lambda ratio: ratio.high)[-1:]
    sentence = f"{', '.join(map(_words, shown))} times the time of {against} (limit {limit:g})"
    if outcome == UNKNOWN:
        few = unsure[0].confidence < _CONFIDENCE
        sentence += ": too few repeats to decide" if few else ": the interval is too wide to decide"
    if outcome == PASSED and len(ratios) > 1:
        sentence += f", the slowest of {len(ratios)} workloads"
    return outcome, sentence


def _gaps(subject: Subject, bench: Ratios) -> Iterator[str]:
    """Why the bench is not enough."""
    for name in _others(subject, bench):
        yield f"the bench timed another version of {name} than the runs used: its source differs"
    if bench.interrupted:
        yield "the bench was interrupted, so that repeats are missing"


def _others(subject: Subject, bench: Ratios) -> list[str]:
    """The caches of which the bench timed another version than the one that was compared."""
    compared = [each for run in subject.runs if run.provenance for each in run.provenance.inputs.items()]
    other = [name for name, digest in compared if bench.inputs.get(name, digest) != digest]
    return [name.removeprefix("cache ") for name in dict.fromkeys(other) if name.startswith("cache ")]


def _name(subject: Subject, bench: Ratios) -> str:
    """The name of the candidate in the bench; if it is also the reference, it was timed again."""
    return f"{subject.candidate} (again)" if bench.reference == subject.candidate else subject.candidate


def _words(ratio: Ratio) -> str:
    return f"{ratio.workload} {ratio.median:.3f} ({ratio.confidence:.0%}: {ratio.low:.3f} to {ratio.high:.3f})"


def _bench_command(subject: Subject) -> str:
    """The command for a bench. A training's own cache cannot be timed without its model, so the original is used."""
    if not subject.trained:
        return subject.command("bench", output="bench.json")
    return f"kvparity bench --reference legacy-released --candidate {subject.candidate} --json bench.json"


def _check_names(subject: Subject, bench: Ratios) -> None:
    if _name(subject, bench) not in {*bench.ratios, *bench.failures}:
        raise UsageError(
            f"the bench timed {', '.join(bench.ratios)}, and the results are of {subject.candidate}: run"
            f" `{_bench_command(subject)}`"
        )
    if bench.reference != subject.reference and not subject.trained:
        raise UsageError(
            f"the bench compares with {bench.reference}, and the results with {subject.reference}: run"
            f" `{_bench_command(subject)}`"
        )
