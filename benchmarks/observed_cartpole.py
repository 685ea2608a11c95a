"""examples/cartpole_unizero.py, observed: each loss and each reward to the last bit, and the time that it took.

Benchmarks that compare trainings run it, alone or under `kvparity shadow`. It writes curves.jsonl and times.json into
the folder that is its first argument. Time counts from when everything is imported. With `--own-learner` the learner
has LightZero's batches and updates.

Example:
    python benchmarks/observed_cartpole.py observed --own-learner 400
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from kvparity.training.paired.curves import CurveLog
from kvparity.training.paired.observing import Observer
from kvparity.training.script import run_as_main

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "cartpole_unizero.py"
CURVES, TIMES = "curves.jsonl", "times.json"
IMPORTED_BY_IT = ("lzero.entry", "lzero.policy.unizero", "zoo.classic_control.cartpole.config.cartpole_unizero_config")

OWN_LEARNER = "--own-learner"
LEARNER = ("batch_size", "update_per_collect", "replay_buffer_size")


def keep_learner() -> None:
    """Make the example use LightZero's own settings of the learner."""
    entry, config = (importlib.import_module(name) for name in (IMPORTED_BY_IT[0], IMPORTED_BY_IT[-1]))
    train, own = entry.train_unizero, {name: config.main_config.policy.get(name) for name in LEARNER}

    def trains(configs: Any, **options: Any) -> Any:
        configs[0].policy.update(own)
        return train(configs, **options)

    entry.train_unizero = trains


if __name__ == "__main__":
    folder, arguments = Path(sys.argv[1]), sys.argv[2:]
    with CurveLog(folder / CURVES) as log:
        Observer(log).install()
        for name in IMPORTED_BY_IT:
            importlib.import_module(name)
        if OWN_LEARNER in arguments:
            arguments.remove(OWN_LEARNER)
            keep_learner()
        began, began_cpu = time.perf_counter(), time.process_time()
        status = run_as_main(str(EXAMPLE), arguments, module=False)
        times = {"wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - began_cpu}
    (folder / TIMES).write_text(json.dumps(times), encoding="utf-8")
    sys.exit(status)
