"""The engine `local`: processes on this machine. Each does one task at a time."""

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
    """Worker processes, spawned and not forked, because torch cannot be forked safely.

    Each worker has a pipe of its own. So when one dies, its task is known. That task is tried again in a new process,
    `TRIES` times in all.

    Args:
        jobs: the number of processes.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def run(self, setting: Setting, tasks: Sequence[Task]) -> Iterator[tuple[Task, Done | Lost]]:
        """Yield each task when it ends. Closing the iterator stops the processes."""
        waiting = deque(tasks)
        busy: dict[Any, tuple[_Worker, Task]] = {}  # by connection
        idle: list[_Worker] = []
        deaths: Counter[Task] = Counter()
        try:
            while waiting or busy:
                while waiting and len(busy) < self._jobs:
                    worker, task = idle.pop() if idle else _Worker(setting), waiting.popleft()
                    with suppress(ConnectionError):  # it died while it was idle; `recv` below notices
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
    """A process, and this end of the pipe to it."""

    def __init__(self, setting: Setting) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, setting), daemon=True)
        with _without_main():
            self._process.start()
        theirs.close()

    def last_words(self) -> str:
        """How the process ended."""
        self._process.join()
        code = self._process.exitcode or 0
        return f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

    def stop(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextmanager
def _without_main() -> Iterator[None]:
    """Within, a process that is started does not import this program's main module again.

    It does not need that module. And Hypothesis draws numbers from the sources of loaded modules, so a campaign's
    result would depend on the program that starts it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _serve(connection: Connection[Any, Any], setting: Setting) -> None:
    """Do tasks until the pipe is closed. Ctrl-C reaches all processes of a terminal; only the first one handles it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while True:
            connection.send(attempt(setting, connection.recv()))
    except (EOFError, ConnectionError):
        return
