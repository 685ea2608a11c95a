"""examples/cartpole_unizero.py, with each loss and each reward kept to the last bit.

    python benchmarks/observed_cartpole.py CURVES [STEPS [SIMULATIONS]]

For the benchmarks that hold one training against another; `kvparity shadow` runs it like any other script.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness.commands.script import run_as_main
from harness.training.curves import CurveLog
from harness.training.observing import Observer

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "cartpole_unizero.py"

if __name__ == "__main__":
    curves, *arguments = sys.argv[1:]
    with CurveLog(Path(curves)) as log:
        observer = Observer(log)
        observer.install()
        status = run_as_main(str(EXAMPLE), arguments, module=False)
    sys.exit(status)
