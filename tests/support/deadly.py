"""Candidates that end, interrupt or block their process. Workers of a campaign find them by name."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from kvparity_scenarios.correct_cache import CorrectCache


class Dies(CorrectCache):
    """Takes its process with it at the first lookup."""

    def get(self, *_: Any) -> None:
        os._exit(3)

    checkout = get  # type: ignore[assignment]


class DiesOnce(CorrectCache):
    """Takes its process with it at the first lookup of all; the file that `KVPARITY_TEST_MARK` names remembers that."""

    def get(self, *arguments: Any) -> Any:
        if _first_time():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().get(*arguments)


class Interrupts(CorrectCache):
    """Somebody stops the campaign, once, when a worker begins with its second task."""

    built = 0

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        Interrupts.built += 1
        if Interrupts.built == 2 and _first_time():
            os.kill(os.getppid(), signal.SIGINT)
            signal.pause()


class Hangs(CorrectCache):
    """Never comes back from a lookup."""

    def get(self, *_: Any) -> None:
        while True:
            pass

    checkout = get  # type: ignore[assignment]


def _first_time() -> bool:
    mark = Path(os.environ["KVPARITY_TEST_MARK"])
    first = not mark.exists()
    mark.touch()
    return first
