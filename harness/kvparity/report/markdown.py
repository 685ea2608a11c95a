"""GitHub-flavoured Markdown: a result as a summary for CI, in which names cannot become markup."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kvparity.results.divergence import BEHAVIOUR, CORRUPTION, SEVERITIES
from kvparity.text import replace_forbidden

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvparity.results.result import Result
    from kvparity.verdict import Verdict

_MOST_GROUPS = 20
_LONGEST = 20_000  # characters of a program: GitHub accepts 1 MiB for a summary
_MARKUP = re.compile(r"([\\`*_\[\]<>|~&$]|:(?=\S))")
_REFERENCE = re.compile(r"([@#]|www(?=\.))", re.IGNORECASE)  # GitHub makes links of @name, #1 and www.x
_ZERO_WIDTH = "\u200b"


def prose(text: str) -> str:
    """`text` for a line or a cell of a table, without markup, HTML, links or mentions."""
    one_line = " ".join(replace_forbidden(text).split())
    return _REFERENCE.sub(rf"\1{_ZERO_WIDTH}", _MARKUP.sub(r"\\\1", one_line))


def fenced(text: str, language: str) -> str:
    """`text` as a block of code, also if it contains fences."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"\n{fence}{language}\n{replace_forbidden(text)}\n{fence}\n"


def summary(result: Result, verdict: Verdict, *, line: str) -> str:
    """The whole summary.

    Args:
        result: one run, or several added up.
        verdict: of this result alone.
        line: the last line on the terminal.
    """
    parts = [
        f"## kvparity: {prose(result.candidate)} against {prose(result.reference)}\n",
        f"**{prose(line)}**\n",
        f"Verdict: **{verdict.outcome}**. {prose(verdict.sentence)}\n",
        *_table(result),
        *_groups(result),
        *_checks(verdict),
    ]
    return "\n".join(parts) + "\n"


def _table(result: Result) -> Iterator[str]:
    yield "| workload | seed | operations | lookups | corruption | behaviour | known | seconds |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for run in result.runs or [result]:
        seed = "-" if run.seed is None else run.seed
        marks = "".join(
            [", interrupted" * run.interrupted, f", no result of {', '.join(run.missing)}" * bool(run.missing)]
        )
        yield (
            f"| {prose(run.workload + marks)} | {seed} | {run.operations_total:,} | {run.gets_compared:,}"
            f" | {run.unexpected[CORRUPTION]:,} | {run.unexpected[BEHAVIOUR]:,} | {run.by_known.total():,}"
            f" | {run.elapsed_s:.1f} |"
        )
    if result.runs and result.missing:
        yield f"\nNo result of {prose(', '.join(result.missing))}."


def _groups(result: Result) -> Iterator[str]:
    groups = sorted(result.by_group, key=lambda group: (SEVERITIES[group[0]] != CORRUPTION, group))
    for group in groups[:_MOST_GROUPS]:
        first, (kind, wrong) = result.first[group], group
        key = "" if first.key is None else f" of key {first.key:#018x}"
        title = f"{kind} ({SEVERITIES[kind]}), {result.by_group[group]:,} times, wrong: {wrong}"
        yield f"\n<details><summary>{title}</summary>\n"
        yield f"- first: operation {first.number:,}, {prose(first.operation)}{key} in {prose(first.pool)}"
        rows = {"reference": first.reference, "candidate": first.candidate, "why": first.explanation}
        rows |= {"tensors": first.difference, "known": first.known or ""}
        yield from [f"- {name}: {prose(text)}" for name, text in rows.items() if text]
        program = result.programs.get(group, "")
        if program:
            yield fenced(program[:_LONGEST], "python")
        yield "\n</details>"
    if len(groups) > _MOST_GROUPS:
        yield f"\n{len(groups) - _MOST_GROUPS} more groups are in the JSON result."


def _checks(verdict: Verdict) -> Iterator[str]:
    yield "\n<details><summary>The checks of the verdict</summary>\n\n| check | outcome | found |\n| --- | --- | --- |"
    for check in verdict.checks:
        mark = check.outcome if check.required else f"{check.outcome}, not required"
        yield f"| {prose(check.name)} | {mark} | {prose(check.sentence)} |"
    yield "\n</details>"
    if verdict.commands:
        yield "\nWhat to run next:"
        yield fenced("\n".join(verdict.commands), "sh")
