"""Running a script or a module as Python does, from inside another program."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kvparity.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

FAILED = 1
INTERRUPTED = 130  # the exit status that a shell gives a program that Ctrl-C ended
TERMINATED = 143  # and one that SIGTERM ended, which torchrun sends when another rank has died


def run_as_main(target: str, arguments: Sequence[str], *, module: bool) -> int:
    """Run `target` as `__main__`. An exception that ends it is shown as Python shows it.

    Args:
        target: a script, or with `module` the name of a module.
        arguments: the script's own arguments.
        module: whether `target` is a module.

    Returns:
        The exit status that Python would have.

    Raises:
        UsageError: the script or module does not exist.
    """
    sys.argv = [target, *arguments]
    # The first place to import from is still kvparity's. A script needs its folder there, a module the current one.
    sys.path[0] = str(Path.cwd()) if module else str(Path(target).resolve().parent)
    check_target(target, module=module)
    try:
        if module:
            runpy.run_module(target, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(target, run_name="__main__")
    except SystemExit as exit_:
        return _status(exit_)
    except KeyboardInterrupt as error:
        _show(error)
        return INTERRUPTED
    except BaseException as error:  # noqa: BLE001  whatever ended the script, Python would show it and exit with 1
        _show(error)
        return FAILED
    return 0


def check_target(target: str, *, module: bool) -> None:
    """Check that the script or module exists.

    Raises:
        UsageError: it does not exist.
    """
    if not module:
        if not Path(target).is_file():
            raise UsageError(f"there is no script {target!r}: expected a file, or -m and the name of a module")
        return
    try:
        found = importlib.util.find_spec(target)
    except (ImportError, ValueError) as error:
        raise UsageError(f"module {target!r} cannot be found: {error}") from None
    if found is None:
        raise UsageError(f"there is no module {target!r}")


def _status(exit_: SystemExit) -> int:
    if exit_.code is None:
        return 0
    if isinstance(exit_.code, int):
        return exit_.code
    sys.stderr.write(f"{exit_.code}\n")
    return FAILED


def _show(error: BaseException) -> None:
    """Show an exception as Python does, with a traceback that begins at the script's first line."""
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None and _is_machinery(traceback):
        traceback = traceback.tb_next
    shown = error.with_traceback(traceback or error.__traceback__)
    sys.excepthook(type(shown), shown, shown.__traceback__)


def _is_machinery(traceback: TracebackType) -> bool:
    return "runpy" in traceback.tb_frame.f_code.co_filename or traceback.tb_frame.f_code.co_filename == __file__
