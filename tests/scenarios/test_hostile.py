"""Candidates that harm the run that they are guests of: each is taken out or borne, and the run never feels it."""

from __future__ import annotations

import sys
import warnings
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
    """A run with that guest, in which the model must be given what it is given alone."""
    model, twin = ReleasedModel(), ReleasedModel()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with attach(model, candidate=f"fault:{candidate}", serve=serve, limits=limits) as attached:
            given = play(model, ROUNDS)
    assert same(given, play(twin, ROUNDS))
    return attached


def test_they_are_built_by_name() -> None:
    """As the gallery's faults are."""
    assert set(faults()) >= set(HOSTILE)


@SERVE
@pytest.mark.parametrize("candidate", ["raises-always", "exits-always", "returns-garbage"])
def test_one_that_fails_in_every_call_is_taken_out(candidate: str, serve: str) -> None:
    """After the errors that were allowed; until then the model's own caches answered in its place."""
    attached = shadowed(candidate, serve=serve, limits=Limits(errors=10, share=None))
    assert attached.stopped == "it failed in 11 operations; 10 were allowed"
    training = attached.result().training
    assert training is not None
    assert training.stopped_after_operations is not None
    assert training.stopped_after_operations >= 11


@SERVE
def test_one_that_sleeps_is_taken_out(serve: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as what may be spent in advance is spent."""
    monkeypatch.setattr(hostile, "_NAP_S", 0.0)
    attached = shadowed("sleeps", serve=serve, limits=Limits(share=1e-9))
    assert attached.stopped is not None
    assert attached.stopped.startswith("shadowing took")
    assert attached.result().operations_total == 1


@SERVE
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the memory of a process")
def test_one_that_leaks_is_taken_out(serve: str) -> None:
    """Though its statistics count its slots only."""
    attached = shadowed("leaks", serve=serve, limits=Limits(share=None, size_bytes=16 << 20))
    assert attached.stopped is not None
    assert attached.stopped.startswith("the process grew by")


def test_one_that_keeps_references_is_found_in_the_first_search() -> None:
    """It is the candidate that is blamed, at once, and the model is served by its own caches."""
    model, twin = ReleasedModel(), ReleasedModel()
    with (
        attach(model, candidate="fault:by-reference", limits=Limits(share=None)) as attached,
        pytest.warns(UserWarning, match="stale_hit in .*, wrong: candidate: "),
    ):
        assert same(play(model, 1), play(twin, 1))
    assert attached.result().by_side == {"candidate": attached.result().total}
