"""`kvparity report`: one HTML page from JSON results."""

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
    parser.add_argument(
        "result",
        nargs="+",
        type=Path,
        metavar="RESULT",
        help="a file that --json wrote; all files must be about the same two caches",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="the folder to write index.html to"
    )
    add_config_option(parser)
    parser.add_argument(
        "--fail-on",
        choices=FAIL_ON,
        default="behaviour",
        help="count a difference in the verdict if it is at least this severe (default behaviour)",
    )


def _report(options: argparse.Namespace) -> int:
    """Write the page, and print the verdict and where the page is. The exit status is 0 whatever the verdict is.

    Raises:
        UsageError: a file is not a result, the results are about several pairs of caches, or the page cannot be
            written.
    """
    make_sure_it_can_be_made()
    results = [read_result(path) for path in dict.fromkeys(options.result)]
    pairs = dict.fromkeys((result.reference, result.candidate) for result in results)
    if len(pairs) > 1:
        said = "; ".join(f"{reference} against {candidate}" for reference, candidate in pairs)
        raise UsageError(f"a report is about one pair of caches, but these results are about {len(pairs)}: {said}")
    result = merge(results)
    thresholds = read_settings(options.config).verdict
    try:
        write_page(result, options.output, fail_on=options.fail_on, thresholds=thresholds)
    except (ValueError, TypeError) as error:  # reading a result does not check every number
        raise UsageError(f"these are not results: {error}") from None
    console = open_console()
    console.print(verdict_line(result, fail_on=options.fail_on), soft_wrap=True)
    console.print(f"written: {options.output / 'index.html'}", soft_wrap=True, markup=False)
    return PARITY


COMMAND = Command(
    name="report",
    summary="make one HTML page from JSON results",
    details="The page opens in any browser, offline. It needs the extra `report`.",
    example="kvparity report result.json -o report",
    add_options=_add_options,
    run=_report,
)
