"""The command line: what each command does. `kvparity.commands.options` says what it takes.

Exit status: 0 parity, 1 a divergence that `--fail-on` counts, 2 bad input (one line says what, and how to mend it),
3 interrupted (what was found so far is reported). `shadow` ends with its script's own status where that is not 0; of
`bench`, 1 is a cache that raised, or a ratio that became worse; `verdict` ends with 0 for GO, 1 for NO-GO, 4 for
INCONCLUSIVE.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from rich.text import Text

from kvparity.commands.bench import bench
from kvparity.commands.compare_training import compare_training, render_paired, verdict_of
from kvparity.commands.listing import listing
from kvparity.commands.minimize import minimize
from kvparity.commands.options import DEFAULT_SCENARIO, DEFAULT_TRACE, build_parser
from kvparity.commands.report import report
from kvparity.commands.session import (
    BAD_INPUT,
    DIVERGENCE,
    INTERRUPTED,
    PARITY,
    Session,
    check_files,
    conclude,
)
from kvparity.commands.shadow import shadow
from kvparity.commands.termination import termination_deferred
from kvparity.commands.verdict import verdict
from kvparity.driving.comparison import Comparison
from kvparity.errors import KVParityError, UsageError
from kvparity.files import write_text
from kvparity.report.console import open_console
from kvparity.results.result import FAIL_ON
from kvparity.settings import read_settings
from kvparity.shadow.timeout import Patience
from kvparity.text import one_line
from kvparity.traces.remote import local_trace
from kvparity.training.paired.outcome import SAME
from kvparity.training.ranks import PATIENCE_S, Gathering, Rank

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    try:
        options = build_parser().parse_args(arguments)
        options.command_line = sys.argv[1:] if arguments is None else list(arguments)
        return _COMMANDS[options.command](options)
    except KVParityError as error:
        _say(f"error: {one_line(str(error))}")
        return BAD_INPUT
    except OSError as error:
        _say(f"error: {one_line(_told(error))}")
        return BAD_INPUT
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED


def _say(line: str) -> None:
    with suppress(OSError):  # nobody listens
        print(f"kvparity: {line}", file=sys.stderr, flush=True)


def _told(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    return what if error.filename is None else f"{what}: {error.filename!r}"


def _list(options: argparse.Namespace) -> int:
    open_console().print(listing(options.section))
    return PARITY


def _run(options: argparse.Namespace) -> int:
    session = Session(options)
    with session:
        names = list(dict.fromkeys(options.scenario))
        if options.record and len(names) != 1:
            raise UsageError("--record needs exactly one scenario: name it, as in `kvparity run mcts --record FILE`")
        if not names:
            session.traces([DEFAULT_TRACE], steps=options.steps)
        session.scenarios(names or [DEFAULT_SCENARIO])
    return session.finish()


def _replay(options: argparse.Namespace) -> int:
    session = Session(options)
    with session:
        session.replay(options.trace, steps=options.steps)
    return session.finish()


def _fuzz(options: argparse.Namespace) -> int:
    session = Session(options)
    with session:
        session.fuzz()
    return session.finish()


def _compare_training(options: argparse.Namespace) -> int:
    check_files(options)
    console = open_console()
    paired = compare_training(options, console=console)
    try:
        if options.json:
            write_text(options.json, json.dumps(paired.as_dict(), indent=2) + "\n")
    finally:
        console.print(render_paired(paired))
        console.print(verdict_of(paired), soft_wrap=True)
    return PARITY if paired.verdict == SAME else DIVERGENCE


def _minimize(options: argparse.Namespace) -> int:
    torch.set_num_threads(1)
    known = read_settings(options.config).known
    comparison = Comparison(options.reference, options.candidate, known=known)
    console = open_console()
    with Patience(options.patience).always(), local_trace(options.trace) as path:
        found = minimize(path, options.output, comparison, regressions=options.regressions, console=console)
    if found is None:
        names = f"{options.reference} and {options.candidate}"
        agree = "agree, but for what is accepted" if known else "agree"
        line = f"{one_line(str(path))}: {names} {agree}; there is nothing to minimize"
        console.print(Text(line), soft_wrap=True)
        return PARITY
    return INTERRUPTED if found.interrupted else DIVERGENCE


def _shadow(options: argparse.Namespace) -> int:
    settings = read_settings(options.config)
    options.fail_on = options.fail_on or settings.shadow.get("fail-on", "behaviour")
    if options.fail_on not in FAIL_ON:
        raise UsageError(f"fail-on must be one of {', '.join(FAIL_ON)}, got {options.fail_on!r}")
    check_files(options)
    rank = Rank.of_environment()
    options.record, options.heartbeat = rank.own(options.record), rank.own(options.heartbeat)
    gathering = Gathering(options.ranks, rank) if rank.of > 1 else None
    with termination_deferred():
        shadowed = shadow(options, settings)
        ours = PARITY
        if gathering is not None:
            gathering.publish(shadowed.result)
        if rank.number == 0:
            result = shadowed.result if gathering is None else gathering.collect(patience_s=PATIENCE_S)
            ours = conclude(result, options, open_console(), files=[Path(options.target)])
    if shadowed.status:
        _say(f"{options.target} itself ended with status {shadowed.status}")
    return shadowed.status or ours


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "run": _run,
    "replay": _replay,
    "fuzz": _fuzz,
    "minimize": _minimize,
    "report": report,
    "shadow": _shadow,
    "compare-training": _compare_training,
    "bench": bench,
    "verdict": verdict,
}
