"""A terminal for untrusted text: escape sequences in names of a trace or a result must have no effect."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderHook
from rich.segment import Segment

from kvparity.errors import UsageError
from kvparity.text import escape_controls

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, ConsoleRenderable, RenderableType, RenderResult


def open_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A terminal that shows escape sequences as text, and goes silent when its reader is gone."""
    console = _Console(stderr=stderr, quiet=quiet)
    console.push_render_hook(_Hook())
    return console


class _Console(Console):
    """A console whose reader may go away without any effect on the command."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does.

        Raises:
            UsageError: it cannot be written, for example because the disk is full.
        """
        try:
            super().print(*objects, **options)
        except BrokenPipeError:  # raised where rich does not call `on_broken_pipe` itself
            self.on_broken_pipe()
        except OSError as error:
            self.on_broken_pipe()
            raise UsageError(f"the output cannot be written: {error.strerror}") from None

    def on_broken_pipe(self) -> None:
        """Stop printing."""
        self.quiet = True
        if self.stderr:
            return  # a training may write to it, too
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())  # otherwise Python writes the rest when it exits
        os.close(nowhere)


class _Hook(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [Harmless(each) for each in renderables]


class Harmless:
    """Something to print, with escape sequences in its texts made visible; its own styles and colours stay.

    Args:
        content: what to print.
    """

    def __init__(self, content: RenderableType) -> None:
        self._content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._content, options):
            if segment.control:
                yield segment
            else:
                yield Segment(escape_controls(segment.text), segment.style)
