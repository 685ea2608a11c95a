"""`Command`: one command, with its help, its arguments and its run; and the parser of all commands."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from kvparity.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    Subparsers = argparse._SubParsersAction["Parser"]


class Parser(argparse.ArgumentParser):
    """A parser that raises where argparse would exit, and whose help ends with an example.

    Args:
        example: a command line, shown at the end of the help.
        notes: lines above the example.
    """

    def __init__(self, *, example: str, notes: str = "", **options: Any) -> None:
        epilog = f"{notes}\n\nexample:\n  {example}" if notes else f"example:\n  {example}"
        super().__init__(epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the arguments.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message} (see `{self.prog} --help`)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command.

    Attributes:
        name: what is typed after `kvparity`.
        summary: what it does, in one line.
        details: more about that, in lines of at most 80 characters.
        example: a command line that shows a typical use.
        add_options: adds its arguments to a parser.
        run: runs it with the parsed arguments, and returns the exit status.
    """

    name: str
    summary: str
    details: str
    example: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]

    def add_to(self, subparsers: Subparsers) -> None:
        """Add its parser to those of the command line."""
        description = f"{self.summary[0].upper()}{self.summary[1:]}.\n\n{self.details}"
        parser = subparsers.add_parser(self.name, help=self.summary, description=description, example=self.example)
        self.add_options(parser)
        parser.set_defaults(command=self)
