"""One of the trainings that are compared: a script, made deterministic, served by one of two caches, its curves kept.

It runs in a process of its own, `python -m kvparity.training.paired.one_run PLAN.json`, which the comparison starts.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvparity.training.inline.attachment import Attachment
from kvparity.training.lightzero.hook import WorldModelHook
from kvparity.training.limits import Limits
from kvparity.training.options import Options
from kvparity.training.paired.curves import CurveLog, read_curves
from kvparity.training.paired.observing import Observer
from kvparity.training.paired.outcome import TrainingRun
from kvparity.training.paired.seeding import make_deterministic
from kvparity.training.paired.serving import CandidateCaches, OwnCaches
from kvparity.training.script import run_as_main

if TYPE_CHECKING:
    from kvparity.training.paired.serving import Server

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
        serve: `reference`, `candidate`, or `both`: the candidate, with the reference beside it to say where they part.
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
    server = _server(plan)
    began = time.perf_counter()
    models = 0

    def meet(world_model: Any) -> None:
        nonlocal models, began
        if not models:
            began = time.perf_counter()  # imports and the like are none of a cache's doing
        models += 1
        server.meet(world_model)

    hook = WorldModelHook(meet)
    with CurveLog(Path(plan.folder) / _CURVES) as log:
        observer = Observer(log, pattern=plan.pattern)
        observer.install()
        hook.install()
        try:
            status = run_as_main(plan.target, plan.arguments, module=plan.module)
        finally:
            hook.remove()
            observer.remove()
            server.leave()
    facts = {
        "name": plan.name,
        "served_by": plan.reference if plan.serve == "reference" else plan.candidate,
        "status": status,
        "wall_s": time.perf_counter() - began,
        "iterations": observer.iterations,
        "samples": observer.samples,
        "peak_bytes": _peak_bytes(),
        "mean_bytes": observer.resident / observer.iterations if observer.iterations else 0.0,
        "stats": server.stats(),
        "first_divergence": server.first_divergence() if isinstance(server, _BothCaches) else "",
    }
    (Path(plan.folder) / _FACTS).write_text(json.dumps(facts, indent=2), encoding="utf-8")
    return status


def _server(plan: Plan) -> Server:
    if plan.serve == "reference":
        return OwnCaches()
    return CandidateCaches(plan.candidate) if plan.serve == "candidate" else _BothCaches(plan)


class _BothCaches:
    """The candidate serves, and the models' own caches are there to say where the two part."""

    def __init__(self, plan: Plan) -> None:
        options = Options(
            candidate=plan.candidate, reference=plan.reference, serve="candidate", limits=Limits(share=None)
        )
        self._attachment = Attachment(options)
        self._models = 0

    def meet(self, world_model: Any) -> None:
        """See `Server.meet`."""
        self._models += 1
        self._attachment.add(f"{type(world_model).__name__} {self._models}", world_model)

    def leave(self) -> None:
        """See `Server.leave`."""
        self._attachment.detach()

    def stats(self) -> dict[str, dict[str, int | None]]:
        """None: they would be those of two caches."""
        return {}

    def first_divergence(self) -> str:
        """In words; empty where there is none."""
        first = min(self._attachment.result().first.values(), key=lambda each: each.number, default=None)
        return "" if first is None else f"operation {first.number:,}: {first.kind}: {first.explanation}"


def read_run(folder: Path) -> TrainingRun | None:
    """What `run` left there; None where the training ended before it could leave anything."""
    if not (folder / _FACTS).is_file():
        return None
    return TrainingRun(
        **json.loads((folder / _FACTS).read_text(encoding="utf-8")), curves=read_curves(folder / _CURVES)
    )


def _peak_bytes() -> int:
    """Most memory that this process ever held; 0 on systems that do not tell."""
    try:
        resource = importlib.import_module("resource")
    except ImportError:
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * _PEAK_UNIT


if __name__ == "__main__":
    sys.exit(run(Plan.read(Path(sys.argv[1]))))
