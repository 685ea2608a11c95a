"""A model gets a candidate's answer only if it can work with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from kvparity import KeysValues
from kvparity.judging.outcome import Outcome
from kvparity.training.inline.usable_answers import UsableAnswers
from kvparity.training.lightzero.tap import Served

if TYPE_CHECKING:
    from collections.abc import Callable


def entry(*, tokens: int = 4, dtype: torch.dtype = torch.float32) -> KeysValues:
    """An entry of one layer with two valid tokens."""
    return KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=tokens, head_dim=2, size=2, dtype=dtype)


@pytest.fixture
def answers() -> UsableAnswers:
    """Of a model that has stored an entry."""
    answers = UsableAnswers()
    answers.expect(entry())
    return answers


def test_an_entry_that_looks_like_the_models_is_served(answers: UsableAnswers) -> None:
    """It is the very object that the candidate returned."""
    value = entry()
    assert answers.serve(Outcome(value)) == Served(value)


def test_a_miss_is_served(answers: UsableAnswers) -> None:
    """The model builds its context anew, as after a miss of its own caches."""
    assert answers.serve(Outcome(None)) == Served(None)


def test_an_exception_is_not_served(answers: UsableAnswers) -> None:
    """The model gets its own caches' answer."""
    assert answers.serve(Outcome(error=RuntimeError("no"))) is None


def test_an_entry_is_not_served_before_the_model_has_stored_one() -> None:
    """Nobody knows what it should look like."""
    assert UsableAnswers().serve(Outcome(entry())) is None


def _with_size(size: object) -> KeysValues:
    value = entry()
    value._keys_values[0]._k_cache._size = size  # type: ignore[assignment]
    return value


def _with_gradients() -> KeysValues:
    value = entry()
    value._keys_values[0]._v_cache._cache = torch.zeros(1, 1, 4, 2, requires_grad=True)
    return value


@pytest.mark.parametrize(
    "make",
    [
        lambda: entry(tokens=5),
        lambda: entry(dtype=torch.float64),
        lambda: _with_size(2.0),
        lambda: _with_size(5),
        _with_gradients,
    ],
    ids=["shape", "dtype", "size that is no integer", "size outside the tensor", "gradients"],
)
def test_an_entry_that_looks_different_is_not_served(answers: UsableAnswers, make: Callable[[], KeysValues]) -> None:
    """The model would fail on it, or go on with nonsense."""
    assert answers.serve(Outcome(make())) is None
