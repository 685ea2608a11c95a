"""The engine `local`: processes on this machine, each of which does one task at a time."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections import Counter, deque
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from types import ModuleType
from typing import TYPE_CHECKING, Any

from kvparity.campaign.work import Lost, attempt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

    from kvparity.campaign.tasks import Setting, Task
    from kvparity.campaign.work import Done

TRIES = 3


class Local:
    """Processes, spawned and not forked: torch is not fork-safe.

    Each has a pipe of its own. So when one dies, it is known which task it died of; that is tried again in a new
    process, `TRIES` times in all.

    Args:
        jobs: how many.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def run(self, setting: Setting, tasks: Sequence[Task]) -> Iterator[tuple[Task, Done | Lost]]:
        """Each task as it ends; whoever stops to listen stops the processes."""
        waiting = deque(tasks)
        busy: dict[Any, tuple[_Worker, Task]] = {}  # by connection
        idle: list[_Worker] = []
        deaths: Counter[Task] = Counter()
        try:
            while waiting or busy:
                while waiting and len(busy) < self._jobs:
                    worker, task = idle.pop() if idle else _Worker(setting), waiting.popleft()
                    with suppress(ConnectionError):  # it died while idle, which is seen below
                        worker.connection.send(task)
                    busy[worker.connection] = (worker, task)
                for connection in wait(list(busy)):
                    worker, task = busy.pop(connection)
                    try:
                        outcome: Done | Lost = worker.connection.recv()
                    except (EOFError, ConnectionError):
                        deaths[task] += 1
                        if deaths[task] < TRIES:
                            waiting.appendleft(task)
                        else:
                            yield task, Lost(f"its worker died {TRIES} times, at last with {worker.last_words()}")
                    else:
                        idle.append(worker)
                        yield task, outcome
        finally:
            for worker in (*idle, *(worker for worker, _ in busy.values())):
                worker.stop()


class _Worker:
    """A process and our end of the pipe to it."""

    def __init__(self, setting: Setting) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, setting), daemon=True)
        with _without_main():
            self._process.start()
        theirs.close()

    def last_words(self) -> str:
        """How it ended."""
        self._process.join()
        code = self._process.exitcode or 0
        return f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

    def stop(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextmanager
def _without_main() -> Iterator[None]:
    """Within, a process that is started does not import this program's main module again.

    It needs nothing of it. And Hypothesis draws numbers from the sources of loaded modules: a campaign's result would
    depend on the program that starts it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _serve(connection: Connection[Any, Any], setting: Setting) -> None:
    """Do tasks until nobody sends any. A Ctrl-C goes to all processes of a terminal: it is for the first one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while True:
            connection.send(attempt(setting, connection.recv()))
    except (EOFError, ConnectionError):
        return
