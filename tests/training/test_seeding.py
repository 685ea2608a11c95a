"""Two processes with one seed draw the same, and environments that nobody seeds repeat, too."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import numpy as np

from kvparity.training.paired.seeding import seed_environments

DRAWS = """
import random, numpy, torch
from kvparity.training.paired.seeding import make_deterministic
make_deterministic({seed})
print(random.random(), numpy.random.rand(), torch.rand(1).item(), torch.get_num_threads())
print(torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled())
"""


def drawn(seed: int) -> list[str]:
    """What a new process draws."""
    command = [sys.executable, "-c", DRAWS.format(seed=seed)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()  # noqa: S603


def test_the_same_seed_draws_the_same() -> None:
    """From Python, numpy and torch, on one thread, with torch's deterministic algorithms."""
    assert drawn(5) == drawn(5)
    assert drawn(5)[0] != drawn(6)[0]
    assert drawn(5)[0].endswith(" 1")
    assert drawn(5)[1] == "True True"


def seeding() -> ModuleType:
    """Like gymnasium's module: without a seed, a generator from the system's randomness."""
    module = ModuleType("seeding")
    module.np_random = lambda seed=None: (np.random.default_rng(seed), seed)  # type: ignore[attr-defined]
    return module


def test_environments_without_a_seed_repeat() -> None:
    """Each environment gets a seed of its own, and two runs give the same ones."""
    draws = []
    for _ in range(2):
        module = seeding()
        seed_environments(module, 7)
        draws.append([module.np_random()[0].random() for _ in range(3)])
    assert draws[0] == draws[1]
    assert len(set(draws[0])) == 3


def test_a_seed_that_is_given_counts() -> None:
    """An environment that the script seeds is left alone."""
    module = seeding()
    seed_environments(module, 7)
    assert module.np_random(3)[1] == 3
    assert module.np_random(seed=4)[1] == 4
    assert module.np_random()[1] == 7
