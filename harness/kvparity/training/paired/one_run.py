"""One of the trainings that are compared: runs a script with fixed seeds and one of the caches, and keeps its curves.

`kvparity compare-training` starts it in a process of its own: `python -m kvparity.training.paired.one_run PLAN.json`.
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
    """What to run, and where to put what comes of it.

    Attributes:
        name: name of the training among those that are compared.
        folder: where the results go.
        target: a script, or with `module` the name of a module.
        module: whether `target` is a module.
        arguments: the script's own arguments.
        serve: whose answers the model gets: `reference`, `candidate`, or `both`: the candidate's, with the reference
            beside it to see where the two diverge.
        reference: what reports call LightZero's own caches.
        candidate: name of the cache under test.
        seed: seed of everything.
        pattern: a regular expression for the names of the curves to keep.
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
        """Write it to a file in its folder, for the new process; the path of the file."""
        path = Path(self.folder) / "plan.json"
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read what `write` wrote."""
        fields = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**fields, "arguments": tuple(fields["arguments"])})


def run(plan: Plan) -> int:
    """Run the training, and write its curves and figures to the plan's folder; the script's exit status."""
    make_deterministic(plan.seed)
    server = _server(plan)
    began = time.perf_counter()
    models = 0

    def meet(world_model: Any) -> None:
        nonlocal models, began
        if not models:
            began = time.perf_counter()  # the time that imports take has nothing to do with a cache
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
    """The candidate serves. The models' own caches run beside it, to see where the two diverge."""

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
        """Nothing: they would be those of two caches."""
        return {}

    def first_divergence(self) -> str:
        """The first divergence in words; empty if there is none."""
        first = min(self._attachment.result().first.values(), key=lambda each: each.number, default=None)
        return "" if first is None else f"operation {first.number:,}: {first.kind}: {first.explanation}"


def read_run(folder: Path) -> TrainingRun | None:
    """What `run` wrote to `folder`; None if the training ended before it could write anything."""
    if not (folder / _FACTS).is_file():
        return None
    return TrainingRun(
        **json.loads((folder / _FACTS).read_text(encoding="utf-8")), curves=read_curves(folder / _CURVES)
    )


def _peak_bytes() -> int:
    """The most memory that this process ever held, in bytes; 0 on systems that do not say."""
    try:
        resource = importlib.import_module("resource")
    except ImportError:
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * _PEAK_UNIT


if __name__ == "__main__":
    sys.exit(run(Plan.read(Path(sys.argv[1]))))
