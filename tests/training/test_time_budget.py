"""The time budget: a candidate that takes too much wall time pauses, and is taken out if that is not enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kvparity.training import Attachment, Limits, Options
from kvparity.training.inline.guard import Guard
from kvparity.training.inline.time_budget import TimeBudget
from kvparity_scenarios.correct_cache import CorrectCache
from support.worldmodels import ReleasedModel, play, same

if TYPE_CHECKING:
    from kvparity import PoolId

TAKEN_OUT = "the candidate was taken out, and the run goes on without it: "


class Clock:
    """Seconds that pass only when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


class Slow(CorrectCache):
    """Takes a second for each set, on the clock of the test."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        super().set(pool, key, value, priority=priority)
        CLOCK.now += 1.0


def attached(model: Any, candidate: Any, **options: Any) -> Attachment:
    """`candidate` on the clock of the test."""
    attachment = Attachment(Options(candidate=candidate, **options), clock=CLOCK)
    attachment.add("model", model)
    return attachment


# ---------------------------------------------------------------- alone


def test_spending_more_than_the_share_is_a_reason_to_stop() -> None:
    """The reason names what was spent, of how much, and what was allowed."""
    clock = Clock()
    budget = TimeBudget(share=0.1, warm_up_s=10.0, clock=clock)
    began = budget.now()
    clock.now += 1.0
    assert budget.spend_since(began) is None
    began = budget.now()
    clock.now += 0.5
    assert budget.spend_since(began) == "shadowing took 1.5 s of 1.5 s; 10% were allowed"


def test_without_a_share_nothing_is_a_reason_to_stop() -> None:
    """What was spent is counted all the same."""
    clock = Clock()
    budget = TimeBudget(share=None, warm_up_s=10.0, clock=clock)
    began = budget.now()
    clock.now += 1e6
    assert budget.spend_since(began) is None
    assert (budget.spent_s, budget.is_short) == (1e6, False)


def test_time_is_short_when_half_of_the_advance_is_spent() -> None:
    """Until wall time has filled it up again."""
    clock = Clock()
    budget = TimeBudget(share=0.1, warm_up_s=10.0, clock=clock)
    budget.spend(0.5)
    assert not budget.is_short
    budget.spend(0.1)
    assert budget.is_short
    clock.now += 2.0
    assert not budget.is_short


def test_wall_time_counts_until_the_end() -> None:
    """A second end changes nothing."""
    clock = Clock()
    budget = TimeBudget(share=0.1, warm_up_s=10.0, clock=clock)
    clock.now += 3.0
    assert budget.wall_s == 3.0
    for _ in range(2):
        budget.end()
        clock.now += 3.0
    assert budget.wall_s == 3.0


# ---------------------------------------------------------------- in a training


@pytest.mark.parametrize(
    ("serve", "found"),
    [
        ("reference", r"shadowing took 4\.0 s of 4\.0 s; 5% were allowed"),
        ("candidate", r"shadowing took 7\.0 s of 7\.0 s; 50% were allowed"),
    ],
)
def test_a_slow_candidate_is_taken_out(serve: str, found: str) -> None:
    """It may take five percent of the first minute, three seconds, in advance."""
    model, twin = ReleasedModel(), ReleasedModel()
    with attached(model, Slow, serve=serve) as shadow, pytest.warns(UserWarning, match=found):
        assert same(play(model), play(twin))
    assert shadow.stopped is not None


def test_a_candidate_that_serves_is_not_taken_out_for_what_a_shadow_may_not_take() -> None:
    """The model needs its work, and taking it out would change what the model works with."""
    model = ReleasedModel()
    with attached(model, Slow, serve="candidate") as shadow:
        for step in range(100):
            model.set_recur(step, 1.0)
            CLOCK.now += 4.0
    training = shadow.result().training
    assert training is not None
    assert (training.share, training.stopped, training.passed_over) == (0.2, None, 0)


def test_without_a_share_time_is_only_measured() -> None:
    """None switches that limit off."""
    model = ReleasedModel()
    with attached(model, Slow, limits=Limits(share=None)) as shadow:
        play(model)
        CLOCK.now += 64.0
    CLOCK.now += 1000.0
    training = shadow.result().training
    assert training is not None
    assert (training.shadow_s, training.wall_s, training.share) == (36.0, 100.0, 0.36)


def test_time_that_was_not_spent_is_saved_up() -> None:
    """A burst after a pause is within the share; at most the share of one hour is saved."""
    clock = Clock()
    guard = Guard(Limits(patience_s=None, share=0.1, warm_up_s=10.0), clock=clock)

    def take(seconds: float) -> None:
        visit = guard.begin()
        clock.now += seconds
        guard.finish(visit)

    clock.now += 100.0
    take(11.0)
    assert guard.stopped is None
    clock.now += 1e6
    take(360.0)
    assert guard.stopped is None
    with pytest.warns(UserWarning, match=TAKEN_OUT):
        take(60.0)


def test_where_time_runs_short_shadowing_pauses() -> None:
    """A pause begins and ends when all caches are empty, so that only lookups are missed."""
    model, twin = ReleasedModel(), ReleasedModel()
    with attached(model, Slow) as shadow:
        given: list[Any] = []
        for _ in range(2):
            model.set_recur(1, 1.0)  # one second of three
            model.search(0, 1)
        model.clear_caches()
        before = shadow.result()
        given += play(model, 2)  # while it pauses
        during = shadow.result()
        CLOCK.now += 60.0
        model.set_recur(5, 5.0)
        model.clear_caches()
        model.set_recur(1, 2.0)
        model.search(0, 1)
    assert same(given, play(twin, 2))
    assert (before.gets_compared, during.gets_compared) == (2, 2)
    result = shadow.result()
    assert (result.gets_compared, result.total) == (3, 0)
    assert result.training is not None
    assert result.training.passed_over == len(given)
    assert result.training.stopped is None
