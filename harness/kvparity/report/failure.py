"""The text of a failing test: the unexpected divergences of one comparison.

The first line is a sentence, because pytest's summary shows only the first line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from kvparity.results.divergence import CORRUPTION, Divergence, DivergenceLog

if TYPE_CHECKING:
    from kvparity.results.result import Result

Findings: TypeAlias = "DivergenceLog | Result"

_INDENT = 13


def failure(findings: Findings, *, names: tuple[str, str], workload: str, command: str = "") -> str:
    """Why a test fails; empty if all differences are known.

    It shows the first unexpected corruption, or without any the first unexpected divergence, because the first
    divergence is seldom the worst.

    Args:
        findings: the log of a shadow, or the result of a replay.
        names: of the reference and of the candidate.
        workload: what the two caches did.
        command: shows the divergence again.
    """
    unexpected = [each for each in (*findings.kept, *findings.first.values()) if each.known is None]
    if not unexpected:
        return ""
    worst = min(unexpected, key=lambda each: (each.severity != CORRUPTION, each.number))
    rows = {
        "operation": f"{worst.number:,} of {workload}: {_operation(worst)}",
        "reference": f"{names[0]}: {worst.reference}",
        "candidate": f"{names[1]}: {worst.candidate}",
        "why": worst.explanation,
        "tensors": worst.difference,
        "more": _more(findings),
        "repeat": command,
    }
    return "\n".join([_headline(worst, names), *(_row(title, text) for title, text in rows.items() if text)])


def _headline(divergence: Divergence, names: tuple[str, str]) -> str:
    guilty = {
        "reference": f"the reference {names[0]} is wrong",
        "candidate": f"the candidate {names[1]} is wrong",
        "both": f"both are wrong, the reference {names[0]} and the candidate {names[1]}",
        "neither": f"neither is wrong, {names[0]} and {names[1]} differ by design",
        "unknown": f"{names[0]} and {names[1]} differ, and it is unknown which is right",
    }[divergence.wrong]
    return f"{divergence.kind} ({divergence.severity}): {guilty}"


def _operation(divergence: Divergence) -> str:
    key = "" if divergence.key is None else f" of key {divergence.key:#018x}"
    return f"{divergence.operation}{key} in {divergence.pool}"


def _more(findings: Findings) -> str:
    unexpected = findings.unexpected.total()
    known = findings.total - unexpected
    if findings.total == 1:
        return ""
    groups = ", ".join(
        f"{kind} x {count:,} (wrong: {wrong})" for (kind, wrong), count in findings.by_group.most_common()
    )
    accepted = f", and {known:,} that kvparity.toml accepts" if known else ""
    return f"{unexpected - 1:,} more{accepted}; all: {groups}"


def _row(title: str, text: str) -> str:
    first, *rest = [line for line in text.splitlines() if line]
    return "\n".join([f"  {title:<{_INDENT - 2}}{first}", *(f"{'':<{_INDENT}}{line}" for line in rest)])
