"""The candidate comes for many operations in one go, and what comes of it is what would have come of it at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from kvparity import RECUR, Clear, KeysValues, fingerprint, init
from kvparity.training import Limits, attach
from kvparity.training.inline import shadowed_model
from kvparity.training.inline.trail import OPERATIONS, Trail
from kvparity.training.lightzero.tap import OwnOutcome
from kvparity.values.difference import NOT_KEPT
from kvparity_scenarios.correct_cache import CorrectCache
from support import doubles
from support.worldmodels import ManagedModel, ReleasedModel, entry, play

if TYPE_CHECKING:
    from kvparity.results.result import Result

GALLERY = ("by-reference", "forgets-v", "reads-next-environment", "lends-one-buffer", "owners-survive-clear")


class Told:
    """Stands for a mirror, and keeps what it was told."""

    def __init__(self) -> None:
        self.sets: list[tuple[int, bytes]] = []
        self.values: list[Any] = []

    def mirror_set(self, _pool: object, key: int, value: Any, *_: object) -> None:
        self.sets.append((key, b"" if value._row.is_meta else fingerprint(value)))
        self.values.append(value)


def never() -> bool:
    """Nothing comes between."""
    return False


# ---------------------------------------------------------------- what waits


def test_operations_wait_until_many_have_come() -> None:
    """Then they are done in their order, with what was stored at the time: the model has used its slot again."""
    told, value = Told(), entry(0)
    trail = Trail(told)  # type: ignore[arg-type]
    expected = []
    for number in range(OPERATIONS):
        assert (told.sets, trail.due, len(trail)) == ([], False, number)
        value._keys_values[0]._k_cache._cache.fill_(number)
        trail.set(RECUR, number, value, None, None)
        expected.append((number, fingerprint(value)))
    assert trail.due
    trail.catch_up(never)
    assert told.sets == expected
    assert len({digest for _, digest in expected}) == OPERATIONS
    assert (trail.due, len(trail)) == (False, 0)


def test_the_rest_waits_where_something_comes_between() -> None:
    """And what comes meanwhile waits behind it: no copy is overwritten before its turn."""
    told = Told()
    trail = Trail(told, longest=4)  # type: ignore[arg-type]
    for number in range(4):
        trail.set(RECUR, number, entry(number), None, None)
    trail.catch_up(lambda: len(told.sets) == 2)
    assert len(trail) == 2
    trail.longest = 1
    trail.set(RECUR, 4, entry(4), None, None)
    while trail:
        trail.catch_up(lambda: True)
    assert told.sets == [(number, fingerprint(entry(number))) for number in range(5)]


def test_copies_are_made_into_the_same_memory_again() -> None:
    """Memory that is new to the process costs more than to copy into it."""
    told = Told()
    trail = Trail(told, longest=2)  # type: ignore[arg-type]
    for number in range(6):
        trail.set(RECUR, number, entry(number), None, None)
        if trail.due:
            trail.catch_up(never)
    assert len({id(value._row) for value in told.values}) == 2


def test_where_something_always_comes_between_no_more_copies_are_made() -> None:
    """The queue is never empty then, and its memory is used again all the same."""
    told = Told()
    trail = Trail(told, longest=4)  # type: ignore[arg-type]
    for number in range(100):
        trail.set(RECUR, number, entry(number), None, None)
        if trail.due:
            trail.catch_up(lambda: True)
        assert len(trail) <= 4
    assert len({id(value._row) for value in told.values}) <= 5
    assert told.sets == [(number, fingerprint(entry(number))) for number in range(97)]


def test_of_large_entries_few_wait() -> None:
    """Their copies would push each other out of the processor's caches."""
    told = Told()
    trail = Trail(told)  # type: ignore[arg-type]
    large = KeysValues.zeros(num_layers=1, num_heads=8, max_tokens=256, head_dim=32)  # half a MiB
    trail.set(RECUR, 1, large, None, None)
    assert not trail.due
    trail.set(RECUR, 2, large, None, None)
    assert trail.due


def test_entries_on_a_device_do_not_wait() -> None:
    """There a copy costs as much as is saved."""
    told = Told()
    trail = Trail(told)  # type: ignore[arg-type]
    far = KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=2, head_dim=2, device="meta")
    for number in range(3):
        trail.set(RECUR, number, far, None, None)
        assert trail.due
        trail.catch_up(never)
    assert [value is far for value in told.values] == [False, True, True]


# ---------------------------------------------------------------- in a training


