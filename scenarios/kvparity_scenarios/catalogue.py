"""The workloads that come with kvparity, each a seeded stream of operations that never ends.

| name | what it is for |
| --- | --- |
| `mcts` | ordinary search and acting: both sides must agree in everything |
| `reanalyze` | stores without lookups, between ordinary steps |
| `async-envs` | environments that are ready at different times |
| `pool-pressure` | pools smaller than one search |
| `revisit` | keys that are set again while they live |
| `clear-storm` | clears at any moment, keys set again after them |
| `multitask` | entries of several shapes and types in the same pools |
| `numeric-edge` | numbers, types, sizes and keys at the edge, and what is easily taken for another |

In `mcts`, `reanalyze`, `async-envs`, `pool-pressure` and `multitask` no key is ever set twice, and in `numeric-edge`
only between two clears of its pool. So a ring with back-pointers and first-in-first-out with updates in place hold the
same keys at all times.
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
    """A workload. The harness reads these attributes and nothing else, so any object that has them will do.

    Attributes:
        name: as on the command line.
        summary: one sentence for people.
        spec: the sizes of the caches that it is meant for.
        produce: the endless operations, from the sizes and a source of randomness.
    """

    name: str
    summary: str
    spec: CacheSpec
    produce: Callable[[CacheSpec, Random], Iterator[Operation]] = field(repr=False)

    def operations(self, seed: int) -> Iterator[Operation]:
        """The operations, lazily and without end; the same for the same seed, in every process."""
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
    summary="Eight environments search and act as UniZero's do, with pools of ample size.",
    spec=CacheSpec(env_num=8, init_pool_size=20, num_simulations=25),
    produce=_mcts,
)

reanalyze = Scenario(
    name="reanalyze",
    summary="Between ordinary steps, past latents are searched again: stored, but never looked up.",
    spec=CacheSpec(env_num=8, init_pool_size=20, num_simulations=12),
    produce=_reanalyze,
)

async_envs = Scenario(
    name="async-envs",
    summary="Environments are ready at different times, so their position in the batch is not their number.",
    spec=CacheSpec(env_num=8, init_pool_size=20, num_simulations=16),
    produce=_async_envs,
)

pool_pressure = Scenario(
    name="pool-pressure",
    summary="A search stores four times what the recur pool holds, and looks overwritten nodes up again.",
    spec=CacheSpec(env_num=4, init_pool_size=2, num_simulations=8),
    produce=_pool_pressure,
)

revisit = Scenario(
    name="revisit",
    summary="Few latents, met again and again on different paths: keys are set again while they live.",
    spec=CacheSpec(env_num=4, init_pool_size=4, num_simulations=6),
    produce=_revisit,
)

clear_storm = Scenario(
    name="clear-storm",
    summary="Pools of every kind are cleared at any moment, and lost keys are set again with other values.",
    spec=CacheSpec(env_num=4, init_pool_size=3, num_simulations=3),
    produce=_clear_storm,
)

multitask = Scenario(
    name="multitask",
    summary="Tasks of different layers, heads, tokens, head dims and types share the same pools.",
    spec=CacheSpec(env_num=8, init_pool_size=20, num_simulations=16),
    produce=_multitask,
)

numeric_edge = Scenario(
    name="numeric-edge",
    summary="NaNs with payloads, infinities, -0.0, denormals, six types, all sizes, keys and bytes that look alike.",
    spec=CacheSpec(env_num=12, init_pool_size=6, num_simulations=5),
    produce=numeric_operations,
)
