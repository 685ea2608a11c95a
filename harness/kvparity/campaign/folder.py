"""A campaign's folder: the result of each finished task, so that an interrupted campaign goes on where it was.

A result lies there whole or not at all, under a digest of everything that it depends on. So a folder may serve several
campaigns, and what has changed since (a trace, the candidate's source, a version) is done anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvparity.campaign.tasks import digest
from kvparity.errors import UsageError
from kvparity.files import write_text
from kvparity.results.reading import read_result

if TYPE_CHECKING:
    from pathlib import Path

    from kvparity.campaign.tasks import Setting, Task
    from kvparity.campaign.work import Done
    from kvparity.results.result import Result


class Folder:
    """Where results are kept.

    Args:
        path: of the folder, which is made where there is none.
        setting: of the campaign.

    Raises:
        UsageError: it cannot be made.
    """

    def __init__(self, path: Path, setting: Setting) -> None:
        self._path = path
        self._setting = setting
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{path} cannot be made: {error.strerror}") from None

    def __contains__(self, task: Task) -> bool:
        return self._result(task).is_file()

    def keep(self, task: Task, done: Done) -> None:
        """Keep what a task came to; its result last, which says that all is there.

        Raises:
            UsageError: it cannot be written.
        """
        folder = self.files(task)
        try:
            if done.files:
                folder.mkdir(exist_ok=True)
            for name, content in done.files.items():
                (folder / name).write_bytes(content)
        except OSError as error:
            raise UsageError(f"{folder} cannot be written: {error.strerror}") from None
        write_text(self._result(task), done.result)

    def read(self, task: Task) -> Result:
        """What a task came to.

        Raises:
            UsageError: that is not there, or damaged.
        """
        return read_result(self._result(task))

    def files(self, task: Task) -> Path:
        """The folder of the files that a task left; not there where it left none."""
        return self._path / digest(self._setting, task)

    def _result(self, task: Task) -> Path:
        return self._path / f"{digest(self._setting, task)}.json"
