"""What a worker does with a task. It is the same for every engine."""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from kvparity.campaign.tasks import Examples
from kvparity.errors import UsageError
from kvparity.registry import TRACES, installed, load_machine, trace_path
from kvparity.search.fuzz import Fuzzer
from kvparity.search.fuzz_folder import fuzz_into
from kvparity.shadow.timeout import Patience
from kvparity.traces.reader import Trace
from kvparity.traces.remote import local_trace

if TYPE_CHECKING:
    from kvparity.campaign.tasks import Setting, Task, TracePart
    from kvparity.results.result import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A task with a result.

    Attributes:
        result: as JSON.
        files: the contents of the files that fuzzing wrote, by name.
    """

    result: str
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lost:
    """A task without a result, and the reason."""

    reason: str


def attempt(setting: Setting, task: Task) -> Done | Lost:
    """Do a task. Errors are returned, not raised, so that the other tasks go on."""
    torch.set_num_threads(1)
    if setting.folder not in sys.path:
        sys.path.insert(0, setting.folder)
    try:
        _preload()
        with Patience(setting.patience_s).always():
            return _examples(setting, task) if isinstance(task, Examples) else _trace(setting, task)
    except Exception as error:  # noqa: BLE001  one bad trace must not end a campaign
        return Lost(f"{type(error).__name__}: {error}")


def _preload() -> None:
    """Load the state machine and the traces that it draws from, before Hypothesis draws anything.

    Hypothesis also draws numbers that it finds in the sources of loaded modules. Without this, what a task draws would
    depend on the tasks that its worker did before.
    """
    for name in installed(TRACES):
        with suppress(UsageError):  # another package may have installed a broken one
            trace_path(name)
    load_machine()


def _examples(setting: Setting, task: Examples) -> Done:
    comparison = setting.comparison()
    fuzzer = Fuzzer(comparison, seed=task.seed, examples=task.count)
    with tempfile.TemporaryDirectory(prefix="kvparity-") as folder:
        result = fuzz_into(Path(folder), fuzzer, comparison)
        files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()}
    return Done(result=_json(result), files=files)


def _trace(setting: Setting, task: TracePart) -> Done:
    with local_trace(task.source) as path, Trace(path) as trace:
        result = setting.comparison().trace(trace, workload=task.title, steps=task.steps, stream=task.stream)
    return Done(result=_json(result))


def _json(result: Result) -> str:
    return json.dumps(result.as_dict())
