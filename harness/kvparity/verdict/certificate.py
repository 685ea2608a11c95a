"""The certificate of a GO: what was compared, how much of it, in which environment, and one digest over all of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kvparity.results.result import Result
    from kvparity.settings import Thresholds
    from kvparity.verdict.checks import Check
    from kvparity.verdict.speed import Ratios
    from kvparity.verdict.subject import Subject
    from kvparity.verdict.training import Trained


def certificate(
    subject: Subject,
    checks: Sequence[Check],
    thresholds: Thresholds,
    *,
    benches: Sequence[Ratios],
    trainings: Sequence[Trained],
    files: Mapping[str, str],
) -> dict[str, Any]:
    """The certificate as plain data, with its digest. The same inputs give the same certificate, anywhere and any time.

    Args:
        subject: the two caches and their runs.
        checks: the checks that passed or were left out.
        thresholds: the thresholds of the checks.
        benches: how the two caches were timed.
        trainings: how trainings with the two caches compare.
        files: sha256 of the files that were read, by name.
    """
    result = subject.result
    body: dict[str, Any] = {
        "reference": result.reference,
        "candidate": result.candidate,
        "runs": [_run(run) for run in subject.runs],
        "operations": dict(sorted(result.operations.items())),
        "lookups_compared": result.gets_compared,
        "values_compared": result.values_compared,
        "tolerances": [asdict(tolerance) for tolerance in result.tolerances],
        "coverage": asdict(result.coverage),
        "known_differences": dict(sorted(result.by_known.items())),
        "unexpected_differences": result.unexpected.total(),
        "speed": [asdict(bench) for bench in benches],
        "training": [asdict(trained) for trained in trainings],
        "checks": [asdict(check) for check in checks],
        "thresholds": thresholds.as_dict(),
        "inputs": _inputs(subject.runs),
        "files": dict(sorted(files.items())),
        "judged_by": f"kvparity {metadata.version('kvparity')}",
    }
    return {**body, "sha256": digest_of(body)}


def digest_of(body: Mapping[str, Any]) -> str:
    """sha256 of canonical JSON: sorted names, no spaces, ASCII; the digest itself is left out."""
    plain = {name: value for name, value in body.items() if name != "sha256"}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _run(run: Result) -> dict[str, Any]:
    provenance = run.provenance
    return {
        "workload": run.workload,
        "seed": run.seed,
        "operations": run.operations_total,
        "lookups_compared": run.gets_compared,
        "compared": f"within {run.within}" if run.tolerances else "bit by bit",
        "elapsed_s": round(run.elapsed_s, 3),
        "command": None if provenance is None else provenance.command,
        "began": None if provenance is None else provenance.began,
        "versions": {} if provenance is None else dict(provenance.versions),
        "machine": None if provenance is None else f"{provenance.machine}, {provenance.device}",
    }


def _inputs(runs: Sequence[Result]) -> dict[str, str]:
    """sha256 of the inputs of the runs: traces, scripts, the source of both caches."""
    found: dict[str, str] = {}
    for run in runs:
        found.update(run.provenance.inputs if run.provenance else {})
    return dict(sorted(found.items()))
