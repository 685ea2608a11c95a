"""The verdict: may the candidate take the reference's place? Checks with thresholds, and what they come to."""

from harness.thresholds import Thresholds
from harness.verdict.decide import verdict_of
from harness.verdict.outcome import FAILED, GO, INCONCLUSIVE, NO_GO, PASSED, UNKNOWN, Check, Verdict
from harness.verdict.speed import Ratio, Ratios, ratios_of
from harness.verdict.training import Trained, trained_of

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
