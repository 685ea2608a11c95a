"""False alarms: correct caches through every scenario and through fuzzing must not show a single corruption.

Each line is a pair of caches that were written independently and follow the same strategy. Differences of behaviour are
allowed only for the original and its documented quirks (docs/the-original.md).

Exit status: 1 if anything else was found.

Example:
    python benchmarks/soundness.py --operations 100000 --examples 2000 refactored-lru
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from kvparity.driving.comparison import Comparison
from kvparity.registry import SCENARIOS, installed, load_scenario
from kvparity.results.divergence import CORRUPTION
from kvparity.search.fuzz import Fuzzer

if TYPE_CHECKING:
    from kvparity.results.result import Result

PAIRS = {
    "legacy-evicting": ("legacy-evicting", "refactored-fifo"),
    "refactored-fifo": ("kvparity_scenarios.correct_cache:CorrectCache", "refactored-fifo"),
    "refactored-lru": ("kvparity_scenarios.correct_cache:CorrectLru", "refactored-lru"),
    "refactored-priority": ("kvparity_scenarios.correct_cache:CorrectPriority", "refactored-priority"),
}
QUIRKY = "legacy-evicting"
FUZZ = "fuzz"


class Row(NamedTuple):
    """One pair of caches with one method."""

    pair: str
    method: str
    operations: int
    gets_compared: int
    corruption: int
    behaviour: int
    by_others: int
    elapsed_s: float

    @property
    def correct(self) -> bool:
        """Whether nothing was found except the original's quirks."""
        return not self.corruption and (not self.behaviour or (self.pair == QUIRKY and not self.by_others))


def measure(pair: str, method: str, *, operations: int, examples: int) -> Row:
    """Compare one pair by one method."""
    comparison = Comparison(*PAIRS[pair])
    began = time.perf_counter()
    if method == FUZZ:
        fuzzer = Fuzzer(comparison, examples=examples)
        list(fuzzer.findings())
        result: Result = fuzzer.result()
    else:
        result = comparison.scenario(load_scenario(method), seed=0, steps=operations)
    return Row(
        pair=pair,
        method=method,
        operations=result.operations_total,
        gets_compared=result.gets_compared,
        corruption=result.count(CORRUPTION),
        behaviour=result.total - result.count(CORRUPTION),
        by_others=result.total - result.by_side["reference"],
        elapsed_s=time.perf_counter() - began,
    )


def main() -> int:
    """Measure and print. The module's docstring lists the exit statuses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "pair",
        nargs="*",
        choices=[*PAIRS, []],
        metavar="PAIR",
        help=f"names of pairs (default all): {', '.join(PAIRS)}",
    )
    parser.add_argument(
        "--operations", type=int, default=1_000_000, help="operations over all scenarios (default 1,000,000)"
    )
    parser.add_argument("--examples", type=int, default=20_000, help="examples of fuzzing (default 20,000)")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = parser.parse_args()
    torch.set_num_threads(1)
    scenarios = list(installed(SCENARIOS))
    each = -(-options.operations // len(scenarios))
    tasks = [(pair, method) for pair in options.pair or PAIRS for method in (*scenarios, FUZZ)]
    rows = [
        measure(pair, method, operations=each, examples=options.examples)
        for pair, method in track(tasks, console=Console(stderr=True), transient=True)
    ]
    print(markdown(rows)) if options.markdown else Console().print(table(rows))
    return 0 if all(row.correct for row in rows) else 1


HEADS = ("reference", "candidate", "method", "operations", "gets compared", "corruption", "behaviour", "seconds")


def cells(row: Row) -> list[str]:
    """The cells of a row."""
    numbers = (row.operations, row.gets_compared, row.corruption, row.behaviour)
    return [*PAIRS[row.pair], row.method, *(f"{number:,}" for number in numbers), f"{row.elapsed_s:.0f}"]


def table(rows: list[Row]) -> Table:
    """The table for a terminal."""
    drawn = Table(*HEADS)
    for row in rows:
        drawn.add_row(*cells(row), style="green" if row.correct else "red")
    return drawn


def markdown(rows: list[Row]) -> str:
    """The table as Markdown."""
    lines = [list(HEADS), ["---"] * 3 + ["--:"] * (len(HEADS) - 3), *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
