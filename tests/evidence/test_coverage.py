"""Coverage: what a workload exercised."""

from __future__ import annotations

import torch

from kvparity.caches.protocol import CacheSpec
from kvparity.evidence import Coverage, Exercised
from kvparity.operations import RECUR, Checkout, Clear, Set, init
from kvparity.values.entry import KeysValues
from support.driven import drive, entry


def test_coverage_counts_what_was_exercised() -> None:
    """Re-sets, evictions, wrapped rings, clears, misses, kinds of entries and environments."""
    spec = CacheSpec(env_num=2, init_pool_size=1, num_simulations=1)
    shadow = drive(
        "legacy-evicting",
        "refactored-lru",
        [
            Set(pool=init(0), key=1, value=entry(1.0)),
            Set(pool=init(0), key=1, value=entry(2.0)),
            Set(pool=init(0), key=2, value=entry(3.0)),
            Checkout(env=0, key=2),
            Checkout(env=0, key=9),
            Clear(pool=init(0)),
            Clear(pool=init(0)),
        ],
        spec,
    )
    coverage = shadow.coverage()
    assert coverage.families["init"] == Exercised(
        pools=2, used=1, wrapped=1, sets=3, resets=1, hits=1, misses=1,
        evictions={"reference": 1, "candidate": 1}, clears=1,
    )  # fmt: skip
    assert coverage.families["recur"].misses == 1
    assert (coverage.environments, coverage.environments_seen) == (2, 1)
    assert coverage.kinds == ["1 layer, [1, 2, 4, 3] float32"]
    assert coverage.working_copies == 2
    assert coverage.strategies["candidate"]["init"] == ["lru"]


def test_entries_of_another_kind_are_noticed() -> None:
    """Each change of shape or type, and each kind once."""
    small = KeysValues.from_row(torch.zeros(2, 1, 1, 2, 2), [1, 1])
    shadow = drive(
        "legacy-evicting",
        "refactored-fifo",
        [Set(pool=RECUR, key=key, value=value) for key, value in enumerate([entry(1.0), small, small, entry(2.0)])],
    )
    coverage = shadow.coverage()
    assert coverage.kind_changes == 2
    assert coverage.kinds == ["1 layer, [1, 2, 4, 3] float32", "1 layer, [1, 1, 2, 2] float32"]


def test_coverage_adds_up() -> None:
    """Counts are added, kinds and strategies collected."""
    one = Coverage(families={"init": Exercised(pools=1, sets=2)}, kinds=["a"], environments=1)
    two = Coverage(families={"init": Exercised(pools=1, sets=3), "wm": Exercised(pools=1)}, kinds=["b", "a"])
    one += two
    assert one.families["init"].sets == 5
    assert one.families["wm"].pools == 1
    assert one.kinds == ["a", "b"]
