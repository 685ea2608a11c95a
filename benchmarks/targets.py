"""Every target of speed and size: ratios, side by side in one process.

    python benchmarks/targets.py [--only LINE] [--repeats 15] [--json FILE]

Each row is one line at one size of entry. It divides one measurement by another, made right after it in the same
repeat; `benchmarks/lines/` says for each line what exactly is divided by what. The lines take turns, so that whatever
else the machine does meets all alike; a ratio is the median of the ratios of its repeats, and lines that take long are
repeated less often. Times are processor time, unless a line says otherwise. One thread, and `torch.no_grad()`, as
LightZero's inference.

Ends with status 1 where a target is not met. `--only` takes one line, and may be given several times.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from rich.console import Console
from rich.table import Table

from lines import ALL, Effort, measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lines import Row

WIDTH = 120  # of the table, wherever it goes


def table(rows: Sequence[Row]) -> Table:
    """The rows for people."""
    drawn = Table(title="ratios, the median of repeats in turns")
    drawn.add_column("line", no_wrap=True)
    for heading in ("entry", "ratio", "quartiles", "at most", "met", "over", "under", "repeats"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        colour = "red" if row.met is False else "green"
        drawn.add_row(
            row.line,
            row.entry,
            f"[{colour}]{row.ratio:.3f}[/]",
            f"{row.low:.3f}-{row.high:.3f}",
            "" if row.target is None else f"{row.target:.2f}",
            {None: "", True: "yes", False: "NO"}[row.met],
            f"{row.over:.2f} {row.unit}",
            f"{row.under:.2f} {row.unit}",
            str(row.repeats),
        )
    return drawn


def main(arguments: Sequence[str] | None = None, *, effort: Effort | None = None) -> int:
    """Measure, print, and write the JSON where one is asked for; see above for the exit status."""
    parser = argparse.ArgumentParser(description="Every target of speed and size.")
    parser.add_argument(
        "--only",
        action="append",
        metavar="LINE",
        choices=[line.name for line in ALL],
        help="this line; may be repeated",
    )
    parser.add_argument("--repeats", type=int, default=15, help="how often each line is measured (default 15)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error(f"--repeats {options.repeats} is too few: a median needs at least 1")
    torch.set_num_threads(1)
    lines = [line for line in ALL if options.only is None or line.name in options.only]
    with torch.no_grad():
        rows = measure(lines, effort or Effort(), repeats=options.repeats)
    Console(width=WIDTH).print(table(rows))
    if options.json is not None:
        content = {"torch": torch.__version__, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
