"""The refactored cache against the original, on one thread, in turns within one process.

    python benchmarks/side_by_side.py [--repeats 30] [--json FILE]

Each row is one workload at one size of entry, measured on both sides in every repeat, so that whatever else the
machine does meets both alike. A row's ratio is the median of the ratios of its repeats. Everything runs under
`torch.no_grad()`, as LightZero's inference does.

Some rows compare with something other than `legacy-evicting`. That generation here checks the kind of each tensor,
which its original does not; "set (released)" compares with LightZero 0.2.0, which checks and evicts nothing. And
"shadowed cycle" compares a search that runs in shadow with the same one on the bare `legacy-evicting`; without the
consumer's writes, which cost both the same, its ratio is the one of "shadow, no writes".
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.table import Table

from harness.caches import CacheSpec
from harness.loading import adapt
from harness.operations import RECUR, init
from harness.shadow import ShadowCache
from harness.values import KeysValues, write_token
from legacy import EvictingCache, ReleasedCache
from refactored import fifo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.caches import Cache

SPEC = CacheSpec(env_num=8, num_simulations=25, init_pool_size=200)
POOL = init(0)  # sets and gets are timed here, where both sides are called with the pool as first argument
SIZES = {  # layers, heads, tokens, head dim
    "8 KB": (2, 2, 8, 32),
    "98 KB": (2, 8, 8, 96),
    "245 KB": (2, 8, 20, 96),
}
SETS = 2 * SPEC.init_pool_size  # half of the sets evict
TARGETS: dict[str, float | None] = {  # at most; 1.05 is the roll-back rule's limit, None is for information
    "set": 0.75,
    "set (released)": 1.05,
    "get": 1.1,
    "MCTS cycle": 0.85,
    "shadowed cycle": 2.5,
    "shadow, no writes": None,
}
MIN_REPEATS = 2  # quartiles need them


@dataclass(frozen=True, kw_only=True)
class Row:
    """One workload at one size.

    Attributes:
        ratio: the candidate's time by the reference's, the median over repeats.
        spread: the first and third quartile of that ratio.
        reference_us: median microseconds of one operation, and `candidate_us` likewise.
    """

    workload: str
    entry: str
    ratio: float
    spread: tuple[float, float]
    target: float | None
    reference_us: float
    candidate_us: float


class Producer:
    """The one object that every set is handed, with two sets of tensors that are put into it in turn."""

    def __init__(self, layers: int, heads: int, tokens: int, head_dim: int) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (1, heads, tokens, head_dim)
        self._turns = [[torch.randn(shape, generator=generator) for _ in range(2 * layers)] for _ in range(2)]
        self.value = KeysValues(self._turns[0], [tokens // 2] * (2 * layers))

    def produce(self, turn: int) -> KeysValues:
        """The object, its tensors re-pointed."""
        tensors = iter(self._turns[turn % 2])
        for layer in self.value._keys_values:
            layer._k_cache._cache = next(tensors)
            layer._v_cache._cache = next(tensors)
        return self.value


def timed_sets(store: Callable[[int, Any], object], producer: Producer) -> float:
    """Microseconds of one set; the producer's own work is not counted."""
    value = producer.produce(0)
    begin = time.perf_counter()
    for key in range(SETS):
        store(key, value)
    return (time.perf_counter() - begin) / SETS * 1e6


def timed_gets(lookup: Callable[[int], object]) -> float:
    """Microseconds of one get of a held key."""
    held = range(SETS - SPEC.init_pool_size, SETS)
    begin = time.perf_counter()
    for _ in range(10):
        for key in held:
            lookup(key)
    return (time.perf_counter() - begin) / (10 * len(held)) * 1e6


def timed_cycles(cache: Cache, producer: Producer, *, new_tokens: int = 2) -> float:
    """Microseconds of one step of a search, cache work only.

    That is: look up in two pools, make a working copy, append two tokens (an action, an observation) to K and V
    of each of its layers, and set the child from the producer. Without `new_tokens` the copy stays as it is.

    Every environment's root is in its init pool, and every node's parent is the one set just before, as LightZero's
    searches begin.
    """
    for env in range(SPEC.env_num):
        cache.set(init(env), env, producer.produce(env))
    cache.clear(RECUR)
    steps, begin = 0, time.perf_counter()
    for simulation in range(SPEC.num_simulations):
        for env in range(SPEC.env_num):
            key = simulation * SPEC.env_num + env
            copy = cache.checkout(env, key)
            if copy is None:
                sys.exit(f"the benchmark's own workload missed key {key}: its numbers would mean nothing")
            for _ in range(new_tokens):
                for layer in copy._keys_values:
                    write_token(layer._k_cache, 1.0)
                    write_token(layer._v_cache, 1.0)
            cache.set(RECUR, key + SPEC.env_num, producer.produce(key))
            steps += 1
    return (time.perf_counter() - begin) / steps * 1e6


