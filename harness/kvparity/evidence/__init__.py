"""What is kept of a run besides its divergences: how it went over time, what it exercised, where it comes from."""

from kvparity.evidence.coverage import Coverage, Exercised, coverage_of
from kvparity.evidence.history import Exhibit, Moment, heat_of
from kvparity.evidence.latency import Latency
from kvparity.evidence.provenance import Provenance, provenance
from kvparity.evidence.timeline import Timeline, together
from kvparity.shadow.evidence import Evidence

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
