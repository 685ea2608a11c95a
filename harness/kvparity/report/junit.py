"""JUnit XML, which every CI can show: workloads and groups of divergences become test cases."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from kvparity.results.divergence import BEHAVIOUR, CORRUPTION, SEVERITIES
from kvparity.text import replace_forbidden

if TYPE_CHECKING:
    from kvparity.results.divergence import Divergence
    from kvparity.results.result import Result
    from kvparity.verdict import Verdict


def junit(result: Result, verdict: Verdict, *, fail_on: str) -> str:
    """A suite for each workload: a case for the workload, and one for each group of divergences.

    Args:
        result: one run, or several added up.
        verdict: of this result alone; a property of every suite.
        fail_on: the least severity with which a case fails, or `never`.
    """
    root = ET.Element("testsuites", name="kvparity")
    for run in result.runs or [result]:
        root.append(_suite(run, verdict, fail_on))
    if result.runs and result.missing:
        root.append(_incomplete("missing", "all parts have a result", f"no result of {', '.join(result.missing)}"))
    if result.interrupted and not any(run.interrupted for run in result.runs or [result]):
        root.append(_incomplete("interrupted", "the command ran to its end", "interrupted"))
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    root.set("time", f"{result.elapsed_s:.3f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(run: Result, verdict: Verdict, fail_on: str) -> ET.Element:
    suite = ET.Element("testsuite", name=replace_forbidden(f"kvparity.{run.workload}"))
    properties = ET.SubElement(suite, "properties")
    for name, value in {
        "reference": run.reference,
        "candidate": run.candidate,
        "seed": run.seed,
        "fail-on": fail_on,
        "operations": run.operations_total,
        "lookups compared": run.gets_compared,
        "compared": f"within {run.within}" if run.tolerances else "bit by bit",
        "corruption": run.unexpected[CORRUPTION],
        "behaviour": run.unexpected[BEHAVIOUR],
        "known": run.by_known.total(),
        "verdict": verdict.line,
    }.items():
        ET.SubElement(properties, "property", name=name, value=replace_forbidden("" if value is None else str(value)))
    cases = [_workload(run, fail_on), *(_group(run, group, fail_on) for group in run.by_group)]
    suite.extend(cases)
    suite.set("tests", str(len(cases)))
    for name in ("failure", "error", "skipped"):
        plural = {"failure": "failures", "error": "errors"}.get(name, name)
        suite.set(plural, str(sum(case.find(name) is not None for case in cases)))
    suite.set("time", f"{run.elapsed_s:.3f}")
    return suite


def _workload(run: Result, fail_on: str) -> ET.Element:
    case = ET.Element(
        "testcase", name=replace_forbidden(run.workload), classname="kvparity.workload", time=f"{run.elapsed_s:.3f}"
    )
    if run.missing or run.interrupted:
        part = f"no result of {', '.join(run.missing)}" if run.missing else "interrupted"
        ET.SubElement(case, "error", message=replace_forbidden(part), type="incomplete")
    elif run.fails(fail_on):
        found = f"{run.unexpected[CORRUPTION]:,} corruptions, {run.unexpected[BEHAVIOUR]:,} behaviour differences"
        ET.SubElement(case, "failure", message=found, type="divergence")
    elif not run.gets_compared:
        ET.SubElement(case, "skipped", message="nothing was looked up, so nothing was compared")
    return case


def _group(run: Result, group: tuple[str, str], fail_on: str) -> ET.Element:
    kind, wrong = group
    case = ET.Element(
        "testcase",
        name=replace_forbidden(f"{run.workload}: {kind}, wrong: {wrong}"),
        classname=f"kvparity.{kind}",
        time="0",
    )
    unexpected = _unexpected(run, group)
    if unexpected is not None and _counts(kind, fail_on):
        message = f"{run.by_group[group]:,} times, first: {unexpected.explanation}"
        failure = ET.SubElement(case, "failure", message=replace_forbidden(message), type=kind)
        failure.text = replace_forbidden(_details(unexpected, run.programs.get(group, "")))
    else:
        ET.SubElement(case, "system-out").text = replace_forbidden(
            _details(run.first[group], run.programs.get(group, ""))
        )
    return case


def _unexpected(run: Result, group: tuple[str, str]) -> Divergence | None:
    """The first divergence of the group that is not known, if it was kept."""
    own = [each for each in run.kept if (each.kind, each.wrong) == group]
    return next((each for each in (run.first[group], *own) if each.known is None), None)


def _counts(kind: str, fail_on: str) -> bool:
    return fail_on == "behaviour" or (fail_on == "corruption" and SEVERITIES[kind] == CORRUPTION)


def _details(divergence: Divergence, program: str) -> str:
    key = "" if divergence.key is None else f" of key {divergence.key:#018x}"
    lines = [
        f"operation {divergence.number:,}: {divergence.operation}{key} in {divergence.pool}",
        f"reference: {divergence.reference}",
        f"candidate: {divergence.candidate}",
        f"why: {divergence.explanation}",
        f"tensors: {divergence.difference}" if divergence.difference else "",
        f"known: {divergence.known}" if divergence.known else "",
        program,
    ]
    return "\n".join(line for line in lines if line)


def _incomplete(name: str, promise: str, message: str) -> ET.Element:
    """A suite of one case, for an error that belongs to no single run."""
    suite = ET.Element("testsuite", name=f"kvparity.{name}", tests="1", failures="0", errors="1", skipped="0", time="0")
    case = ET.SubElement(suite, "testcase", name=promise, classname="kvparity.workload", time="0")
    ET.SubElement(case, "error", message=replace_forbidden(message), type="incomplete")
    return suite
