"""Workloads: endless, seeded streams of operations that use a cache as UniZero does, or could."""

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
