"""`kvparity report`: results that were written before, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kvparity.commands.command import Command
from kvparity.commands.exit_status import PARITY
from kvparity.commands.shared_options import add_config_option
from kvparity.errors import UsageError
from kvparity.report import make_sure_it_can_be_made, verdict_line, write_page
from kvparity.report.console import open_console
from kvparity.results.adding import merge
from kvparity.results.reading import read_result
from kvparity.results.result import FAIL_ON
from kvparity.settings import read_settings

if TYPE_CHECKING:
    import argparse


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("result", nargs="+", type=Path, metavar="RESULT", help="JSON results of one pair of caches")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where to write index.html")
    add_config_option(parser)
    parser.add_argument(
        "--fail-on", choices=FAIL_ON, default="behaviour", help="what the verdict counts (default behaviour)"
    )


def _report(options: argparse.Namespace) -> int:
    """Write the page, say where it is, and what the verdict is; 0, whatever that is.

    Raises:
        UsageError: a file is no result, they are of several pairs of caches, or the page cannot be written.
    """
    make_sure_it_can_be_made()
    results = [read_result(path) for path in dict.fromkeys(options.result)]
    pairs = dict.fromkeys((result.reference, result.candidate) for result in results)
    if len(pairs) > 1:
        said = "; ".join(f"{reference} against {candidate}" for reference, candidate in pairs)
        raise UsageError(f"one report is of one pair of caches, and these results are of {len(pairs)}: {said}")
    result = merge(results)
    thresholds = read_settings(options.config).verdict
    try:
        write_page(result, options.output, fail_on=options.fail_on, thresholds=thresholds)
    except (ValueError, TypeError) as error:  # numbers that are none, which reading a result does not look at
        raise UsageError(f"no result: {error}") from None
    console = open_console()
    console.print(verdict_line(result, fail_on=options.fail_on), soft_wrap=True)
    console.print(f"written: {options.output / 'index.html'}", soft_wrap=True, markup=False)
    return PARITY


COMMAND = Command(
    name="report",
    summary="the HTML report of results that were written with --json",
    add_options=_add_options,
    run=_report,
)
