"""Workloads: endless, seeded streams of operations that drive a cache as UniZero does, or might one day."""

from kvparity_scenarios.catalogue import (
    Scenario,
    async_envs,
    clear_storm,
    mcts,
    multitask,
    numeric_edge,
    pool_pressure,
    reanalyze,
    revisit,
)

__all__ = [
    "Scenario",
    "async_envs",
    "clear_storm",
    "mcts",
    "multitask",
    "numeric_edge",
    "pool_pressure",
    "reanalyze",
    "revisit",
]
