"""The workloads of kvparity. Each is a seeded stream of operations without end.

| name | what it tests |
| --- | --- |
| `mcts` | ordinary search and acting: both sides must agree in everything |
| `reanalyze` | sets without lookups, between ordinary steps |
| `async-envs` | environments that are ready at different times |
| `pool-pressure` | pools that are smaller than one search |
| `revisit` | keys that are set again while they are held |
| `clear-storm` | clears at any moment, and keys that are set again after a clear |
| `multitask` | entries of several shapes and types in the same pools |
| `numeric-edge` | extreme numbers, types, sizes and keys, and keys and bytes that a cache can confuse |

`mcts`, `reanalyze`, `async-envs`, `pool-pressure` and `multitask` never set a key twice. `numeric-edge` does, but
clears the pool right before and right after it. So a ring with back-pointers and a first-in-first-out pool that updates
in place always hold the same keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import torch

from kvparity.caches.protocol import CacheSpec
from kvparity_scenarios.collector import Collector, Habits
from kvparity_scenarios.context import Geometry
from kvparity_scenarios.disturbance import cleared, probed
from kvparity_scenarios.numeric import numeric_operations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kvparity.operations import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A workload. The harness uses only these attributes and `operations`: any object that has them is a scenario.

    Attributes:
        name: its name on the command line.
        summary: one sentence for people.
        spec: the sizes of the caches.
        produce: makes the endless operations from the sizes and a source of randomness.
    """

    name: str
    summary: str
    spec: CacheSpec
    produce: Callable[[CacheSpec, Random], Iterator[Operation]] = field(repr=False)

    def operations(self, seed: int) -> Iterator[Operation]:
        """The operations, lazily and without end. The same seed gives the same operations, in every process."""
        return self.produce(self.spec, Random(f"{self.name}/{seed}"))


def _collect(habits: Habits, rng: Random) -> Iterator[Operation]:
    collector = Collector(habits, rng)
    while True:
        yield from collector.tick()


def _mcts(spec: CacheSpec, rng: Random) -> Iterator[Operation]:
    return _collect(Habits(env_num=spec.env_num, simulations=spec.num_simulations), rng)


def _reanalyze(spec: CacheSpec, rng: Random) -> Iterator[Operation]:
    collector = Collector(Habits(env_num=spec.env_num, simulations=spec.num_simulations), rng)
    while True:
        yield from collector.tick()
        yield from collector.reanalyze(batches=3)


def _async_envs(spec: CacheSpec, rng: Random) -> Iterator[Operation]:
    habits = Habits(
        env_num=spec.env_num,
        simulations=spec.num_simulations,
        episode_steps=(1, 40),
        idle_ticks=(0, 2),
        rest_ticks=(0, 60),
        clear_every=100,
    )
    return _collect(habits, rng)


def _pool_pressure(spec: CacheSpec, rng: Random) -> Iterator[Operation]:
    habits = Habits(env_num=spec.env_num, simulations=4 * spec.num_simulations, prioritised=True)
    return probed(_collect(habits, rng), spec, rng)


def _revisit(spec: CacheSpec, rng: Random) -> Iterator[Operation]:
    habits = Habits(env_num=spec.env_num, simulations=2 * spec.num_simulations, latent_dim=2, grid=0.5, noise=0.3)
    return probed(_collect(habits, rng), spec, rng)


def _clear_storm(spec: CacheSpec, rng: Random) -> Iterator[Operation]:
    return cleared(_collect(Habits(env_num=spec.env_num, simulations=spec.num_simulations), rng), spec, rng)


def _multitask(spec: CacheSpec, rng: Random) -> Iterator[Operation]:
    habits = Habits(
        env_num=spec.env_num,
        simulations=spec.num_simulations,
        geometries=(
            Geometry(),
            Geometry(num_heads=8, head_dim=24, max_tokens=10),
            Geometry(num_layers=1, num_heads=3, max_tokens=20, head_dim=16),
            Geometry(num_layers=4, num_heads=1, max_tokens=6, head_dim=64, dtype=torch.bfloat16),
        ),
        episode_steps=(2, 12),
    )
    return _collect(habits, rng)


mcts = Scenario(
    name="mcts",
    summary="Eight environments search and act as in UniZero, with pools that are large enough.",
    spec=CacheSpec(env_num=8, init_pool_size=20, num_simulations=25),
    produce=_mcts,
)

reanalyze = Scenario(
    name="reanalyze",
    summary="Between ordinary steps, searches from past latents set entries and never look them up.",
    spec=CacheSpec(env_num=8, init_pool_size=20, num_simulations=12),
    produce=_reanalyze,
)

async_envs = Scenario(
    name="async-envs",
    summary="Environments are ready at different times, so that their position in a batch is not their number.",
    spec=CacheSpec(env_num=8, init_pool_size=20, num_simulations=16),
    produce=_async_envs,
)

pool_pressure = Scenario(
    name="pool-pressure",
    summary="A search sets four times as many entries as recur holds, and looks overwritten ones up again.",
    spec=CacheSpec(env_num=4, init_pool_size=2, num_simulations=8),
    produce=_pool_pressure,
)

revisit = Scenario(
    name="revisit",
    summary="Searches meet the same few latents on different paths, so that keys are set again while they are held.",
    spec=CacheSpec(env_num=4, init_pool_size=4, num_simulations=6),
    produce=_revisit,
)

clear_storm = Scenario(
    name="clear-storm",
    summary="Pools of every kind are cleared at any moment, and forgotten keys are set again with other values.",
    spec=CacheSpec(env_num=4, init_pool_size=3, num_simulations=3),
    produce=_clear_storm,
)

multitask = Scenario(
    name="multitask",
    summary="Tasks with different layers, heads, tokens, head dims and types share the same pools.",
    spec=CacheSpec(env_num=8, init_pool_size=20, num_simulations=16),
    produce=_multitask,
)

numeric_edge = Scenario(
    name="numeric-edge",
    summary="NaNs with payloads, infinities, -0.0, denormals, types, all sizes, extreme and similar keys and bytes.",
    spec=CacheSpec(env_num=12, init_pool_size=6, num_simulations=5),
    produce=numeric_operations,
)
