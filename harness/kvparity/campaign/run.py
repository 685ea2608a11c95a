"""Running a campaign: an engine does the tasks that are left, and all results are added up in order of the tasks."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol

from kvparity.campaign.work import Lost
from kvparity.results.adding import ResultBuilder, merge
from kvparity.results.divergence import DivergenceLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kvparity.campaign.folder import Folder
    from kvparity.campaign.tasks import Setting, Task
    from kvparity.campaign.work import Done
    from kvparity.results.result import Result

# The fields in which two runs of the same work may differ: when, where and how fast.
_OF_THE_MOMENT = ("timing", "timeline", "latencies", "provenance")
_NAMED = 8  # unfinished tasks that an interrupted campaign lists; it counts the others


class Engine(Protocol):
    """What does tasks."""

    def run(self, setting: Setting, tasks: Sequence[Task]) -> Iterator[tuple[Task, Done | Lost]]:
        """Yield each task when it ends, in any order."""


def run(
    setting: Setting,
    tasks: Sequence[Task],
    engine: Engine,
    folder: Folder,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Result:
    """Do the tasks that have no result in the folder yet, and add up all results. An interrupt ends it early.

    The result's `missing` lists the tasks without a result: those that failed, and those that an interrupt left undone.

    Args:
        setting: of the campaign.
        tasks: all of them, in order.
        engine: does the tasks.
        folder: keeps their results.
        progress: called with the number of finished tasks.

    Raises:
        UsageError: a result cannot be written or read.
    """
    reasons: dict[Task, str] = {}
    interrupted = False
    done = sum(task in folder for task in tasks)
    progress(done)
    left = engine.run(setting, [task for task in tasks if task not in folder])
    try:
        for task, outcome in left:
            if isinstance(outcome, Lost):
                reasons[task] = outcome.reason
            else:
                folder.keep(task, outcome)
            done += 1
            progress(done)
    except KeyboardInterrupt:
        interrupted = True
    results = [folder.read(task) for task in tasks if task in folder]
    if not results:
        results = [
            ResultBuilder(setting.comparison().names, DivergenceLog()).result(workload="campaign", elapsed_s=0.0)
        ]
    result = merge(results)
    result.interrupted = interrupted
    result.missing = [f"{task} ({reasons[task]})" for task in tasks if task in reasons]
    if interrupted:
        result.missing += _undone([task for task in tasks if task not in reasons and task not in folder])
    return result


def _undone(tasks: Sequence[Task]) -> Iterator[str]:
    for task in tasks[:_NAMED]:
        yield f"{task} (interrupted before its end)"
    if more := len(tasks[_NAMED:]):
        yield f"{more:,} more (interrupted likewise)"


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    """A result's JSON without times, places and folders: equal for equal work, whichever engine did it."""
    same = {name: value for name, value in result.items() if name not in _OF_THE_MOMENT}
    if "runs" in same:
        same["runs"] = [comparable(each) for each in same["runs"]]
    if "fuzzing" in same:
        cases = [{**case, "trace": PurePath(case["trace"]).name} for case in same["fuzzing"]["cases"]]
        same["fuzzing"] = {**same["fuzzing"], "cases": cases}
    return same
