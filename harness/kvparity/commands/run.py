"""`kvparity run`: drives both caches with scenarios."""

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
        help=f"names, see `kvparity list`; without one, the trace {DEFAULT_TRACE} and then {DEFAULT_SCENARIO}",
    )
    add_comparison_options(parser)
    parser.add_argument(
        "--steps", type=at_least(1), metavar="N", help=f"operations of each (default {DEFAULT_STEPS:,})"
    )
    parser.add_argument("--seed", type=at_least(0), default=0, help="of the scenarios (default 0)")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write what happens to a new .kvtrace file")
    parser.add_argument("--tensors", choices=("full", "fingerprint"), default="full", help="what --record keeps")


def _run(options: argparse.Namespace) -> int:
    """Without a scenario, the bundled trace comes before the default one.

    Raises:
        UsageError: a scenario or a cache cannot be found, or what is to be written cannot be.
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
        scenarios = {name: load_scenario(name) for name in names or [DEFAULT_SCENARIO]}  # all, before any is run
        for name, scenario in scenarios.items():
            _drive(session, name, scenario)
    return session.finish()


def _drive(session: Session, name: str, scenario: Scenario) -> None:
    """Drive both caches with one scenario, and record that where it is asked for."""
    if session.interrupted:
        return
    options = session.options
    steps = DEFAULT_STEPS if options.steps is None else options.steps
    writer: TraceWriter | nullcontext[None] = nullcontext()
    if options.record:
        session.comparison().shadow(scenario.spec)  # caches that cannot be built leave no empty recording
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


COMMAND = Command(name="run", summary="drive both caches with scenarios", add_options=_add_options, run=_run)
