"""Hostile candidates in a training: each is taken out or tolerated, and the training does not notice it."""

from __future__ import annotations

import ctypes
import sys
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from kvparity.registry import faults
from kvparity.training import Limits, attach
from kvparity_scenarios import hostile
from kvparity_scenarios.hostile import HOSTILE
from support.worldmodels import ReleasedModel, play, same

if TYPE_CHECKING:
    from kvparity.training import Attachment

SERVE = pytest.mark.parametrize("serve", ["reference", "candidate"])

ROUNDS = 12


def shadowed(candidate: str, *, serve: str, limits: Limits) -> Attachment:
    """A run with that candidate, in which the model must get the answers that it gets alone."""
    model, twin = ReleasedModel(), ReleasedModel()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with attach(model, candidate=f"fault:{candidate}", serve=serve, limits=limits) as attached:
            given = play(model, ROUNDS)
    assert same(given, play(twin, ROUNDS))
    return attached


def test_they_are_built_by_name() -> None:
    """`fault:NAME` builds them, as it builds the caches of the gallery."""
    assert set(faults()) >= set(HOSTILE)


@SERVE
@pytest.mark.parametrize("candidate", ["raises-always", "exits-always", "returns-garbage"])
def test_one_that_fails_in_every_call_is_taken_out(candidate: str, serve: str) -> None:
    """It is taken out after the allowed errors; until then the model's own caches answer instead."""
    attached = shadowed(candidate, serve=serve, limits=Limits(errors=10, share=None))
    assert attached.stopped == "it failed in 11 operations; 10 were allowed"
    training = attached.result().training
    assert training is not None
    assert training.stopped_after_operations is not None
    assert training.stopped_after_operations >= 11


@SERVE
def test_one_that_sleeps_is_taken_out(serve: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken out as soon as the time in advance is used up."""
    monkeypatch.setattr(hostile, "_NAP_S", 0.0)
    attached = shadowed("sleeps", serve=serve, limits=Limits(share=1e-9))
    assert attached.stopped is not None
    assert attached.stopped.startswith("shadowing took")
    assert attached.result().operations_total == 1


@SERVE
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the memory of a process")
def test_one_that_leaks_is_taken_out(serve: str) -> None:
    """It is found although its statistics count only its slots."""
    with suppress(AttributeError):  # not every C library has it
        ctypes.CDLL(None).malloc_trim(0)  # or else what earlier tests have freed takes the leak, and nothing grows
    attached = shadowed("leaks", serve=serve, limits=Limits(share=None, size_bytes=16 << 20))
    assert attached.stopped is not None
    assert attached.stopped.startswith("the process grew by")


def test_one_that_keeps_references_is_found_in_the_first_search() -> None:
    """The candidate is blamed at once, and the model is served by its own caches."""
    model, twin = ReleasedModel(), ReleasedModel()
    with (
        attach(model, candidate="fault:by-reference", limits=Limits(share=None)) as attached,
        pytest.warns(UserWarning, match="stale_hit in .*, wrong: candidate: "),
    ):
        assert same(play(model, 1), play(twin, 1))
    assert attached.result().by_side == {"candidate": attached.result().total}
