"""What the comparison itself found: corruption, differences of behaviour, and whether it ran whole."""

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
    """One wrong tensor, or one crash, is too many."""
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
            command=subject.more("mcts"),
        )
    sentence = f"no corruption in {result.gets_compared:,} lookups, {result.values_compared:,} of them tensor by tensor"
    return Check(name="corruption", outcome=PASSED, sentence=sentence + _tolerated(subject) + _known(result))


def behaviour(subject: Subject, thresholds: Thresholds) -> Check:
    """Differences that corrupt nothing, and that nobody has accepted."""
    result = subject.result
    found, allowed = result.unexpected[BEHAVIOUR], thresholds.behaviour
    let_pass = f" ({allowed:,} are let pass)" if allowed else ""
    if found > allowed:
        sentence = f"{found:,} unexpected differences of behaviour{let_pass}{_groups(result, BEHAVIOUR)}"
        return Check(
            name="behaviour", outcome=FAILED, sentence=sentence + _known(result), command=_of(subject, BEHAVIOUR)
        )
    counted = f"{found:,} unexpected differences" if found else "no unexpected difference"
    return Check(
        name="behaviour", outcome=PASSED, sentence=f"{counted} of behaviour{let_pass if found else ''}{_known(result)}"
    )


def completeness(subject: Subject) -> Check:
    """Whether the runs are whole, looked at every lookup, and were all of the same two caches."""
    gaps, once = list(dict.fromkeys(_gaps(subject))), _repeated(subject)
    if gaps:
        return Check(name="completeness", outcome=UNKNOWN, sentence="; ".join(gaps) + once, command=subject.again())
    runs = len(subject.runs)
    early = [run.workload for run in subject.runs if run.ended_early]
    said = f"; the recording of {', '.join(early)} had ended early" if early else ""
    sentence = f"{runs} run{'s' * (runs != 1)}, each to its end{said}{once}"
    return Check(name="completeness", outcome=PASSED, sentence=sentence)


def _gaps(subject: Subject) -> Iterator[str]:
    if subject.result.missing:
        yield f"there is no result of {', '.join(subject.result.missing)}"
    if subject.result.interrupted and not any(run.interrupted for run in subject.runs):
        yield "it was interrupted before all that was asked for had run"
    for run in subject.runs:
        if run.interrupted:
            yield f"{run.workload} was interrupted after {run.operations_total:,} operations"
        if run.training is not None:
            yield from _unseen(run.workload, run.training)
    seen: dict[str, str] = {}
    for run in subject.runs:
        for name, digest in (run.provenance.inputs if run.provenance else {}).items():
            if name.startswith("cache ") and seen.setdefault(name, digest) != digest:
                yield f"the runs are not of one version of {name.removeprefix('cache ')}: its source differs"


def _unseen(workload: str, training: TrainingAccount) -> Iterator[str]:
    if training.stopped:
        yield f"{workload} stopped early: {training.stopped}"
    if training.compare_every > 1:
        yield f"{workload} compared only one lookup in {training.compare_every:,}; --compare-every 1 compares all"
    if training.passed_over:
        yield f"{workload} passed over {training.passed_over:,} lookups; --max-share none passes over none"


def _repeated(subject: Subject) -> str:
    """What is there more than once, and counts once."""
    if not subject.repeats:
        return ""
    names = dict.fromkeys(
        run.workload if run.seed is None else f"{run.workload} with seed {run.seed}" for run in subject.repeats
    )
    listed = ", ".join([*list(names)[:3], *["..."] * (len(names) > 3)])  # noqa: PLR2004  as many as fit in a line
    return f"; what is there again counts once: {listed}"


def _tolerated(subject: Subject) -> str:
    """How far tensors were let differ, and in how many runs."""
    within = subject.result.within
    if not within:
        return ""
    loose, runs = sum(bool(run.tolerances) for run in subject.runs), len(subject.runs)
    return f", not bit by bit but within {within}" + (f" in {loose} of {runs} runs" if loose < runs else "")


def _of(subject: Subject, severity: str) -> str:
    """The command of a run that found some."""
    return subject.again([run for run in subject.runs if run.unexpected[severity]])


def _groups(result: Result, severity: str) -> str:
    """Which kinds, whose fault: known ones are among them, since only their number is kept apart."""
    groups = [(group, count) for group, count in result.by_group.most_common() if SEVERITIES[group[0]] == severity]
    listed = ", ".join(f"{kind} x {count:,}, wrong: {wrong}" for (kind, wrong), count in groups[:3])
    return f" ({listed}{', ...' * (len(groups) > 3)})"  # noqa: PLR2004  as many as fit in a line


def _known(result: Result) -> str:
    count = result.by_known.total()
    return f"; {count:,} known and accepted" if count else ""
