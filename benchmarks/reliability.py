"""The tables of docs/reliability.md: what was tried, what was survived, and what was lost.

Tests cause every fault, and this script runs them: with 50 kills and 1,000 histories of threads, where the test suite
has 10 and 25. Fuzzing, the soak and the campaigns take hours, so their figures are read from files:
fuzzing/record.json, which `python fuzzing/run.py --keep` adds to, and benchmarks/records, which `soak.py --keep` and
`campaign.py --keep` write. The exit status is 1 if a fault was not survived, a planted fault was not found, a crash is
open, memory leaks, or two workers get another result than one.

Example:
    python benchmarks/reliability.py --markdown
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
from typing import Any, Protocol
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.table import Table

from records import kept

ROOT = Path(__file__).parents[1]
MORE = {"KVPARITY_KILLS": "50", "KVPARITY_HISTORIES": "1000"}
NONE_LOST = "none"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        what: the text of its first cell.
        tests: how the names of its tests begin.
        lost: which operations are lost, if no test measures that.
    """

    what: str
    tests: tuple[str, ...]
    lost: str = NONE_LOST


FAULTS = (
    Row("kill -9 while recording", ("test_a_recording_survives_a_kill",)),
    Row("disk full", ("test_where_the_disk_is_full",), "all later ones of the recording; a warning says so"),
    Row("read-only directory", ("test_a_read_only", "test_a_finished_trace_is", "test_what_can_be_read_of_a_killed")),
    Row(
        "a candidate hangs",
        ("test_a_candidate_that_hangs", "test_a_reference_that_hangs", "test_small_programs_are_looked_for_with"),
    ),
    Row("a candidate runs out of memory", ("test_a_candidate_that_runs_out",)),
    Row("SIGTERM, SIGINT", ("test_a_signal_leaves",), "those after the signal; the report says so"),
    Row("a fork in the middle of a run", ("test_a_fork_in_the_middle",)),
    Row("clocks going backwards", ("test_clocks_that",)),
    Row("two recorders on one path", ("test_of_two_recorders",), "those of the second, which is refused"),
    Row(
        "a campaign's worker dies",
        ("test_a_task_whose_worker_dies", "test_a_task_that_kills"),
        "none; after three failures those of the task, and the verdict says so",
    ),
    Row("a campaign is interrupted", ("test_an_interrupted_campaign", "test_ctrl_c_ends_a_campaign")),
    Row(
        "hostile traces",
        ("test_a_view_in", "test_what_no_recording_has", "test_columns_cannot", "test_nothing_can_be_written_through",
         "test_a_trace_that_claims", "test_a_schema_without", "test_a_tensor_of", "test_a_layout_of",
         "test_a_chunk_named", "test_streams_of_too_many", "test_caches_larger", "test_a_file_that_never",
         "test_what_is_refused_takes"),
    ),
    Row(
        "hostile names and results",
        ("test_names_in_a_result", "test_files_can_be_written", "test_errors_in_a_trace", "test_a_path_with_markup",
         "test_no_trace_has_a_module", "test_no_name_is_a_path", "test_a_message_in_a_program", "test_a_result_that_is",
         "test_a_result_of_more", "test_counts_of_unknown", "test_what_is_hostile_stays", "test_hostile_names_stay",
         "test_json_in_a_script", "test_what_a_terminal"),
    ),
)  # fmt: skip
THREADS = (
    Row("a thread-safe manager: has each history an order?", ("test_the_thread_safe_manager_is_linearisable",)),
    Row("the same, with lookups through two pools", ("test_lookups_through_two_pools",)),
    Row("a ShadowCache: is a call lost?", ("test_eight_threads_lose_no_event",)),
)
PLANTED = (
    Row("a race", ("test_a_planted_race_is_caught",)),
    Row("a leak of 1 KB in 1,000 sets", ("test_a_leak_of_1_kb",)),
)
FILES = (
    "campaign/test_campaign",
    "judging/test_linearity",
    "report/test_ci",
    "report/test_console",
    "report/test_html",
    "shadow/test_threads",
    "shadow/test_timeout",
    "test_faults_survived",
    "test_soak",
    "traces/test_hostile_files",
)


@dataclass(slots=True)
class Seen:
    """The outcome of a row's tests.

    Attributes:
        tried: how many times the fault was caused. Tests that this machine has to skip do not count.
        survived: how many times of these the test passed.
        said: what the tests measured, by name; `calls` is the sum.
    """

    tried: int
    survived: int
    said: dict[str, Any]


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true", help="print the tables as in docs/reliability.md")
    show = _markdown if parser.parse_args().markdown else _terminal
    rows = (*FAULTS, *THREADS, *PLANTED)
    seen = dict(zip(rows, run_tests(rows), strict=True))
    show(
        ("fault", "tried", "survived", "operations lost"),
        [
            (row.what, _n(seen[row].tried), _n(seen[row].survived), seen[row].said.get("lost", row.lost))
            for row in FAULTS
        ],
    )
    show(
        ("threads", "how many", "tried", "held", "calls"),
        [
            (row.what, it.said.get("threads", "-"), _n(it.tried), _n(it.survived), _n(it.said.get("calls", 0)))
            for row in THREADS
            for it in [seen[row]]
        ],
    )
    show(
        ("planted fault", "tried", "found"),
        [(row.what, _n(seen[row].tried), _n(seen[row].survived)) for row in PLANTED],
    )
    bad = [row.what for row in rows if seen[row].survived < seen[row].tried or not seen[row].tried]
    bad += [*fuzzed(show), *soaked(show), *scaled(show)]
    print(f"not as it should be: {', '.join(bad)}" if bad else "all as it should be")
    return int(bool(bad))


