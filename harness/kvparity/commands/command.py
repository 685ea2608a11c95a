"""`Command`: what the command line has to know of one command, and the parser of its arguments."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from kvparity.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    Subparsers = argparse._SubParsersAction["Parser"]


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the arguments.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message} (`{self.prog} --help` explains)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command.

    Attributes:
        name: what is typed after `kvparity`.
        summary: what it does, in one line.
        add_options: adds its arguments to a parser.
        run: does it with the parsed arguments, and returns the exit status.
    """

    name: str
    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]

    def add_to(self, subparsers: Subparsers) -> None:
        """Add its parser."""
        parser = subparsers.add_parser(self.name, help=self.summary)
        self.add_options(parser)
        parser.set_defaults(command=self)
