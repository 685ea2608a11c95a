"""The scenarios of the original's quirks: each shows its own quirk and nothing else."""

from __future__ import annotations

import pytest

from kvparity import Comparison
from kvparity.search.case import Signature
from kvparity_scenarios import quirks

WRONG = ("presence", "reference")
DROPPED = "# dropped this live key at operation #, while it set key #: it reused slot #, which"
STILL = (
    "still named this key as its owner, although the key's newest value is in slot #"
    " (known quirk: docs/the-original.md)"
)
SHOWN = {
    "reset_leaves_owner": f"{DROPPED} {STILL}; the key was set again at operation #",
    "reset_uses_slot": f"{DROPPED} held the key; fifo with # slots would still hold it",
    "reset_lives_longer": "# still holds a key that fifo with # slots evicted at operation # to make room for key #",
    "clear_leaves_owner": f"{DROPPED} {STILL}; the slot named it from before the clear at operation #",
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_quirk_is_shown_alone(name: str) -> None:
    """Every divergence is that quirk, round after round, and all other lookups agree."""
    result = Comparison("legacy-evicting", "refactored-fifo").scenario(getattr(quirks, name), seed=0, steps=240)
    signatures = {Signature.of(divergence) for divergence in result.kept}
    assert {(each.kind, each.wrong, each.explanation.replace("legacy-evicting", "#")) for each in signatures} == {
        (*WRONG, SHOWN[name])
    }
    assert result.total >= 20
    assert result.gets_compared > 3 * result.total


@pytest.mark.parametrize("name", SHOWN)
def test_a_cache_without_the_quirk_is_at_parity(name: str) -> None:
    """The refactored cache behaves like the ideal FIFO pool."""
    result = Comparison("refactored-fifo", "refactored-fifo").scenario(getattr(quirks, name), seed=0, steps=240)
    assert result.total == 0


def test_only_one_of_them_is_the_released_originals_too() -> None:
    """The released generation evicts nothing, so no key leaves early."""
    released = Comparison("legacy-released", "refactored-fifo")
    found = {name for name in SHOWN if WRONG in released.scenario(getattr(quirks, name), seed=0, steps=240).by_group}
    assert found == {"reset_lives_longer"}