# ---------------------------------------------------------------------- measured now


def run_tests(rows: tuple[Row, ...]) -> list[Seen]:
    """Run the tests of all rows."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        files = [str(ROOT / "tests" / f"{file}.py") for file in FILES]
        names = " or ".join(name for row in rows for name in row.tests)
        as_told = ("-p", "no:cacheprovider", "-o", "junit_family=xunit1", f"--junitxml={report}")  # 2 has no properties
        subprocess.run(  # noqa: S603  our own tests
            [sys.executable, "-m", "pytest", "-q", *as_told, "-k", names, *files],
            check=False,
            cwd=ROOT,
            env={**os.environ, **MORE},
            stdout=sys.stderr,
        )
        cases = list(ET.parse(report).iter("testcase"))  # noqa: S314  written by pytest just now
    return [_seen(row, cases) for row in rows]


def _seen(row: Row, cases: list[ET.Element]) -> Seen:
    seen = Seen(tried=0, survived=0, said={})
    for name in row.tests:
        found = [case for case in cases if case.get("name", "").startswith(name)]
        if not found:
            raise SystemExit(f"no test is called {name}...")
        for case in found:
            if case.find("skipped") is None:
                _add(seen, case)
    return seen


def _add(seen: Seen, case: ET.Element) -> None:
    said = {each.get("name", ""): each.get("value", "") for each in case.iter("property")}
    times = int(said.get("tried", "1"))
    seen.tried += times
    if case.find("failure") is None and case.find("error") is None:
        seen.survived += times
        seen.said.update({name: value for name, value in said.items() if name in ("lost", "threads")})
        if "calls" in said:
            seen.said["calls"] = seen.said.get("calls", 0) + int(said["calls"])


# ---------------------------------------------------------------------- measured earlier


def fuzzed(show: Show) -> list[str]:
    """Show the figures of fuzzing; return the targets with an open crash."""
    record = json.loads((ROOT / "fuzzing" / "record.json").read_text(encoding="utf-8"))
    cells = [
        (
            name,
            f"{it['seconds'] / 60:.0f}",
            _n(it["executions"]),
            _n(it["crashes"]),
            _n(it["open"]),
            it.get("last", "-"),
        )
        for name, it in record.items()
    ]
    show(("fuzzed", "minutes", "executions", "crashes found", "open", "last"), cells)
    return [name for name, it in record.items() if it["open"]]


def soaked(show: Show) -> list[str]:
    """Show the figures of the soak; return the scenarios that leak."""
    record = kept("soak")
    cells = [
        (
            name,
            _n(it["operations"]),
            f"{it['seconds'] / 60:.0f}",
            *(_interval(it[each]) for each in _SLOPES),
            it["verdict"],
        )
        for name, it in record.items()
    ]
    show(("soaked", "operations", "minutes", "allocated, B", "process, B", "pace, ns", "verdict"), cells)
    return [f"{name} leaks" for name, it in record.items() if it["verdict"] == "LEAK"]


def scaled(show: Show) -> list[str]:
    """Show how long two workers took; return the engines whose result was another."""
    record = kept("campaign")
    cells = [
        (
            f"two workers, {engine}",
            f"`{it['work']}`",
            ", ".join(f"{turn['one_s']:g}" for turn in it["turns"]),
            ", ".join(f"{turn['two_s']:g}" for turn in it["turns"]),
            f"{it['share']:.2f}",
            f"{it['two_for_one']:.2f}",
            "the same" if it["same"] else "ANOTHER",
        )
        for engine, it in record.items()
    ]
    show(("scaling", "work", "one process, s", "two, s", "share", "two cores are worth", "result"), cells)
    return [f"the result of {engine}" for engine, it in record.items() if not it["same"]]


_SLOPES = ("allocated", "process", "pace")


def _interval(growth: dict[str, float] | None) -> str:
    return "-" if growth is None else f"{growth['slope']:+,.1f} ({growth['low']:+,.1f} to {growth['high']:+,.1f})"


# ---------------------------------------------------------------------- tables


class Show(Protocol):
    """Prints a table."""

    def __call__(self, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        """Print `rows` below `columns`."""


def _markdown(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    print(f"| {' | '.join(columns)} |")
    print(f"| {' | '.join('---' if at == 0 else '---:' for at in range(len(columns)))} |")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print()


def _terminal(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = Table(box=None)
    for at, column in enumerate(columns):
        table.add_column(column, justify="right" if at else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _n(number: Any) -> str:
    return f"{int(number):,}"


if __name__ == "__main__":
    sys.exit(main())
