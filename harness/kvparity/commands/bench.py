"""`kvparity bench`: times caches against each other, and finds the pool sizes that workloads need."""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kvparity.bench.baseline import check, compare
from kvparity.bench.conditions import pinned
from kvparity.bench.json_file import read_bench, write_bench
from kvparity.bench.measure import measure, unmeasured
from kvparity.bench.miss_curves import render_sweep
from kvparity.bench.pool_sizes import sweep
from kvparity.bench.result import Bench, Machine, Settings
from kvparity.bench.tables import render, render_comparison, render_machine, verdict
from kvparity.bench.workload import Shape, load, trace_of
from kvparity.commands.argument_types import at_least, percent
from kvparity.commands.command import Command
from kvparity.commands.conclusion import check_files
from kvparity.commands.exit_status import DIVERGENCE, INTERRUPTED, PARITY
from kvparity.commands.shared_options import CACHES, DEFAULT_STEPS
from kvparity.errors import UsageError
from kvparity.evidence.memory import machine_bytes
from kvparity.evidence.provenance import provenance
from kvparity.registry import DEFAULT_REFERENCE, build_cache, factory_of
from kvparity.report import Progress
from kvparity.report.console import open_console

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from kvparity.bench.result import Run
    from kvparity.bench.timing import Build
    from kvparity.bench.workload import Workload

DEFAULT_WORKLOADS = ("cartpole-unizero-100sims", "mcts")
DEFAULT_CANDIDATES = ("refactored-fifo", "refactored-lru", "refactored-priority")
DEFAULT_REPEATS = 20
DEFAULT_WORSE = 0.1
_PIPE_WIDTH = 120
_ENTRIES = 64  # how many values there must be room for
_FLOAT_BYTES = 4
_AGAIN = " (again)"  # marks a candidate that is the reference itself; its ratios show the noise


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "workload",
        nargs="*",
        default=list(DEFAULT_WORKLOADS),
        metavar="SCENARIO_OR_TRACE",
        help=f"a name from `kvparity list`, or a .kvtrace file (default {' and '.join(DEFAULT_WORKLOADS)})",
    )
    caches = parser.add_argument_group("caches", CACHES)
    caches.add_argument(
        "--reference",
        default=DEFAULT_REFERENCE,
        metavar="NAME",
        help=f"the cache that the candidates are compared with (default {DEFAULT_REFERENCE})",
    )
    caches.add_argument(
        "--candidate",
        action="append",
        metavar="NAME",
        help=f"a cache to time; can be given several times (default {', '.join(DEFAULT_CANDIDATES)})",
    )
    parser.add_argument(
        "--repeats",
        type=at_least(0),
        default=DEFAULT_REPEATS,
        metavar="N",
        help=f"time everything N times (default {DEFAULT_REPEATS}); 0, with --sweep only, times nothing",
    )
    parser.add_argument(
        "--steps",
        type=at_least(1),
        default=DEFAULT_STEPS,
        metavar="N",
        help=f"use at most N operations of each workload (default {DEFAULT_STEPS:,})",
    )
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="seed of the scenarios (default 0)")
    parser.add_argument(
        "--entry",
        type=_shape,
        metavar="LxHxTxD",
        help="use values of this shape: layers, heads, tokens, head dim, such as 2x8x20x96",
    )
    parser.add_argument("--sweep", action="store_true", help="also compute the hit rate at every pool size")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measurements as JSON")
    parser.add_argument(
        "--against", type=Path, metavar="FILE", help="compare every ratio with those of an earlier --json FILE"
    )
    parser.add_argument(
        "--worse",
        type=percent,
        default=DEFAULT_WORSE,
        metavar="P",
        help=f"with --against: exit with 1 if a ratio rose by more (default {DEFAULT_WORSE:.0%})".replace("%", "%%"),
    )
    parser.add_argument("--quiet", action="store_true", help="print the verdicts only")


def _bench(options: argparse.Namespace) -> int:
    """Measure, print, and write. The exit status is 1 if a cache raised, or if a ratio is worse than it was.

    Raises:
        UsageError: a name or a file cannot be used, or the earlier bench measured something else.
        UnusableCacheError: a cache cannot be built.
        TraceError: a trace is damaged.
    """
    if not options.repeats and not options.sweep:
        raise UsageError("--repeats 0 times nothing: add --sweep, or give at least 1")
    check_files(options)
    settings = _settings(options)
    earlier = None if options.against is None else read_bench(options.against)
    names = list(dict.fromkeys(options.workload))
    if earlier is not None:
        check(earlier, settings, names)
    console = open_console()
    if not console.is_terminal:
        console.width = max(console.width, _PIPE_WIDTH)
    entrants = _entrants(settings)
    _check(names, entrants, options)
    result = _measured(names, entrants, settings, options, console)
    if options.json:
        write_bench(result, options.json)
    if result.interrupted:
        return INTERRUPTED
    worse = False
    if earlier is not None:
        comparison = compare(earlier, result, tolerance=options.worse)
        console.print(render_comparison(comparison, str(options.against)), soft_wrap=True)
        worse = bool(comparison.worse)
    return DIVERGENCE if worse or any(run.failures for run in result.runs) else PARITY