def repeats_of(dimensions: tuple[int, int, int, int]) -> Iterator[dict[str, tuple[float, float]]]:
    """Without end: for each workload, one measurement of the reference and one of the candidate."""
    config, env_num = SPEC.config(), SPEC.env_num
    producer = Producer(*dimensions)
    evicting, released = EvictingCache(config, env_num), ReleasedCache(config, env_num)
    manager, cycled = fifo(config, env_num), EvictingCache(config, env_num)
    adapted = adapt(fifo(config, env_num))
    shadow = ShadowCache(reference=EvictingCache(config, env_num), candidate=adapt(fifo(config, env_num)), spec=SPEC)
    while True:
        evicting.clear(POOL)
        released.clear(POOL)
        manager.clear_init_caches()
        set_evicting = timed_sets(partial(evicting.set, POOL), producer)
        set_manager = timed_sets(partial(manager.set_init_cache, 0), producer)
        set_released = timed_sets(partial(released.set, POOL), producer)
        get_evicting = timed_gets(partial(evicting.get, POOL))
        get_manager = timed_gets(partial(manager.get_init_cache, 0))
        cycle = timed_cycles(cycled, producer)
        yield {
            "set": (set_evicting, set_manager),
            "set (released)": (set_released, set_manager),
            "get": (get_evicting, get_manager),
            "MCTS cycle": (cycle, timed_cycles(adapted, producer)),
            "shadowed cycle": (cycle, timed_cycles(shadow, producer)),
            "shadow, no writes": (
                timed_cycles(cycled, producer, new_tokens=0),
                timed_cycles(shadow, producer, new_tokens=0),
            ),
        }


def measure(repeats: int) -> list[Row]:
    """Every workload at every size. One repeat before the first warms up and is not counted."""
    rows = []
    for entry, dimensions in SIZES.items():
        runs = list(islice(repeats_of(dimensions), repeats + 1))[1:]
        for workload, target in TARGETS.items():
            pairs = [run[workload] for run in runs]
            first, median, third = statistics.quantiles([b / a for a, b in pairs], n=4)
            rows.append(
                Row(
                    workload=workload,
                    entry=entry,
                    ratio=median,
                    spread=(first, third),
                    target=target,
                    reference_us=statistics.median(a for a, _ in pairs),
                    candidate_us=statistics.median(b for _, b in pairs),
                )
            )
    return rows


def table(rows: list[Row]) -> Table:
    """The rows for people."""
    drawn = Table(title="refactored-fifo against the original", caption="reference and candidate in us per operation")
    drawn.add_column("workload", no_wrap=True)
    for heading in ("entry", "ratio", "quartiles", "target", "reference", "candidate"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        colour = "green" if row.target is None or row.ratio <= row.target else "red"
        drawn.add_row(
            row.workload,
            row.entry,
            f"[{colour}]{row.ratio:.2f}[/]",
            f"{row.spread[0]:.2f}-{row.spread[1]:.2f}",
            "" if row.target is None else f"{row.target:.2f}",
            f"{row.reference_us:.2f}",
            f"{row.candidate_us:.2f}",
        )
    return drawn


def main() -> None:
    """Measure, print, and write the JSON where one is asked for."""
    parser = argparse.ArgumentParser(description="The refactored cache against the original.")
    parser.add_argument("--repeats", type=int, default=30, help="how often everything is measured (default 30)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    options = parser.parse_args()
    if options.repeats < MIN_REPEATS:
        parser.error(f"--repeats {options.repeats} is too few: quartiles need at least {MIN_REPEATS}")
    torch.set_num_threads(1)
    with torch.no_grad():
        rows = measure(options.repeats)
    Console().print(table(rows))
    if options.json is not None:
        options.json.write_text(
            json.dumps({"torch": torch.__version__, "rows": [asdict(row) for row in rows]}, indent=2)
        )


if __name__ == "__main__":
    main()
