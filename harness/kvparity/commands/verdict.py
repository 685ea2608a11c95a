"""`kvparity verdict`: may the candidate replace the reference?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from kvparity.commands.command import Command
from kvparity.commands.conclusion import check_files
from kvparity.commands.exit_status import DIVERGENCE, INCONCLUSIVE, PARITY
from kvparity.commands.shared_options import add_config_option
from kvparity.files import write_text
from kvparity.report.console import open_console
from kvparity.report.verdict_text import as_markdown, further, render_verdict, verdict_text
from kvparity.settings import read_settings
from kvparity.verdict import GO, NO_GO, verdict_of
from kvparity.verdict.material import read_material

if TYPE_CHECKING:
    import argparse

_PIPE_WIDTH = 120
_STATUSES = {GO: PARITY, NO_GO: DIVERGENCE}


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a file that --json of run, replay, fuzz, shadow, bench or compare-training wrote",
    )
    add_config_option(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdict as JSON")
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="write a certificate, as Markdown")
    parser.add_argument("--quiet", action="store_true", help="print the verdict only")


def _verdict(options: argparse.Namespace) -> int:
    """Decide, write the files, and print.

    Raises:
        UsageError: a file cannot be read or written, or the files are not about one pair of caches.
    """
    check_files(options)
    thresholds = read_settings(options.config).verdict
    material = read_material(options.file)
    found = verdict_of(
        material.results,
        bench=material.benches,
        paired=material.trainings,
        thresholds=thresholds,
        files=material.files,
    )
    console = open_console()
    if not console.is_terminal:
        console.width = max(console.width, _PIPE_WIDTH)
    try:
        if options.json:
            write_text(options.json, json.dumps(found.as_dict(), indent=2) + "\n")
        if options.certificate:
            write_text(options.certificate, as_markdown(found))
    finally:
        if not options.quiet:
            console.print(render_verdict(found))
            console.print(further(found), soft_wrap=True)
        console.print(verdict_text(found), soft_wrap=True)
    return _STATUSES.get(found.outcome, INCONCLUSIVE)


COMMAND = Command(
    name="verdict",
    summary="decide from JSON results: GO, NO-GO or INCONCLUSIVE",
    details="GO: the candidate may replace the reference. NO-GO: it may not, and why.\n"
    "INCONCLUSIVE: something was not tested, and which commands test it.",
    example="kvparity verdict run.json fuzz.json bench.json --certificate certificate.md",
    add_options=_add_options,
    run=_verdict,
)
