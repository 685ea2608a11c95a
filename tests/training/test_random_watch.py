"""The random watch: a candidate that draws the run's random numbers is found, and the numbers are put back."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from kvparity import PoolId, PoolStats
from kvparity.training import Limits
from kvparity.training.inline.guard import Guard
from kvparity.training.inline.random_watch import RandomWatch
from kvparity_scenarios.correct_cache import CorrectCache
from support.attaching import attach
from support.worldmodels import ManagedModel, ReleasedModel, play

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FREE = Limits(share=None, patience_s=None)


class Draws(CorrectCache):
    """Draws the run's random numbers."""

    draw: Callable[[], Any] = random.random

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        super().set(pool, key, value, priority=priority)
        type(self).draw()


# ---------------------------------------------------------------- alone


def test_who_draws_is_found_and_the_numbers_are_put_back() -> None:
    """Where no other thread runs, one look is enough."""
    watch, state = RandomWatch(), random.getstate()
    before = watch.begin(0, 1)
    assert before is not None
    random.random()
    reason = "it drew random numbers from Python's random state, which belongs to the run; give it its own generator"
    assert watch.finish(before) == reason
    assert random.getstate() == state


def test_random_states_are_looked_at_in_the_first_operations_and_then_in_some() -> None:
    """Reading them costs more than an operation."""
    watch = RandomWatch()
    looked = [number for number in range(3000) if watch.begin(number, number + 1) is not None]
    assert looked == [*range(64), 64 + 1023, 64 + 1023 + 1024]


# ---------------------------------------------------------------- in a training


@pytest.mark.parametrize("kind", [ReleasedModel, ManagedModel])
def test_shadowing_draws_no_random_numbers(kind: type) -> None:
    """The run's random state is the same with a shadow and without."""

    def state() -> tuple[Any, ...]:
        return random.random(), np.random.random(), float(torch.rand(()))  # noqa: NPY002

    def seeded() -> None:
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)

    seeded()
    play(kind())
    without = state()
    seeded()
    model = kind()
    with attach(model, candidate="refactored-lru"):
        play(model)
    assert state() == without


@pytest.mark.parametrize(
    ("draw", "whose"),
    [(random.random, "Python's"), (np.random.random, "numpy's"), (lambda: torch.rand(()), "torch's")],
)
def test_a_candidate_that_draws_from_the_runs_random_state_is_taken_out(
    draw: Callable[[], Any], whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it drew is put back, so that the run goes on as it would without it."""
    monkeypatch.setattr(Draws, "draw", staticmethod(draw))
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]  # noqa: NPY002
    model = ReleasedModel()
    with attach(model, candidate=Draws), pytest.warns(UserWarning, match=f"it drew random numbers from {whose} random"):
        play(model)
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[index]  # noqa: NPY002


class DrawsAtFirst(CorrectCache):
    """Fills a buffer with random numbers when it is made."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.buffer = torch.randn(4)


class DrawsWhenAsked(CorrectCache):
    """Draws random numbers when it is asked for its statistics."""

    def stats(self, pool: PoolId) -> PoolStats:
        torch.randn(4)
        return PoolStats()


@pytest.mark.parametrize("candidate", [DrawsAtFirst, DrawsWhenAsked])
def test_what_it_draws_beside_its_operations_is_put_back(candidate: Any) -> None:
    """The run gets the same numbers as without it."""
    torch.manual_seed(1)
    alone = torch.rand(3)
    torch.manual_seed(1)
    model = ReleasedModel()
    with attach(model, candidate=candidate, limits=FREE) as attached:
        play(model)
        attached.result()
    assert torch.equal(torch.rand(3), alone)


@pytest.fixture
def drawing() -> Iterator[Callable[[], None]]:
    """Once it is called, another thread of the run draws numbers all the time."""
    over = threading.Event()

    def draw() -> None:
        while not over.is_set():
            random.random()

    thread = threading.Thread(target=draw)
    yield thread.start
    over.set()
    if thread.is_alive():
        thread.join()


def test_another_threads_random_numbers_are_nobodys_fault(drawing: Callable[[], None]) -> None:
    """If numbers are drawn while the candidate does nothing, nobody can tell who draws, and nothing is put back."""
    drawing()
    guard = Guard(FREE)
    for _ in range(20):
        visit = guard.begin()
        time.sleep(0.01)
        guard.finish(visit)
    assert guard.stopped is None


def test_beside_a_quiet_thread_who_draws_is_still_found() -> None:
    """It takes three looks in a row; the numbers are put back at each."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    guard = Guard(FREE)
    before = random.getstate()

    def come() -> bool:
        visit = guard.begin()
        random.random()
        guard.finish(visit)
        return random.getstate() == before

    try:
        assert (come(), come(), guard.stopped) == (True, True, None)
        with pytest.warns(UserWarning, match="it drew random numbers from Python's random state"):
            assert come()
    finally:
        over.set()
        thread.join()
