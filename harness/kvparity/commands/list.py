"""`kvparity list`: the installed caches, scenarios, faulty caches and traces."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from rich.table import Table

from kvparity.commands.command import Command
from kvparity.commands.exit_status import PARITY
from kvparity.registry import CACHES, FAULT_PREFIX, SCENARIOS, TRACES, faults, installed, load_scenario, trace_path
from kvparity.report.console import open_console
from kvparity.traces.reader import Trace

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path


_SECTIONS: dict[str, Callable[[], dict[str, str]]] = {
    "caches": lambda: {name: point.value for name, point in installed(CACHES).items()},
    "scenarios": lambda: {name: load_scenario(name).summary for name in installed(SCENARIOS)},
    "faults": lambda: {f"{FAULT_PREFIX}{name}": _first_line(fault) for name, fault in faults().items()},
    "traces": lambda: {name: _trace_summary(trace_path(name)) for name in installed(TRACES)},
}


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("section", nargs="?", choices=tuple(_SECTIONS), help="list only these")


def _list(options: argparse.Namespace) -> int:
    """List one section, or all.

    Raises:
        UsageError: something that is installed cannot be loaded.
        TraceError: a trace is damaged.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for section, entries in _SECTIONS.items():
        if options.section in (None, section):
            table.add_row(section, "")
            for name, summary in entries().items():
                table.add_row(f"  {name}", summary)
    open_console().print(table)
    return PARITY


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def _trace_summary(path: Path) -> str:
    with Trace(path) as trace:
        return f"{len(trace):,} operations served by {trace.header.served_by}. {trace.header.note}"


COMMAND = Command(
    name="list",
    summary="list the caches, scenarios, faulty caches and traces that are installed",
    details="Every name in the list can be given to the other commands.",
    example="kvparity list scenarios",
    add_options=_add_options,
    run=_list,
)
