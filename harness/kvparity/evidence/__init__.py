"""What is kept of a run besides its divergences: how it went over time, what it exercised, where it comes from."""

from kvparity.evidence.coverage import Coverage, Exercised
from kvparity.evidence.history import Exhibit, Moment, heat_of
from kvparity.evidence.latency import Latency
from kvparity.evidence.provenance import Provenance, provenance
from kvparity.evidence.timeline import Timeline, together

__all__ = [
    "Coverage",
    "Exercised",
    "Exhibit",
    "Latency",
    "Moment",
    "Provenance",
    "Timeline",
    "heat_of",
    "provenance",
    "together",
]
