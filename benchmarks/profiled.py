"""A shadowed search under Python's profiler, and what it allocates.

Prints the own time of each function in microseconds per step (one checkout, one set, the consumer's writes). The
profiler makes calls of Python functions several times slower, so compare the functions with each other and do not add
them up. Also prints how many tensors torch allocates per step, after each slot has been written once.

Example:
    python benchmarks/profiled.py --entry "8 KB" --top 12
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from pathlib import Path

import torch

from lines.entries import GEOMETRIES, SMALL, SPEC, Producer
from lines.measuring import US
from lines.searching import STEPS, cycles
from lines.shadowing import shadowed

CYCLES = 20
ROOT = Path(__file__).resolve().parent.parent


def functions(entry: str, top: int) -> list[tuple[str, float, float]]:
    """The functions with the most own time: name, calls per step, microseconds per step."""
    shadow, producer, profile = shadowed(), Producer(entry), cProfile.Profile()
    cycles(shadow, producer)
    profile.enable()
    for _ in range(CYCLES):
        cycles(shadow, producer)
    profile.disable()
    seen = [
        (_named(*where), calls / (CYCLES * STEPS), own / (CYCLES * STEPS) * US)
        for where, (_, calls, own, _, _) in pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    ]
    return sorted(seen, key=lambda each: -each[2])[:top]


def tensors(entry: str) -> float:
    """How many blocks of memory for tensors a step allocates."""
    shadow, producer = shadowed(), Producer(entry)
    for _ in range(SPEC.init_pool_size + 1):
        cycles(shadow, producer)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        cycles(shadow, producer)
    return sum(event.count for event in profile.key_averages() if event.self_cpu_memory_usage > 0) / STEPS


def _named(file: str, line: int, function: str) -> str:
    path = Path(file)
    return f"{path.relative_to(ROOT)}:{line} {function}" if path.is_relative_to(ROOT) else function


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entry", choices=list(GEOMETRIES), default=SMALL, help="size of the entries (default 8 KB)")
    parser.add_argument("--top", type=int, default=12, help="number of functions to print (default 12)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        print("  calls      us  per step")
        for name, calls, us in functions(options.entry, options.top):
            print(f"{calls:>7.2f} {us:>7.2f}  {name}")
        print(f"{tensors(options.entry):.2f} allocations of tensors per step")


if __name__ == "__main__":
    main()