def _check(names: list[str], entrants: Mapping[str, Build], options: argparse.Namespace) -> None:
    """Raise before any work is done if a workload does not exist, or if a cache cannot be built for it."""
    for name in names:
        for spec in load(name, steps=1, seed=options.seed, entry=options.entry).specs.values():
            for build in entrants.values():
                build(spec)


def _entrants(settings: Settings) -> dict[str, Build]:
    """By name, what builds each cache; the reference comes first."""
    names = (settings.reference, *settings.candidates)
    return {name: partial(build_cache, name.removesuffix(_AGAIN)) for name in names}


def _measured(
    names: list[str],
    entrants: Mapping[str, Build],
    settings: Settings,
    options: argparse.Namespace,
    console: Console,
) -> Bench:
    """Measure every workload, and print each as soon as it is done. An interrupt ends it early."""
    origin = provenance(
        options.command_line,
        files=[path for path in map(trace_of, names) if path is not None],
        caches=[(name, factory_of(name.removesuffix(_AGAIN))) for name in entrants],
    )
    result = Bench(settings=settings, provenance=origin, machine=_machine(), runs=())
    if not options.quiet:
        console.print(render_machine(result.machine, origin.versions), soft_wrap=True)
    try:
        for name in names:
            workload = load(name, steps=options.steps, seed=options.seed, entry=options.entry)
            run, interrupted = _run(workload, entrants, settings, console)
            if options.sweep:
                run = replace(run, sweeps=sweep(workload))
            result = replace(result, runs=(*result.runs, run), interrupted=interrupted)
            if not options.quiet:
                console.print(render(run, settings))
                for swept in run.sweeps:
                    console.print(render_sweep(swept, width=console.width))
            console.print(verdict(run, settings), soft_wrap=True)
            if interrupted:
                break
    except KeyboardInterrupt:
        if not result.runs:
            raise
        result = replace(result, interrupted=True)
    if result.interrupted:
        console.print(f"INTERRUPTED: the last workload has fewer than {settings.repeats} repeats, or none")
    return result


def _run(workload: Workload, entrants: Mapping[str, Build], settings: Settings, console: Console) -> tuple[Run, bool]:
    if not settings.repeats:
        return unmeasured(workload), False
    with Progress(console, workload.name, settings.repeats, unit="repeats") as progress:
        return measure(workload, entrants, reference=settings.reference, repeats=settings.repeats, progress=progress)


def _settings(options: argparse.Namespace) -> Settings:
    reference, candidates = options.reference, options.candidate or DEFAULT_CANDIDATES
    return Settings(
        reference=reference,
        candidates=tuple(dict.fromkeys(f"{name}{_AGAIN}" if name == reference else name for name in candidates)),
        repeats=options.repeats,
        steps=options.steps,
        seed=options.seed,
        entry=None if options.entry is None else str(options.entry),
    )


def _machine() -> Machine:
    with pinned() as core:
        pass
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        core=core,
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def _processor() -> str:
    """The processor's name, as Linux gives it; elsewhere its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())


def _shape(text: str) -> Shape:
    try:
        shape = Shape(*map(int, text.split("x")))
    except (TypeError, ValueError):
        shape = Shape(0, 0, 0, 0)
    if min(shape) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a shape such as 2x8x20x96: layers, heads, tokens, head dim")
    needed, there = 2 * math.prod(shape) * _FLOAT_BYTES, machine_bytes() or sys.maxsize
    if needed * _ENTRIES > there:
        raise argparse.ArgumentTypeError(
            f"{text!r} is too large: an entry has {needed:,} bytes, and this machine has no room for {_ENTRIES} of them"
        )
    return shape


COMMAND = Command(
    name="bench",
    summary="measure what caches cost, and which pool sizes a workload needs",
    details="The caches take turns, operation by operation, so that a busy machine slows all of them\n"
    "alike. The ratio of their times is what counts.",
    example="kvparity bench mcts --candidate my_package.my_module:MyManager",
    add_options=_add_options,
    run=_bench,
)
