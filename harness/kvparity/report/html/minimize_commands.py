"""Commands that minimize a divergence for which a report has no minimal program."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvparity.results.result import Result

_LIGHTZERO = "legacy-released"


def minimizing(result: Result, run: Result) -> str:
    """Commands for a shell that minimize the first divergence of `run`, which is a part of `result`."""
    command = _command(run) or _command(result)
    if run.training is not None:
        recording = shlex.join([*command[:2], "--record", "training.kvtrace", *command[2:]])
        return f"{recording}\n{_minimize('training.kvtrace', _LIGHTZERO, run.candidate)}"
    if run.recorded is not None or command[1:2] == ["replay"]:
        return _minimize(run.workload, run.reference, run.candidate)
    sides = ["--reference", _name(run.reference), "--candidate", _name(run.candidate)]
    options = ["--seed", str(run.seed or 0), "--steps", str(run.operations_total), "--record", "found.kvtrace"]
    recording = shlex.join(["kvparity", "run", run.workload, *sides, *options, "--quiet"])
    return f"{recording}\n{_minimize('found.kvtrace', run.reference, run.candidate)}"


def _minimize(trace: str, reference: str, candidate: str) -> str:
    sides = ["--reference", _name(reference), "--candidate", _name(candidate)]
    return shlex.join(["kvparity", "minimize", trace, "-o", "small.kvtrace", *sides])


def _name(side: str) -> str:
    """The name of a cache without its role."""
    return side.partition(" (")[0]


def _command(result: Result) -> list[str]:
    return [] if result.provenance is None else shlex.split(result.provenance.command)
