"""What a run keeps besides its divergences.

- `history`: what happened to a key on both sides
- `timeline`: what both caches counted, over time
- `latency`: how long operations took
- `coverage`: what the workload exercised
- `memory`: memory of the process and of the machine
- `provenance`: command, versions, machine, and digests of the inputs
"""

from kvparity.evidence.coverage import Coverage, Exercised
from kvparity.evidence.history import Exhibit, Moment, heat_of
from kvparity.evidence.latency import Latency
from kvparity.evidence.provenance import Provenance, provenance
from kvparity.evidence.timeline import Timeline, sum_timelines

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
    "sum_timelines",
]
