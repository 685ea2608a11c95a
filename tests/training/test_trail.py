"""The candidate does many operations in one go, and the result is the same as if it did each at once."""

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


class MirrorDouble:
    """Takes the place of a mirror, and keeps what it gets."""

    def __init__(self) -> None:
        self.sets: list[tuple[int, bytes]] = []
        self.values: list[Any] = []

    def mirror_set(self, _pool: object, key: int, value: Any, *_: object) -> None:
        self.sets.append((key, b"" if value._row.is_meta else fingerprint(value)))
        self.values.append(value)


def never() -> bool:
    """Nothing interrupts."""
    return False


# ---------------------------------------------------------------- what waits


def test_operations_wait_until_many_have_come() -> None:
    """Then they are done in order, with what was stored at the time: the model has used its slot again."""
    mirror, value = MirrorDouble(), entry(0)
    trail = Trail(mirror)  # type: ignore[arg-type]
    expected = []
    for number in range(OPERATIONS):
        assert (mirror.sets, trail.due, len(trail)) == ([], False, number)
        value._keys_values[0]._k_cache._cache.fill_(number)
        trail.set(RECUR, number, value, None, None)
        expected.append((number, fingerprint(value)))
    assert trail.due
    trail.catch_up(never)
    assert mirror.sets == expected
    assert len({digest for _, digest in expected}) == OPERATIONS
    assert (trail.due, len(trail)) == (False, 0)


def test_the_rest_waits_if_the_candidate_is_interrupted() -> None:
    """What comes meanwhile waits behind it, and no copy is overwritten before its turn."""
    mirror = MirrorDouble()
    trail = Trail(mirror, longest=4)  # type: ignore[arg-type]
    for number in range(4):
        trail.set(RECUR, number, entry(number), None, None)
    trail.catch_up(lambda: len(mirror.sets) == 2)
    assert len(trail) == 2
    trail.longest = 1
    trail.set(RECUR, 4, entry(4), None, None)
    while trail:
        trail.catch_up(lambda: True)
    assert mirror.sets == [(number, fingerprint(entry(number))) for number in range(5)]


def test_copies_are_made_into_the_same_memory_again() -> None:
    """Memory that is new to the process is slower than copying into memory that it has."""
    mirror = MirrorDouble()
    trail = Trail(mirror, longest=2)  # type: ignore[arg-type]
    for number in range(6):
        trail.set(RECUR, number, entry(number), None, None)
        if trail.due:
            trail.catch_up(never)
    assert len({id(value._row) for value in mirror.values}) == 2


def test_if_the_candidate_is_always_interrupted_no_more_copies_are_made() -> None:
    """The queue is never empty then, and its memory is still used again."""
    mirror = MirrorDouble()
    trail = Trail(mirror, longest=4)  # type: ignore[arg-type]
    for number in range(100):
        trail.set(RECUR, number, entry(number), None, None)
        if trail.due:
            trail.catch_up(lambda: True)
        assert len(trail) <= 4
    assert len({id(value._row) for value in mirror.values}) <= 5
    assert mirror.sets == [(number, fingerprint(entry(number))) for number in range(97)]


def test_of_large_entries_few_wait() -> None:
    """Many copies would push each other out of the processor's caches."""
    mirror = MirrorDouble()
    trail = Trail(mirror)  # type: ignore[arg-type]
    large = KeysValues.zeros(num_layers=1, num_heads=8, max_tokens=256, head_dim=32)  # half a MiB
    trail.set(RECUR, 1, large, None, None)
    assert not trail.due
    trail.set(RECUR, 2, large, None, None)
    assert trail.due


def test_entries_on_a_device_do_not_wait() -> None:
    """There the copy costs as much as waiting saves."""
    mirror = MirrorDouble()
    trail = Trail(mirror)  # type: ignore[arg-type]
    far = KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=2, head_dim=2, device="meta")
    for number in range(3):
        trail.set(RECUR, number, far, None, None)
        assert trail.due
        trail.catch_up(never)
    assert [value is far for value in mirror.values] == [False, True, True]


# ---------------------------------------------------------------- in a training


def comparable(result: Result) -> dict[str, Any]:
    """The result without times and memory."""
    fields = result.as_dict()
    for of_the_moment in ("timing", "timeline", "latencies", "training", "provenance"):
        fields.pop(of_the_moment, None)
    return fields


def shadowed(kind: type, candidate: Any, **options: Any) -> Result:
    """The result of a model that plays for a while."""
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
    assert comparable(without_numbers(later)) == comparable(without_numbers(at_once))
    assert later.operations_total > 3 * OPERATIONS


def without_numbers(result: Result) -> Result:
    """The result without the tensors' numbers, some of which are not kept until the candidate's turn."""

    def bare(divergence: Any) -> Any:
        exhibit = divergence.exhibit
        bare_exhibit = None if exhibit is None else replace(exhibit, heat=())
        return replace(divergence, difference="", exhibit=bare_exhibit)

    result.first = {group: bare(each) for group, each in result.first.items()}
    result.kept = [bare(each) for each in result.kept]
    return result


def test_numbers_that_are_gone_when_the_candidate_comes_are_not_shown() -> None:
    """The model has used its slot again. The report says that the entries differ, and not what the slot holds now."""
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
    """For a result, in the middle of a training and at its end."""
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
    """It needs the candidate's answer, or must stop where the caches diverge."""
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
    """It names an environment that does not exist: nothing is done, and nothing waits."""
    model = ReleasedModel()
    with attach(model, candidate="refactored-fifo") as attached:
        model.clear_caches()
        (shadow,) = attached._shadows.values()
        attached.result()
        assert shadow.hear(Clear(pool=init(99)), OwnOutcome(error=IndexError("no such environment"))) is None
    assert attached.stopped is None


def test_no_grad_and_grad_give_the_same_result() -> None:
    """Copies are made in either mode."""
    with torch.no_grad():
        without = shadowed(ReleasedModel, "fault:forgets-v")
    assert comparable(without_numbers(without)) == comparable(
        without_numbers(shadowed(ReleasedModel, "fault:forgets-v"))
    )
