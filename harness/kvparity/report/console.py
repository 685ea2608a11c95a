"""Text of strangers on a terminal: names in a trace or a result may hold escape sequences, which must not be obeyed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderHook
from rich.segment import Segment

from kvparity.errors import UsageError
from kvparity.text import harmless

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, ConsoleRenderable, RenderableType, RenderResult


def open_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A terminal on which whatever is printed is harmless, and which goes silent when nobody reads it any more."""
    console = _Console(stderr=stderr, quiet=quiet)
    console.push_render_hook(_Hook())
    return console


class _Console(Console):
    """What a command does and comes to is the same whoever reads it."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does.

        Raises:
            UsageError: there is no room where it should go.
        """
        try:
            super().print(*objects, **options)
        except BrokenPipeError:  # as far as rich itself does not ask what to do then
            self.on_broken_pipe()
        except OSError as error:
            self.on_broken_pipe()
            raise UsageError(f"what is printed cannot be written: {error.strerror}") from None

    def on_broken_pipe(self) -> None:
        """Print nothing any more."""
        self.quiet = True
        if self.stderr:
            return  # which may be a training's, too
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())  # or else Python tries once more at its end
        os.close(nowhere)


class _Hook(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [Harmless(each) for each in renderables]


class Harmless:
    """Something to print, whose texts are made harmless; its own styles and colours stay.

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
                yield Segment(harmless(segment.text), segment.style)
