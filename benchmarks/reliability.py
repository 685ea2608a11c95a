"""What was tried, what was survived, and what was lost: the table of docs/reliability.md.

    python benchmarks/reliability.py [--markdown]

Each fault is brought about by a test of tests/test_faults_survived.py or of the other files named here; this runs them,
with 50 kills instead of the 10 of the suite. The rows on fuzzing are those of fuzzing/record.json, which
`python fuzzing/run.py --keep` has added up. Ends with 1 where anything was not survived.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
KILLS = 50
FILES = ("test_faults_survived.py", "test_patience.py", "test_hostile_traces.py", "test_harmless.py", "test_fuzzing.py")
NONE_LOST = "none"
# A fault, the beginnings of the names of its tests, and what is lost in it where no test measures that.
FAULTS = (
    ("kill -9 while recording", ("test_a_recording_survives_a_kill",), ""),
    ("disk full", ("test_where_the_disk_is_full",), "of the recording: all from then on, said in a warning"),
    ("read-only directory", ("test_a_read_only", "test_a_finished_trace_is", "test_what_can_be_read"), NONE_LOST),
    ("a candidate hangs", ("test_a_candidate_that_hangs", "test_a_reference_that_hangs"), NONE_LOST),
    ("a candidate runs out of memory", ("test_a_candidate_that_runs_out",), NONE_LOST),
    ("SIGTERM, SIGINT", ("test_a_signal_leaves",), "those after the signal, said in the report"),
    ("a fork in the middle of a run", ("test_a_fork_in_the_middle",), NONE_LOST),
    ("clocks going backwards", ("test_clocks_that",), NONE_LOST),
    ("two recorders on one path", ("test_of_two_recorders",), NONE_LOST),
    (
        "traces made to do harm",
        ("test_a_view", "test_what_no_recording", "test_columns", "test_nothing_can", "test_a_trace_that_claims",
         "test_a_schema_without", "test_a_tensor", "test_a_layout", "test_a_chunk", "test_streams",
         "test_caches_larger", "test_a_file_that_never", "test_what_is_refused"),
        NONE_LOST,
    ),
    (
        "names and results made to do harm",
        ("test_names_in", "test_files_can", "test_errors_in", "test_a_path_with", "test_no_trace_has",
         "test_a_result_", "test_counts_of"),
        NONE_LOST,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault.

    Attributes:
        fault: in words.
        tried: how often.
        survived: how often it was.
        lost: operations.
    """

    fault: str
    tried: int
    survived: int
    lost: str


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true", help="as in docs/reliability.md")
    options = parser.parse_args()
    rows = list(faults())
    columns = ("fault", "tried", "survived", "operations lost")
    _print(columns, [(row.fault, f"{row.tried:,}", f"{row.survived:,}", row.lost) for row in rows], options.markdown)
    fuzzed = json.loads((ROOT / "fuzzing" / "record.json").read_text(encoding="utf-8"))
    names = ("fuzzed", "minutes", "executions", "crashes found", "open")
    cells = [
        (name, f"{found['seconds'] / 60:.0f}", f"{found['executions']:,}", str(found["crashes"]), str(found["open"]))
        for name, found in fuzzed.items()
    ]
    _print(names, cells, options.markdown)
    return int(any(row.survived < row.tried for row in rows) or any(found["open"] for found in fuzzed.values()))


def faults() -> list[Row]:
    """Bring them all about."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        files = [str(ROOT / "tests" / file) for file in FILES]
        subprocess.run(  # noqa: S603  our own tests
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *files],
            check=False,
            cwd=ROOT,
            env={**os.environ, "KVPARITY_KILLS": str(KILLS)},
            stdout=subprocess.DEVNULL,
        )
        cases = list(ET.parse(report).iter("testcase"))  # noqa: S314  written by pytest just now
    return [_row(fault, [case for case in cases if case.get("name", "").startswith(names)], lost)
            for fault, names, lost in FAULTS]  # fmt: skip


def _row(fault: str, cases: list[ET.Element], lost: str) -> Row:
    tried = survived = 0
    for case in cases:
        said = {each.get("name"): each.get("value", "") for each in case.iter("property")}
        if case.find("skipped") is not None:
            continue
        times = int(said.get("tried", "1"))
        tried += times
        if case.find("failure") is None and case.find("error") is None:
            survived += times
            lost = said.get("lost", lost)
    return Row(fault=fault, tried=tried, survived=survived, lost=lost)


def _print(columns: tuple[str, ...], rows: list[tuple[str, ...]], markdown: bool) -> None:  # noqa: FBT001
    if markdown:
        print(f"| {' | '.join(columns)} |")
        print(f"| {' | '.join('---' if at in (0, 3) else '---:' for at in range(len(columns)))} |")
        for row in rows:
            print(f"| {' | '.join(row)} |")
        print()
        return
    table = Table(box=None)
    for at, column in enumerate(columns):
        table.add_column(column, justify="left" if at in (0, 3) else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
