"""The verdict: may the candidate take the reference's place? Checks with thresholds, and what they come to."""

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
