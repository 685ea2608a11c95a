"""The files that a verdict is made from: results, benches and comparisons of trainings, recognised by their content."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kvparity.errors import UsageError
from kvparity.results.reading import read_hashed, result_of
from kvparity.verdict.speed import ratios_of
from kvparity.verdict.training import trained_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kvparity.results.result import Result
    from kvparity.verdict.speed import Ratios
    from kvparity.verdict.training import Trained

_NOUN = "result, bench or comparison of trainings"
_RESULT, _BENCH, _TRAININGS = {"operations", "coverage"}, {"settings", "machine", "runs"}, {"trainings", "noise"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What was read.

    Attributes:
        results: in the order of the files.
        benches: in the same order.
        trainings: in the same order.
        files: sha256 of each file, by name.
    """

    results: list[Result] = field(default_factory=list)
    benches: list[Ratios] = field(default_factory=list)
    trainings: list[Trained] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


def read_material(paths: Sequence[Path]) -> Material:
    """Read all files, in any order.

    Raises:
        UsageError: a file cannot be read, has unknown content, or appears twice; or there is no result.
    """
    material = Material()
    by_digest: dict[str, Path] = {}
    for path in paths:
        fields, digest = read_hashed(path, _NOUN)
        first = by_digest.setdefault(digest, path)
        if first is not path:
            raise UsageError(f"{first} and {path} have the same content, which would count twice: leave one out")
        material.files[str(path)] = digest
        names = set(fields) if isinstance(fields, dict) else set()
        if names >= _RESULT:
            material.results.append(result_of(fields, path))
        elif names >= _BENCH:
            material.benches.append(ratios_of(fields, str(path)))
        elif names >= _TRAININGS:
            material.trainings.append(trained_of(fields, str(path)))
        else:
            raise UsageError(
                f"{path} is no {_NOUN}: pass a file that run, replay, fuzz, shadow, bench or compare-training wrote"
                " with `--json`"
            )
    if not material.results:
        raise UsageError(
            "there is no result among these files: `kvparity run pool-pressure revisit clear-storm --json result.json`"
            " makes one"
        )
    return material
