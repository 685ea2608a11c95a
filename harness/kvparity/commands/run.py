"""`kvparity run`: compares both caches under scenarios, which are simulated workloads."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from kvparity.commands.argument_types import at_least
from kvparity.commands.command import Command
from kvparity.commands.session import Session
from kvparity.commands.shared_options import DEFAULT_STEPS, add_comparison_options
from kvparity.errors import UsageError
from kvparity.registry import load_scenario
from kvparity.report import Progress
from kvparity.search.minimal_programs import Source
from kvparity.traces.writer import TraceWriter

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from kvparity.caches.protocol import CacheSpec
    from kvparity.operations import Operation
    from kvparity.registry import Scenario
    from kvparity.results.divergence import Divergence

DEFAULT_TRACE = "cartpole-unizero"
DEFAULT_SCENARIO = "mcts"


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "scenario",
        nargs="*",
        metavar="SCENARIO",
        help=f"a name from `kvparity list scenarios`, package.module:attribute or path/to/file.py:attribute"
        f" (default: the trace {DEFAULT_TRACE}, then {DEFAULT_SCENARIO})",
    )
    parser.add_argument(
        "--steps", type=at_least(1), metavar="N", help=f"run N operations of each scenario (default {DEFAULT_STEPS:,})"
    )
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="seed of the scenarios (default 0)")
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="record the operations of one scenario in a new .kvtrace file"
    )
    parser.add_argument(
        "--tensors",
        choices=("full", "fingerprint"),
        default="full",
        help="what --record keeps of values: their tensors (full, the default), or only fingerprints, which are small",
    )
    add_comparison_options(parser)


def _run(options: argparse.Namespace) -> int:
    """Run each scenario once. If none is named, replay the bundled trace, then run the default scenario.

    Raises:
        UsageError: a scenario or a cache cannot be found, or a file cannot be written.
        UnusableCacheError: a cache cannot be built.
        TraceError: the recording cannot be written.
    """
    session = Session(options)
    with session:
        names = list(dict.fromkeys(options.scenario))
        if options.record and len(names) != 1:
            raise UsageError("--record needs exactly one scenario: name it, as in `kvparity run mcts --record FILE`")
        if not names:
            session.traces([DEFAULT_TRACE], steps=options.steps)
        scenarios = {name: load_scenario(name) for name in names or [DEFAULT_SCENARIO]}  # a wrong name raises at once
        for name, scenario in scenarios.items():
            _drive(session, name, scenario)
    return session.finish()


def _drive(session: Session, name: str, scenario: Scenario) -> None:
    """Drive both caches with one scenario, and record it if the options say so."""
    if session.interrupted:
        return
    options = session.options
    steps = DEFAULT_STEPS if options.steps is None else options.steps
    writer: TraceWriter | nullcontext[None] = nullcontext()
    if options.record:
        session.comparison().shadow(scenario.spec)  # raises if a cache cannot be built, before the file exists
        note = f"kvparity run {name} --seed {options.seed} --steps {steps}"
        writer = TraceWriter(
            options.record,
            tensors=options.tensors,
            served_by=options.reference,
            seed=options.seed,
            note=note,
        )
    with Progress(session.console, scenario.name, steps) as progress, writer as recording:
        comparison = session.comparison(progress)
        result = comparison.scenario(scenario, seed=options.seed, steps=steps, writer=recording)

    def stream(_divergence: Divergence) -> tuple[CacheSpec, Iterator[Operation]]:
        return scenario.spec, islice(scenario.operations(options.seed), steps)

    session.add(result, source=Source(result=result, comparison=comparison, stream=stream))


COMMAND = Command(
    name="run",
    summary="compare both caches under scenarios, which are simulated workloads",
    details="Both caches get the same operations. Every answer of both is compared bit by bit,\n"
    "and each difference is explained: what differs, which cache is wrong, and why.",
    example="kvparity run mcts clear-storm --candidate my_package.my_module:MyManager",
    add_options=_add_options,
    run=_run,
)
