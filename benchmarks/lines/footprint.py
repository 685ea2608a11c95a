"""The processor time of an import, and the memory of a shadow run.

| line | over | under |
| --- | --- | --- |
| import | `from kvparity import *`, which loads everything that kvparity exports, torch included | `import torch`; each in a process of its own |
| memory | by how much a shadow run raises its process's peak memory, counted from the import of torch | the tensors that both caches hold at its end, and 100 MB |

`import kvparity` alone loads only a list of names, so it is not measured. The shadow run is the simulated search with
entries of that size, in a process of its own. The figure includes its scenario, its evidence, and memory that the operating
system gives a process beyond what it asks for.
"""  # noqa: E501  a table

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from kvparity.driving.comparison import Comparison
from kvparity.driving.driver import Driver, step
from kvparity.evidence.memory import resident_bytes
from kvparity.shadow.evidence import Evidence
from lines.entries import ANY_SIZE, each
from lines.measuring import Line, Ratio
from lines.recorded import CANDIDATE, REFERENCE, search

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lines.measuring import Effort

_KB = 1024
_STATUS = Path("/proc/self/status")
_ALLOWED_MB = 100.0


def import_ms(statement: str) -> float:
    """Milliseconds of an import in a process of its own."""
    code = f"import time; began = time.process_time()\n{statement}\nprint(1e3 * (time.process_time() - began))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603
    return float(done.stdout)


def _import(_: str, __: Effort) -> Iterator[Ratio]:
    while True:
        under = import_ms("import torch")
        yield Ratio(import_ms("from kvparity import *"), under)


def shadow_run_mb(entry: str, steps: int) -> tuple[float, float]:
    """By how much a shadow run raises this process's peak memory, and the size of both caches' tensors, in MB."""
    before = resident_bytes() or 0
    scenario = search(entry)
    shadow = Comparison(REFERENCE, CANDIDATE).shadow(scenario.spec, evidence=Evidence())
    driver = Driver(shadow)
    for number, operation in enumerate(islice(scenario.operations(0), steps)):
        step(driver, shadow, operation, number)
    # Not getrusage's ru_maxrss: on Linux that includes what the parent had when it started this process.
    [peak] = [int(line.split()[1]) * _KB for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
    pools = [pool for side in (shadow.reference, shadow.candidate) for pool in side.account().values()]
    return (peak - before) / 1e6, sum(pool["size_bytes"] or 0 for pool in pools) / 1e6


def _memory(entry: str, effort: Effort) -> Iterator[Ratio]:
    while True:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peak, tensors = pool.apply(shadow_run_mb, (entry, effort.steps))
        yield Ratio(peak, tensors + _ALLOWED_MB)


LINES = (
    Line(name="import", target={ANY_SIZE: 1.1}, begin=_import, unit="ms", most=10, warm_up=0),
    Line(name="memory", target=each(1.0), begin=_memory, unit="MB", most=1, warm_up=0),
)
