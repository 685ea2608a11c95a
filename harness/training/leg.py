"""One of the trainings that are compared: a script, made deterministic, served by one of two caches, its curves kept.

It runs in a process of its own, `python -m harness.training.leg PLAN.json`, which the comparison starts.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands.script import run_as_main
from harness.training.attachment import Attachment
from harness.training.curves import CurveLog, read_curves
from harness.training.deterministic import make_deterministic
from harness.training.guard import Limits, warn
from harness.training.hook import WorldModelHook
from harness.training.observing import Observer
from harness.training.options import Options
from harness.training.paired import Leg

if TYPE_CHECKING:
    from harness.result import Result

_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
_CURVES, _FACTS = "curves.jsonl", "leg.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run, and where what comes of it goes.

    Attributes:
        name: of the training among those that are compared.
        folder: for what comes of it.
        target: a script; with `module`, the name of a module.
        arguments: its own.
        serve: `reference` or `candidate`.
        reference: what reports call LightZero's own caches.
        candidate: the cache on trial.
        seed: of everything.
        pattern: which curves are kept.
    """

    name: str
    folder: str
    target: str
    module: bool
    arguments: tuple[str, ...]
    serve: str
    reference: str
    candidate: str
    seed: int
    pattern: str

    def write(self) -> Path:
        """As a file for `main`."""
        path = Path(self.folder) / "plan.json"
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: Path) -> Plan:
        """What `write` wrote."""
        fields = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**fields, "arguments": tuple(fields["arguments"])})


def run(plan: Plan) -> int:
    """Run the training, and leave its curves and what else is to be told in the plan's folder; its exit status."""
    make_deterministic(plan.seed)
    attachment = Attachment(
        Options(candidate=plan.candidate, reference=plan.reference, serve=plan.serve, limits=Limits(share=None))
    )
    models = 0

    def meet(world_model: Any) -> None:
        nonlocal models
        models += 1
        try:
            attachment.add(f"{type(world_model).__name__} {models}", world_model)
        except Exception as error:  # noqa: BLE001  the report says that no model was served
            warn(f"a world model goes without: {type(error).__name__}: {error}")

    hook = WorldModelHook(meet)
    began = time.perf_counter()
    with CurveLog(Path(plan.folder) / _CURVES) as log:
        observer = Observer(log, pattern=plan.pattern)
        observer.install()
        hook.install()
        try:
            status = run_as_main(plan.target, plan.arguments, module=plan.module)
        finally:
            hook.remove()
            observer.remove()
            attachment.detach()
    wall_s = time.perf_counter() - began
    result = attachment.result()
    first = next(iter(result.first.values()), None)
    facts = {
        "name": plan.name,
        "served_by": plan.candidate if plan.serve == "candidate" else plan.reference,
        "status": status,
        "wall_s": wall_s,
        "iterations": observer.iterations,
        "samples": observer.samples,
        "peak_bytes": _peak_bytes(),
        "mean_bytes": observer.resident / observer.iterations if observer.iterations else 0.0,
        "stats": _stats(result, plan.serve),
        "divergences": result.total,
        "first_divergence": "" if first is None else f"operation {first.number:,}: {first.kind}: {first.explanation}",
        "stopped": attachment.stopped,
    }
    (Path(plan.folder) / _FACTS).write_text(json.dumps(facts, indent=2), encoding="utf-8")
    return status


def read_leg(folder: Path) -> Leg | None:
    """What `run` left there; None where the training ended before it could leave anything."""
    if not (folder / _FACTS).is_file():
        return None
    return Leg(**json.loads((folder / _FACTS).read_text(encoding="utf-8")), curves=read_curves(folder / _CURVES))


def _peak_bytes() -> int:
    """Most memory that this process ever held; 0 on systems that do not tell."""
    try:
        resource = importlib.import_module("resource")
    except ImportError:
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * _PEAK_UNIT


def _stats(result: Result, side: str) -> dict[str, dict[str, int | None]]:
    """Of the serving side, the init pools as one."""
    total: dict[str, dict[str, int | None]] = {}
    for pool, cells in result.stats.get(side, {}).items():
        row = total.setdefault(pool.partition("[")[0], {})
        for name in ("hits", "misses", "evictions"):
            before, number = row.get(name, 0), cells[name]
            row[name] = None if before is None or number is None else before + number
    return total


if __name__ == "__main__":
    sys.exit(run(Plan.read(Path(sys.argv[1]))))
