"""How a command ends: its result is written to files, printed, and turned into an exit status."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from kvparity.commands.exit_status import DIVERGENCE, INTERRUPTED, PARITY
from kvparity.errors import UsageError
from kvparity.evidence.provenance import provenance, source_file
from kvparity.files import write_text
from kvparity.registry import factory_of, is_path
from kvparity.report import make_sure_it_can_be_made, render, verdict_line, write_page
from kvparity.report.junit import junit
from kvparity.report.markdown import summary
from kvparity.report.output_files import write_summary
from kvparity.results.writing import write_json
from kvparity.settings import read_settings
from kvparity.verdict import verdict_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from kvparity.caches.protocol import CacheFactory
    from kvparity.results.result import Result


def say(line: str) -> None:
    """Print one line to stderr. If nobody reads stderr, nothing happens."""
    with suppress(OSError):
        sys.stderr.write(f"kvparity: {line}\n")
        sys.stderr.flush()


def check_files(options: argparse.Namespace) -> None:
    """Raise before any work is done if the result cannot be written.

    Raises:
        UsageError: a folder does not exist, or a package that writes the page is not installed.
    """
    for name in ("json", "junit", "markdown", "certificate"):
        path = getattr(options, name, None)
        if path is not None:
            check_file(path)
    if getattr(options, "report", None):
        make_sure_it_can_be_made()


def check_file(path: Path) -> None:
    """Raise before any work is done if this file cannot be written.

    Raises:
        UsageError: its folder does not exist, or it is a folder itself.
    """
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no directory {path.parent}")
    if path.is_dir():
        raise UsageError(f"{path} cannot be written: it is a directory")


def conclude(result: Result, options: argparse.Namespace, console: Console, *, files: Sequence[Path]) -> int:
    """Write a result to all files that the options name, print it, and return its exit status.

    Files are written first, so that they are complete even if nobody reads what is printed.

    Args:
        result: what the command found.
        options: of the command line.
        console: where to print.
        files: traces and scripts that the result comes from.

    Raises:
        UsageError: a file cannot be written, or the settings cannot be read.
    """
    if options.json or options.report:
        result.provenance = provenance(options.command_line, files=files, caches=_factories(result))
    thresholds = read_settings(options.config).verdict
    verdict = verdict_of([result], thresholds=thresholds)
    line = verdict_line(result, fail_on=options.fail_on)
    try:
        if options.junit:
            write_text(options.junit, junit(result, verdict, fail_on=options.fail_on))
        if options.markdown:
            write_summary(options.markdown, summary(result, verdict, line=line.plain))
        if options.json:
            write_json(result, options.json)
        if options.report:
            write_page(result, options.report, fail_on=options.fail_on, thresholds=thresholds)
    finally:
        if not options.quiet:
            for side, name, file in _origins(result):
                console.print(Text(f"{side}  {name} ({file})"), soft_wrap=True)
            console.print(render(result))
            console.print(Text(f"`kvparity verdict` on this alone: {verdict.line}", style="dim"), soft_wrap=True)
        console.print(line, soft_wrap=True)
    if result.interrupted:
        return INTERRUPTED
    if result.fails(options.fail_on):
        return DIVERGENCE
    return INTERRUPTED if result.stopped else PARITY


def _origins(result: Result) -> Iterator[tuple[str, str, Path]]:
    """For each side that is named by a module or file: the side, its name, and the file that defines it.

    A reader sees from it whether the intended class was tested.
    """
    for side, given in (("reference", result.reference), ("candidate", result.candidate)):
        name = given.partition(" (")[0]
        if not is_path(name):
            continue
        with suppress(UsageError):
            file = source_file(factory_of(name))
            if file is not None:
                yield side, name, file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def _factories(result: Result) -> Iterator[tuple[str, CacheFactory]]:
    """The two caches by name. A training's own caches have none that can be found."""
    for name in dict.fromkeys(name.partition(" (")[0] for name in (result.reference, result.candidate)):
        with suppress(UsageError):
            yield name, factory_of(name)
