"""The verdict: may the candidate replace the reference? GO, NO-GO or INCONCLUSIVE, from checks with thresholds.

- `rule`: `verdict_of` runs all checks and decides
- `checks`: `Check` and `Verdict`
- `findings`, `coverage`, `memory`, `speed`, `training`: the checks, by what they look at
- `growth`: the slope of memory, with its interval
- `subject`: the two caches, their runs, and the commands for more runs
- `material`: the files that a verdict is made from
- `certificate`: the proof of a GO
"""

from kvparity.settings import Thresholds
from kvparity.verdict.checks import FAILED, GO, INCONCLUSIVE, NO_GO, PASSED, UNKNOWN, Check, Verdict
from kvparity.verdict.rule import verdict_of
from kvparity.verdict.speed import Ratio, Ratios, ratios_of
from kvparity.verdict.training import Trained, trained_of

__all__ = [
    "FAILED",
    "GO",
    "INCONCLUSIVE",
    "NO_GO",
    "PASSED",
    "UNKNOWN",
    "Check",
    "Ratio",
    "Ratios",
    "Thresholds",
    "Trained",
    "Verdict",
    "ratios_of",
    "trained_of",
    "verdict_of",
]
