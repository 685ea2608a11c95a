"""Campaigns: work for several processes, split into tasks.

The result of a campaign is the sum of its tasks' results, in the order of the tasks. The work is split in the same way
however many processes there are, and no task depends on another. So every engine gets the same result.
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
