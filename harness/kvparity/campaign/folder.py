"""The folder of a campaign. It keeps the result of each finished task, so that an interrupted campaign can continue.

A result is written completely or not at all. Its name is a digest of everything that it depends on. So several
campaigns can share a folder, and a task is done again if something has changed: a trace, the candidate's source, a
version.
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
    """The results of finished tasks.

    Args:
        path: of the folder, which is made if it does not exist.
        setting: of the campaign.

    Raises:
        UsageError: the folder cannot be made.
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
        """Keep what a task has done. The result is written last: a task with a result is complete.

        Raises:
            UsageError: a file cannot be written.
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
        """The result of a task.

        Raises:
            UsageError: it does not exist, or is damaged.
        """
        return read_result(self._result(task))

    def files(self, task: Task) -> Path:
        """The folder of the files that a task wrote. It does not exist if the task wrote none."""
        return self._path / digest(self._setting, task)

    def _result(self, task: Task) -> Path:
        return self._path / f"{digest(self._setting, task)}.json"
