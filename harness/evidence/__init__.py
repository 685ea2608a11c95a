"""What is kept of a run besides its divergences: how it went over time, what it exercised, where it comes from."""

from harness.evidence.collector import Evidence
from harness.evidence.coverage import Coverage, Exercised, coverage_of
from harness.evidence.history import Exhibit, Moment, heat_of
from harness.evidence.latency import Latency
from harness.evidence.provenance import Provenance, provenance
from harness.evidence.timeline import Timeline, together

__all__ = [
    "Coverage",
    "Evidence",
    "Exercised",
    "Exhibit",
    "Latency",
    "Moment",
    "Provenance",
    "Timeline",
    "coverage_of",
    "heat_of",
    "provenance",
    "together",
]
