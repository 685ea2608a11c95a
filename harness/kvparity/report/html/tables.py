"""Tables of a page: what was compared, what was exercised, where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvparity.report.html.formatting import number, percent, size
from kvparity.report.terminal import by_family

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.caches.protocol import CacheSpec
    from kvparity.evidence import Exercised
    from kvparity.results.result import Result

_EXERCISED: tuple[tuple[str, Callable[[Exercised], int], str], ...] = (
    ("pools used", lambda each: each.used, "nothing was set in them"),
    ("pools that wrapped around", lambda each: each.wrapped, "no pool got more keys than it has slots"),
    ("sets", lambda each: each.sets, "nothing was set"),
    ("re-sets", lambda each: each.resets, "no key was set again while the pool held it"),
    ("hits", lambda each: each.hits, "no lookup found its key"),
    ("misses", lambda each: each.misses, "no lookup missed"),
    ("evictions", lambda each: max(each.evictions.values(), default=0), "no key was evicted"),
    ("clears", lambda each: each.clears, "no pool was cleared while it held something"),
)
EXERCISED_COLUMNS = tuple(name for name, _, _ in _EXERCISED)


def compared(result: Result) -> list[tuple[str, str]]:
    """What was compared: names and values."""
    operations = ", ".join(f"{count:,} {kind}" for kind, count in result.operations.most_common())
    rows = [
        ("Workload", result.workload),
        ("Reference", result.reference),
        ("Candidate", result.candidate),
        ("Sizes", sizes(result.spec)),
        ("Seed", "none, or several" if result.seed is None else str(result.seed)),
        ("Operations", f"{result.operations_total:,} ({operations}) in {result.elapsed_s:.1f} s"),
        ("Lookups compared", f"{result.gets_compared:,}, {result.values_compared:,} of them tensor by tensor"),
    ]
    if result.examples is not None:
        rows.append(("Examples tried", f"{result.examples:,}"))
    if result.recorded is not None:
        recorded = result.recorded
        text = f"{result.reference} gave {recorded.reproduced:,} of {recorded.given:,}"
        other = f"; first different answer: {recorded.first_other}" if recorded.first_other else ""
        rows.append(("Answers in the trace", text + other))
    if result.training is not None:
        rows += _training(result)
    return rows


def origin(result: Result) -> list[tuple[str, str]]:
    """Where it comes from: date, versions, machine, digests."""
    known = result.provenance
    if known is None:
        return []
    versions = ", ".join(f"{package} {version}" for package, version in known.versions.items())
    return [
        ("Began", known.began),
        ("Versions", versions),
        ("Machine", known.machine),
        ("Device", known.device),
        *((f"sha256 of {name}", digest) for name, digest in known.inputs.items()),
    ]


def sizes(spec: CacheSpec | None) -> str:
    """The sizes of the caches, in words."""
    if spec is None:
        return "several specs"
    return (
        f"{spec.env_num} environments, {spec.init_pool_size} init slots each, {spec.recur_pool_size} recur slots"
        f" ({spec.num_simulations} simulations)"
    )


def exercised(result: Result) -> list[dict[str, Any]]:
    """By family of pools: a cell for each of `EXERCISED_COLUMNS`, and what is missing, in words."""
    return [
        {"family": family, "cells": _cells(each)} for family, each in result.coverage.families.items() if each.pools
    ]


def variety(result: Result) -> list[tuple[str, str]]:
    """Environments, kinds of entries, working copies and eviction strategies."""
    coverage = result.coverage
    strategies = {
        side: ", ".join(f"{family} {' and '.join(names)}" for family, names in families.items())
        for side, families in coverage.strategies.items()
    }
    return [
        ("Environments", f"{coverage.environments_seen:,} of {coverage.environments:,} were used"),
        ("Kinds of entries", "; ".join(coverage.kinds) or "none"),
        ("Changes of kind", number(coverage.kind_changes)),
        ("Working copies checked out", number(coverage.working_copies)),
        *((f"Eviction, {side}", said) for side, said in strategies.items()),
    ]


def pools(result: Result) -> list[list[str]]:
    """By side and family, the counts at the end."""
    return [
        [
            side,
            family,
            number(cells["hits"]),
            number(cells["misses"]),
            percent(cells["hits"], _sum(cells["hits"], cells["misses"])),
            number(cells["evictions"]),
            number(cells["length"]),
            size(cells["size_bytes"]),
        ]
        for side, rows in result.stats.items()
        for family, cells in by_family(rows).items()
    ]


def _cells(each: Exercised) -> list[tuple[str, str]]:
    """Each count, and what it means if it is zero."""
    cells = []
    for name, count, lacking in _EXERCISED:
        counted = count(each)
        text = f"{counted:,} of {each.pools:,}" if name.startswith("pools") else f"{counted:,}"
        cells.append((text, "" if counted else lacking))
    return cells


def _training(result: Result) -> list[tuple[str, str]]:
    training = result.training
    assert training is not None
    lookups = result.operations["get"] + result.operations["checkout"] + training.passed_over
    rows = [
        ("Served by", f"the {training.serve}"),
        ("World models", ", ".join(training.models)),
        ("All lookups", f"{lookups:,}, {training.passed_over:,} of them while shadowing paused"),
        ("Shadowing took", f"{training.shadow_s:.2f} s of {training.wall_s:.1f} s, {training.share:.1%} of wall time"),
    ]
    if result.candidate_s is not None:
        rows.append(("Of that, the candidate's own calls", f"about {result.candidate_s:.2f} s"))
    if training.stopped:
        rows.append(("Taken out early", training.stopped))
    return rows


def _sum(*numbers: int | None) -> int | None:
    known = [each for each in numbers if each is not None]
    return sum(known) if len(known) == len(numbers) else None
