"""Seeding everything that a training draws at random, and making torch repeat itself.

Two things are out of reach: processes that the training starts (use an environment manager that starts none), and
random numbers that libraries in C or C++ draw themselves.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import random
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from types import ModuleType

_SEEDERS = ("gymnasium.utils.seeding", "gym.utils.seeding")


def make_deterministic(seed: int) -> None:
    """Seed the generators of this process and those that environments make; let torch compute on one thread."""
    random.seed(seed)
    np.random.seed(seed % (1 << 32))  # noqa: NPY002  the generator that scripts use without naming it
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, cuBLAS does not repeat itself
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    for name in _SEEDERS:
        if importlib.util.find_spec(name.partition(".")[0]) is not None:
            seed_environments(importlib.import_module(name), seed)


def seed_environments(seeding: ModuleType, seed: int) -> None:
    """Give each environment that is reset without a seed a seed of its own: `seed`, `seed + 1` and so on.

    Without this, such an environment takes its seed from the clock.

    Args:
        seeding: gymnasium's or gym's module `seeding`, from which all environments get their generators.
        seed: seed of the first environment.
    """
    own, seeds = seeding.np_random, count(seed)

    def np_random(seed: int | None = None) -> Any:
        return own(next(seeds) if seed is None else seed)

    seeding.np_random = np_random  # type: ignore[attr-defined]
