"""Every target of speed and size, as ratios that are measured side by side in one process.

Each row of the table is one line at one size of entry. It divides one measurement by another that is made right after
it in the same repeat; the modules of `benchmarks/lines/` say what is divided by what. The lines take turns, so that
other work on the machine affects all of them alike. A ratio is the median over the repeats, and lines that take long
are repeated less often. Times are processor time, unless the line says otherwise. One thread, and `torch.no_grad()`, as
in LightZero's inference.

Exit status: 1 if a target is missed.

Example:
    python benchmarks/targets.py --only set --only "search cycle" --repeats 5
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

WIDTH = 120  # characters of the table, also where there is no terminal


def table(rows: Sequence[Row]) -> Table:
    """The table for a terminal."""
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
    """Measure, print, and write the JSON if `--json` asks for it. The module's docstring lists the exit statuses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only",
        action="append",
        metavar="LINE",
        choices=[line.name for line in ALL],
        help="measure only this line; may be repeated",
    )
    parser.add_argument("--repeats", type=int, default=15, help="measurements of each line (default 15)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to FILE")
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
