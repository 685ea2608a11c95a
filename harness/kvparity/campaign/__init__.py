"""Campaigns: more work than one process does, cut into tasks that do not depend on who does them, or when.

What a campaign comes to is the sum of its tasks' results in the tasks' order. How it is cut depends on what there is to
do and never on how many do it, so that every engine comes to the same.
"""

from kvparity.campaign.folder import Folder
from kvparity.campaign.local import Local
from kvparity.campaign.run import comparable, run
from kvparity.campaign.tasks import Examples, Setting, Task, TracePart, examples, trace_parts
from kvparity.campaign.work import Done, Lost, attempt

__all__ = [
    "Done",
    "Examples",
    "Folder",
    "Local",
    "Lost",
    "Setting",
    "Task",
    "TracePart",
    "attempt",
    "comparable",
    "examples",
    "run",
    "trace_parts",
]
