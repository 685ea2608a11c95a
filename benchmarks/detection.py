"""What kvparity finds: every faulty cache of the gallery, against every scenario, a real recording, and fuzzing.

Each faulty cache is compared with the refactored cache of the same eviction strategy. A cell of the table is the number
of operations after which the comparison found what the fault declares (corruption; or behaviour, or worse) and blamed
the candidate. `behaviour` means that a corruption was seen only as behaviour. `-` means that nothing was found. `BLAME`
means that a divergence blamed somebody other than the candidate.

If a fault names a method, that method runs for at least the number of operations and with the seed that the fault asks
for. Fuzzing stops at the first finding that counts, or after `--examples`.

Exit status: 1 if a fault was not found, was blamed on another side, or took more than a minute.

Example:
    python benchmarks/detection.py --steps 2000 by-reference forgets-v
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from kvparity.driving.comparison import Comparison
from kvparity.registry import FAULT_PREFIX, SCENARIOS, TRACES, installed, load_scenario, trace_path
from kvparity.results.divergence import CORRUPTION, SEVERITIES
from kvparity.search.fuzz import Fuzzer
from kvparity.traces.reader import Trace
from kvparity_scenarios.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kvparity.results.result import Result
    from kvparity_scenarios.faults import Fault

TRACE = "cartpole-unizero"
FUZZ = "fuzz"
THREADS = "threads"  # only tests/judging/test_linearity.py finds these faults
LIMIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One fault with one method.

    Attributes:
        severity: the worst severity that was found; None if nothing was found.
        after: the operations until the first divergence that is as severe as the fault declares; None without one.
        misblamed: the number of divergences that do not blame the candidate.
        divergences: the number of all divergences.
    """

    fault: str
    method: str
    declared: str
    severity: str | None
    after: int | None
    misblamed: int
    divergences: int
    operations: int
    elapsed_s: float

    @property
    def caught(self) -> bool:
        """Whether what the fault declares was found, or worse, and only the candidate was blamed."""
        return self.after is not None and not self.misblamed

    def __str__(self) -> str:
        if self.misblamed:
            return "BLAME"
        if self.caught:
            return f"{self.after:,}"
        return self.severity or "-"


def methods() -> list[str]:
    """The names of the scenarios, of the bundled trace if it is installed, and of fuzzing."""
    return [*installed(SCENARIOS), *(name for name in installed(TRACES) if name == TRACE), FUZZ]


def drive(name: str, fault: type[Fault], method: str, *, steps: int, examples: int, seed: int) -> Cell:
    """Compare one fault by one method."""
    comparison = Comparison(f"refactored-{fault.eviction}", f"{FAULT_PREFIX}{name}")
    if method in fault.methods:
        steps, seed = max(steps, fault.steps), fault.seed or seed
    began = time.perf_counter()
    after = None
    if method == FUZZ:
        fuzzer = Fuzzer(comparison, seed=seed, examples=examples)
        for finding in fuzzer.findings():
            if finding.divergence.severity in (fault.severity, CORRUPTION):
                after = finding.after
                break
        result = fuzzer.result()
    elif method == TRACE:
        with Trace(trace_path(method)) as trace:
            result = comparison.trace(trace, workload=method, steps=steps)
    else:
        result = comparison.scenario(load_scenario(method), seed=seed, steps=steps)
    found = [kind for kind, count in result.by_kind.items() if count]
    return Cell(
        fault=name,
        method=method,
        declared=fault.severity,
        severity=min((SEVERITIES[kind] for kind in found), key=lambda each: each != CORRUPTION, default=None),
        after=after if method == FUZZ else _after(result, fault.severity),
        misblamed=result.total - result.by_side["candidate"],
        divergences=result.total,
        operations=result.operations_total,
        elapsed_s=time.perf_counter() - began,
    )


def _after(result: Result, severity: str) -> int | None:
    enough = (severity, CORRUPTION)
    firsts = [each for each in result.first.values() if each.wrong == "candidate" and each.severity in enough]
    return min((each.number + 1 for each in firsts), default=None)


def table(rows: dict[str, list[Cell]]) -> Table:
    """The table for a terminal: a row for each fault, a column for each method."""
    drawn = Table(title="operations until found", caption=total_line(rows))
    drawn.add_column("fault", no_wrap=True)
    for method in next(iter(rows.values()), []):
        drawn.add_column(method.method, justify="right")
    drawn.add_column("seconds", justify="right")
    for name, cells in rows.items():
        colours = ("green" if cell.caught else "red" if cell.misblamed else "yellow" for cell in cells)
        drawn.add_row(
            name,
            *(f"[{colour}]{cell}[/]" for colour, cell in zip(colours, cells, strict=True)),
            f"{sum(cell.elapsed_s for cell in cells):.1f}",
        )
    return drawn


def markdown(rows: dict[str, list[Cell]]) -> str:
    """The same table as Markdown."""
    heads = ["fault", "severity", *(cell.method for cell in next(iter(rows.values()), []))]
    lines = [heads, ["---", "---", *("--:" for _ in heads[2:])]]
    lines += [[f"`{name}`", cells[0].declared, *map(str, cells)] for name, cells in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{total_line(rows)}"


def total_line(rows: dict[str, list[Cell]]) -> str:
    """One line that sums up the table."""
    cells = [cell for row in rows.values() for cell in row]
    caught = sum(any(cell.caught for cell in row) for row in rows.values())
    kills = sum(cell.caught for cell in cells)
    misblamed = sum(cell.misblamed > 0 for cell in cells)
    return (
        f"{caught} of {len(rows)} faults caught, {kills} of {len(cells)} cells,"
        f" {misblamed} cells with a wrong blame, {sum(cell.elapsed_s for cell in cells):.0f} s"
    )


def main() -> int:
    """Measure and print. The module's docstring lists the exit statuses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "fault", nargs="*", choices=[*FAULTS, []], metavar="FAULT", help="names of faulty caches (default all)"
    )
    parser.add_argument("--steps", type=int, default=5000, help="operations of each comparison (default 5,000)")
    parser.add_argument("--examples", type=int, default=300, help="examples of fuzzing (default 300)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the scenarios (default 0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the cells to FILE")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names: Iterable[str] = options.fault or [name for name in FAULTS if FAULTS[name].methods != (THREADS,)]
    console = Console()
    rows = {
        name: [
            drive(name, FAULTS[name], method, steps=options.steps, examples=options.examples, seed=options.seed)
            for method in methods()
        ]
        for name in track(list(names), console=Console(stderr=True), transient=True)
    }
    if options.markdown:
        print(markdown(rows))
    else:
        console.print(table(rows))
    if options.json is not None:
        cells = [{**asdict(cell), "caught": cell.caught} for row in rows.values() for cell in row]
        options.json.write_text(
            json.dumps(
                {"steps": options.steps, "examples": options.examples, "seed": options.seed, "cells": cells}, indent=2
            )
        )
    good = all(
        any(cell.caught for cell in row)
        and not any(cell.misblamed for cell in row)
        and sum(cell.elapsed_s for cell in row) < LIMIT_S
        for row in rows.values()
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