def told(result: Result) -> dict[str, Any]:
    """All of it but what clocks and the memory say."""
    fields = result.as_dict()
    for of_the_moment in ("timing", "timeline", "latencies", "training", "provenance"):
        fields.pop(of_the_moment, None)
    return fields


def shadowed(kind: type, candidate: Any, **options: Any) -> Result:
    """Of a model that plays for a while."""
    model = kind()
    limits = Limits(errors=10**6, share=None)
    with attach(model, candidate=candidate, on_divergence="record", limits=limits, **options) as attached:
        play(model, 40)
    return attached.result()


@pytest.mark.parametrize("kind", [ReleasedModel, ManagedModel])
@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("candidate", ["refactored-fifo", *(f"fault:{name}" for name in GALLERY), doubles.Raises])
def test_what_is_found_is_what_would_have_been_found_at_once(
    kind: type, every: int, candidate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every count, every divergence with its number, blame and explanation, every history."""
    later = shadowed(kind, candidate, compare_every=every)
    monkeypatch.setattr(shadowed_model, "OPERATIONS", 1)
    at_once = shadowed(kind, candidate, compare_every=every)
    for one, other in zip(later.kept, at_once.kept, strict=True):
        assert one.difference in (other.difference, NOT_KEPT)
    assert told(without_numbers(later)) == told(without_numbers(at_once))
    assert later.operations_total > 3 * OPERATIONS


def without_numbers(result: Result) -> Result:
    """Without the tensors' numbers, of which some are not kept until the candidate's turn."""

    def bare(divergence: Any) -> Any:
        exhibit = divergence.exhibit
        bare_exhibit = None if exhibit is None else replace(exhibit, heat=())
        return replace(divergence, difference="", exhibit=bare_exhibit)

    result.first = {group: bare(each) for group, each in result.first.items()}
    result.kept = [bare(each) for each in result.kept]
    return result


def test_numbers_that_are_gone_by_the_candidates_turn_are_not_shown() -> None:
    """The model has used its slot again: it is told that both differ, and not what the slot holds now."""
    model = ReleasedModel()
    with attach(model, candidate="fault:by-reference", on_divergence="record") as attached:
        model.clear_caches()
        model.set_recur(1, 1.0)
        model.set_recur(2, 2.0)
        model.search(0, 1)
        for number in range(3, 11):
            model.set_recur(number, float(number))
        assert attached.found.total == 0
    (found,) = attached.log.kept
    assert (found.kind, found.wrong, found.key) == ("stale_hit", "candidate", 1)
    assert found.difference == NOT_KEPT
    assert found.exhibit is not None
    assert found.exhibit.heat == ()


def test_all_is_done_when_somebody_asks() -> None:
    """For a result, in the middle of a training, and at its end."""
    model = ReleasedModel()
    with attach(model, candidate="refactored-fifo") as attached:
        model.clear_caches()
        before = attached.result().operations_total
        for number in range(3):
            model.set_recur(number, float(number))
        assert attached.result().operations_total == before + 3
        model.set_recur(3, 3.0)
    assert attached.result().operations_total == before + 4


@pytest.mark.parametrize("options", [{"serve": "candidate"}, {"on_divergence": "raise"}, {"on_divergence": "detach"}])
def test_where_the_model_must_not_go_on_nothing_waits(options: dict[str, str]) -> None:
    """It is to get the candidate's answer, or to stop where the caches part."""
    model = ReleasedModel()
    done: list[int] = []

    class Counts(CorrectCache):
        def set(self, pool: Any, key: int, value: Any, *, priority: float | None = None) -> None:
            super().set(pool, key, value, priority=priority)
            done.append(key)

    with attach(model, candidate=Counts, **options):
        model.clear_caches()
        for number in range(3):
            model.set_recur(number, float(number))
            assert len(done) == number + 1


def test_a_clear_that_the_model_refused_ends_nothing() -> None:
    """Of an environment that there is not: nothing is done, and nothing waits."""
    model = ReleasedModel()
    with attach(model, candidate="refactored-fifo") as attached:
        model.clear_caches()
        (shadow,) = attached._shadows.values()
        attached.result()
        assert shadow.hear(Clear(pool=init(99)), OwnOutcome(error=IndexError("no such environment"))) is None
    assert attached.stopped is None


def test_no_grad_and_grad_come_to_the_same() -> None:
    """Copies are made under either."""
    with torch.no_grad():
        without = shadowed(ReleasedModel, "fault:forgets-v")
    assert told(without_numbers(without)) == told(without_numbers(shadowed(ReleasedModel, "fault:forgets-v")))
