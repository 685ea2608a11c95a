"""How a command ends: what it came to is written, shown, and told by its exit status."""

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
    """One line on stderr, whether anybody reads it or not."""
    with suppress(OSError):
        sys.stderr.write(f"kvparity: {line}\n")
        sys.stderr.flush()


def check_files(options: argparse.Namespace) -> None:
    """Before much work is done: make sure that what it comes to can be written.

    Raises:
        UsageError: it cannot.
    """
    for name in ("json", "junit", "markdown", "certificate"):
        path = getattr(options, name, None)
        if path is not None:
            check_file(path)
    if getattr(options, "report", None):
        make_sure_it_can_be_made()


def check_file(path: Path) -> None:
    """Before much work is done: make sure that there is a folder for this file, and none in its place.

    Raises:
        UsageError: there is not.
    """
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no directory {path.parent}")
    if path.is_dir():
        raise UsageError(f"{path} cannot be written: it is a directory")


def conclude(result: Result, options: argparse.Namespace, console: Console, *, files: Sequence[Path]) -> int:
    """Report a result, which came of these files, everywhere that was asked for; its exit status.

    Files come first: whoever reads what is printed may have gone.
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
    """Of each side that is named by its module or file: which side, its name, and the file that it came from.

    So that a reader sees whether the class that was tested is the one that was meant.
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
    """The two caches by name, as far as they are found by it: a training's own are not."""
    for name in dict.fromkeys(name.partition(" (")[0] for name in (result.reference, result.candidate)):
        with suppress(UsageError):
            yield name, factory_of(name)
