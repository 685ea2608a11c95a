"""A verdict as text: on a terminal, and as a document in Markdown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kvparity.report.markdown import fenced, prose
from kvparity.verdict.checks import FAILED, GO, INCONCLUSIVE, NO_GO, PASSED, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from kvparity.verdict.checks import Check, Verdict

STYLES = {GO: "bold green", NO_GO: "bold red", INCONCLUSIVE: "bold yellow"}
_MARKS = {PASSED: ("passed", "green"), FAILED: ("FAILED", "bold red"), UNKNOWN: ("unknown", "yellow")}


def render_verdict(verdict: Verdict) -> RenderableType:
    """A table of all checks, and the digest of the certificate."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in verdict.checks:
        mark, style = _MARKS[check.outcome] if _weighs(check) else ("not tested", "dim")
        table.add_row(Text(mark, style), check.name, Text(check.sentence))
    if verdict.certificate is None:
        return table
    return Group(table, Padding(Text(f"certificate sha256 {verdict.certificate['sha256']}", "dim"), (1, 0, 0, 0)))


def further(verdict: Verdict) -> Text:
    """The commands to run next, one on a line, not to be wrapped; empty if there are none."""
    if not verdict.commands:
        return Text()
    purpose = "to investigate" if verdict.outcome == NO_GO else "to test what is missing"
    return (
        Text("\n")
        .append(f"{purpose}:", "dim")
        .append("".join(f"\n  {command}" for command in verdict.commands))
        .append("\n")
    )


def verdict_text(verdict: Verdict) -> Text:
    """The verdict in one line."""
    return Text(verdict.line, style=STYLES[verdict.outcome])


def as_markdown(verdict: Verdict) -> str:
    """The certificate of a GO; of any other verdict, the reasons why there is none."""
    return "\n".join([*_head(verdict), *_checks(verdict), *_body(verdict.certificate or {}), ""])


def _head(verdict: Verdict) -> Iterator[str]:
    proof = verdict.certificate
    if proof is None:
        yield f"# No certificate: {verdict.outcome}"
        yield f"\n{prose(verdict.line)}"
        for command in verdict.commands:
            yield fenced(command, "sh")
    else:
        within = f" within {prose(verdict.within)}" if verdict.within else ""
        yield f"# Certificate of parity{within}: {prose(proof['candidate'])} in place of {prose(proof['reference'])}"
        yield f"\n{prose(verdict.line)}\n\nsha256 of the certificate: `{proof['sha256']}`"


def _checks(verdict: Verdict) -> Iterator[str]:
    yield "\n## Checks\n\n| check | outcome | found |\n| --- | --- | --- |"
    for check in verdict.checks:
        mark = check.outcome if _weighs(check) else "not tested"
        yield f"| {prose(check.name)} | {mark} | {prose(check.sentence)} |"


def _body(proof: dict[str, Any]) -> Iterator[str]:
    if not proof:
        return
    yield "\n## What was compared\n\n| workload | seed | operations | lookups | began | command |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for run in proof["runs"]:
        numbers = f"{run['operations']:,} | {run['lookups_compared']:,}"
        workload, seed, began, command = (
            prose(str("-" if run[name] is None else run[name])) for name in ("workload", "seed", "began", "command")
        )
        yield f"| {workload} | {seed} | {numbers} | {began} | {command} |"
    operations = ", ".join(f"{count:,} {kind}" for kind, count in proof["operations"].items())
    how = " or ".join(dict.fromkeys(run["compared"] for run in proof["runs"]))
    yield f"\nOperations: {prose(operations)}. Tensor by tensor: {proof['values_compared']:,} lookups, {prose(how)}."
    yield "\n## Known differences\n"
    known = proof["known_differences"]
    yield from [f"- {count:,} times: {prose(reason)}" for reason, count in known.items()] or ["None."]
    yield "\n## Environment\n"
    for run in {json.dumps([run["versions"], run["machine"]]): run for run in proof["runs"]}.values():
        versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items()) or "versions not kept"
        yield f"- {prose(versions)}; {prose(run['machine'] or 'machine not kept')}"
    yield f"- judged by {prose(proof['judged_by'])}"
    yield "\n## Inputs, by sha256\n"
    digests = {**proof["inputs"], **{f"result {name}": digest for name, digest in proof["files"].items()}}
    yield from [f"- {prose(name)}: `{digest}`" for name, digest in digests.items()] or ["None kept."]
    yield "\n## Thresholds\n"
    yield from [f"- {name} = {prose(json.dumps(value))}" for name, value in proof["thresholds"].items()]


def _weighs(check: Check) -> bool:
    return check.required or check.outcome != UNKNOWN
