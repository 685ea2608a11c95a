"""What belongs to the run stays as it was: random states, torch's modes, the process."""

from __future__ import annotations

import os
import random
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from kvparity.training import Limits, attach
from kvparity.training.inline.host_state import RandomStates, TorchModes, exit_if_forked, other_threads_run
from kvparity_scenarios.correct_cache import CorrectCache
from support.worldmodels import ManagedModel, play

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity import PoolId

FREE = Limits(share=None, patience_s=None)
DRAWS = {
    "Python's random state": random.random,
    "numpy's random state": np.random.random,
    "torch's random state": lambda: torch.rand(()),
}


# ---------------------------------------------------------------- alone


@pytest.mark.parametrize("state", DRAWS)
def test_a_random_state_that_changed_is_named_and_restored(state: str) -> None:
    """Each of the three, by its name."""
    before = RandomStates()
    assert before.changed() == ""
    DRAWS[state]()
    assert before.changed() == state
    before.restore()
    assert before.changed() == ""


def test_all_random_states_that_changed_are_named() -> None:
    """In one line."""
    before = RandomStates()
    for draw in DRAWS.values():
        draw()
    assert before.changed() == " and ".join(DRAWS)
    before.restore()


@pytest.mark.parametrize(
    "change",
    [
        lambda: torch.set_grad_enabled(False),
        lambda: torch.set_default_dtype(torch.float64),
        lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    ],
    ids=["grad mode", "default dtype", "number of threads"],
)
def test_a_mode_of_torch_that_changed_is_seen_and_restored(change: Callable[[], None]) -> None:
    """Grad mode, default dtype and number of threads hold for the whole thread or process."""
    before = TorchModes()
    assert not before.changed()
    change()
    assert before.changed()
    before.restore()
    assert not before.changed()


def test_another_thread_is_seen_and_kvparitys_own_is_not() -> None:
    """Threads of kvparity's draw no random numbers."""
    over = threading.Event()
    for name, seen in (("kvparity-live", False), ("collector", True)):
        others = other_threads_run()
        thread = threading.Thread(target=over.wait, name=name)
        thread.start()
        try:
            assert other_threads_run() == (seen or others)
        finally:
            over.set()
            thread.join()
            over.clear()


def test_a_process_that_did_not_fork_goes_on() -> None:
    """Its number is the same."""
    exit_if_forked(os.getpid())


# ---------------------------------------------------------------- in a training


class ChangesTorchAtFirst(CorrectCache):
    """Changes torch's default dtype for everybody when it is built."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        torch.set_default_dtype(torch.float64)


def test_what_it_changes_while_it_is_built_is_put_back() -> None:
    """And the candidate may stay."""
    model = ManagedModel()
    with attach(model, candidate=ChangesTorchAtFirst, limits=FREE) as attached:
        assert torch.get_default_dtype() == torch.float32
        play(model)
    assert attached.stopped is None


class LeavesTorchOtherwise(CorrectCache):
    """Switches off gradients, or changes torch's default dtype."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        torch.set_grad_enabled(key != 1)
        torch.set_default_dtype(torch.float64 if key == 2 else torch.float32)
        super().set(pool, key, value, priority=priority)


@pytest.mark.parametrize("number", [1, 2])
def test_torch_is_left_as_it_was(number: int) -> None:
    """Otherwise a training might learn nothing any more, and nobody would know why."""
    model = ManagedModel()
    with attach(model, candidate=LeavesTorchOtherwise, limits=FREE) as attached:
        model.set_recur(number, 1.0)
        with pytest.warns(UserWarning, match="it changed torch's grad mode, default dtype or number of threads"):
            model.clear_caches()
        assert (torch.is_grad_enabled(), torch.get_default_dtype()) == (True, torch.float32)
    assert attached.stopped is not None


def test_a_candidate_that_forks_makes_no_second_run() -> None:
    """The child ends when it comes back from its operation."""
    here = os.getpid()

    class Forks(CorrectCache):
        def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
            super().set(pool, key, value, priority=priority)
            if os.getpid() == here:
                self.child = os.fork()

    model, candidate = ManagedModel(), Forks()
    with attach(model, candidate=lambda *_: candidate, limits=FREE):
        model.set_recur(1, 1.0)
        model.clear_caches()
    if os.getpid() != here:
        os._exit(3)  # of the child, or else it would go on with these tests
    assert os.waitstatus_to_exitcode(os.waitpid(candidate.child, 0)[1]) == 1
