"""Checks of what the comparison found: corruption, differences of behaviour, and whether the runs are complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvparity.results.divergence import BEHAVIOUR, CORRUPTION, SEVERITIES
from kvparity.verdict.checks import FAILED, PASSED, UNKNOWN, Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvparity.results.result import Result, TrainingAccount
    from kvparity.settings import Thresholds
    from kvparity.verdict.subject import Subject


def corruption(subject: Subject) -> Check:
    """Fails at one wrong tensor or one crash."""
    result = subject.result
    found = result.unexpected[CORRUPTION]
    if found:
        sentence = f"{found:,} corruptions{_groups(result, CORRUPTION)}" + _known(result)
        return Check(name="corruption", outcome=FAILED, sentence=sentence, command=_of(subject, CORRUPTION))
    if not result.gets_compared:
        return Check(
            name="corruption",
            outcome=UNKNOWN,
            sentence="nothing was looked up, so nothing was compared",
            command=subject.command_for("mcts"),
        )
    sentence = f"no corruption in {result.gets_compared:,} lookups, {result.values_compared:,} of them tensor by tensor"
    return Check(name="corruption", outcome=PASSED, sentence=sentence + _tolerated(subject) + _known(result))


def behaviour(subject: Subject, thresholds: Thresholds) -> Check:
    """Fails at differences that corrupt nothing, but that nobody accepted."""
    result = subject.result
    found, allowed = result.unexpected[BEHAVIOUR], thresholds.behaviour
    limit = f" ({allowed:,} allowed)" if allowed else ""
    if found > allowed:
        sentence = f"{found:,} unexpected differences of behaviour{limit}{_groups(result, BEHAVIOUR)}"
        return Check(
            name="behaviour", outcome=FAILED, sentence=sentence + _known(result), command=_of(subject, BEHAVIOUR)
        )
    counted = f"{found:,} unexpected differences" if found else "no unexpected difference"
    return Check(
        name="behaviour", outcome=PASSED, sentence=f"{counted} of behaviour{limit if found else ''}{_known(result)}"
    )


def completeness(subject: Subject) -> Check:
    """Unknown unless all runs are complete, compared every lookup, and used the same versions of both caches."""
    gaps, once = list(dict.fromkeys(_gaps(subject))), _repeated(subject)
    if gaps:
        return Check(
            name="completeness", outcome=UNKNOWN, sentence="; ".join(gaps) + once, command=subject.repeat_command()
        )
    runs = len(subject.runs)
    early = [run.workload for run in subject.runs if run.ended_early]
    recordings = f"; the recording of {', '.join(early)} ended early" if early else ""
    sentence = f"{runs} complete run{'s' * (runs != 1)}{recordings}{once}"
    return Check(name="completeness", outcome=PASSED, sentence=sentence)


def _gaps(subject: Subject) -> Iterator[str]:
    if subject.result.missing:
        yield f"no result of {', '.join(subject.result.missing)}"
    if subject.result.interrupted and not any(run.interrupted for run in subject.runs):
        yield "the command was interrupted before all its workloads had run"
    for run in subject.runs:
        if run.interrupted:
            yield f"{run.workload} was interrupted after {run.operations_total:,} operations"
        if run.training is not None:
            yield from _not_compared(run.workload, run.training)
    seen: dict[str, str] = {}
    for run in subject.runs:
        for name, digest in (run.provenance.inputs if run.provenance else {}).items():
            if name.startswith("cache ") and seen.setdefault(name, digest) != digest:
                yield f"the runs used different versions of {name.removeprefix('cache ')}: its source differs"


def _not_compared(workload: str, training: TrainingAccount) -> Iterator[str]:
    if training.stopped:
        yield f"{workload} stopped early: {training.stopped}"
    if training.compare_every > 1:
        yield f"{workload} compared only one lookup in {training.compare_every:,}; --compare-every 1 compares all"
    if training.passed_over:
        yield f"{workload} did not compare {training.passed_over:,} lookups; --max-share none compares all"


def _repeated(subject: Subject) -> str:
    """The runs that appear more than once, and count once."""
    if not subject.repeats:
        return ""
    names = dict.fromkeys(
        run.workload if run.seed is None else f"{run.workload} with seed {run.seed}" for run in subject.repeats
    )
    listed = ", ".join([*list(names)[:3], *["..."] * (len(names) > 3)])  # noqa: PLR2004  as many as fit in a line
    return f"; a run that appears twice counts once: {listed}"


def _tolerated(subject: Subject) -> str:
    """How far tensors could differ, and in how many runs."""
    within = subject.result.within
    if not within:
        return ""
    loose, runs = sum(bool(run.tolerances) for run in subject.runs), len(subject.runs)
    return f", not bit by bit but within {within}" + (f" in {loose} of {runs} runs" if loose < runs else "")


def _of(subject: Subject, severity: str) -> str:
    """The command of a run that found divergences of that severity."""
    return subject.repeat_command([run for run in subject.runs if run.unexpected[severity]])


def _groups(result: Result, severity: str) -> str:
    """The kinds and who is wrong, including known ones: results only have the number of these."""
    groups = [(group, count) for group, count in result.by_group.most_common() if SEVERITIES[group[0]] == severity]
    listed = ", ".join(f"{kind} x {count:,}, wrong: {wrong}" for (kind, wrong), count in groups[:3])
    return f" ({listed}{', ...' * (len(groups) > 3)})"  # noqa: PLR2004  as many as fit in a line


def _known(result: Result) -> str:
    count = result.by_known.total()
    return f"; {count:,} known and accepted" if count else ""
