"""The command line: a table of its commands. Each error ends with an exit status of its own.

Exit status: 0 parity, 1 a divergence that `--fail-on` counts, 2 bad input (one line on stderr says what is wrong and
how to correct it), 3 interrupted (what was found so far is reported). `shadow` ends with the status of its script if
that is not 0. `bench` ends with 1 if a cache raised or a ratio became worse. `verdict` ends with 0 for GO, 1 for NO-GO,
4 for INCONCLUSIVE.
"""

from __future__ import annotations

import argparse
import sys
from importlib import metadata
from typing import TYPE_CHECKING, NoReturn

from kvparity.commands import bench, compare_training, fuzz, minimize, replay, report, run, shadow, verdict
from kvparity.commands import list as listing
from kvparity.commands.command import Command, Parser
from kvparity.commands.conclusion import say
from kvparity.commands.exit_status import BAD_INPUT, INTERRUPTED
from kvparity.errors import KVParityError
from kvparity.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (
    listing.COMMAND,
    run.COMMAND,
    replay.COMMAND,
    fuzz.COMMAND,
    compare_training.COMMAND,
    minimize.COMMAND,
    bench.COMMAND,
    report.COMMAND,
    shadow.COMMAND,
    verdict.COMMAND,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit status."""
    given = sys.argv[1:] if arguments is None else [*arguments]
    try:
        options = build_parser().parse_args(given)
        options.command_line = given
        command: Command = options.command
        return command.run(options)
    except KVParityError as error:
        say(f"error: {one_line(str(error))}")
        return BAD_INPUT
    except OSError as error:
        say(f"error: {one_line(_described(error))}")
        return BAD_INPUT
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED


def build_parser() -> Parser:
    """The parser of the whole command line. It stores the `Command` that was given under `command`."""
    parser = Parser(
        prog="kvparity",
        description="Proves, or disproves, that a refactored KV cache behaves like the one it replaces.",
        notes="`kvparity COMMAND --help` explains a command.\n\n"
        "exit status: 0 parity or GO, 1 divergence or NO-GO, 2 bad input, 3 interrupted, 4 INCONCLUSIVE",
        example="kvparity run mcts --candidate my_package.my_module:MyManager",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print kvparity's version and exit")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(subparsers)
    return parser


class _Version(argparse.Action):
    """Prints the version. It is looked up only then, because that reads files."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        sys.stdout.write(f"kvparity {metadata.version('kvparity')}\n")
        parser.exit()


def _described(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    return what if error.filename is None else f"{what}: {error.filename!r}"
