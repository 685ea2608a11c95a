"""The history of a key: what both sides did, in order, and what it leaves out."""

from __future__ import annotations

import math

import torch

from kvparity.caches.protocol import CacheSpec
from kvparity.driving.comparison import Comparison
from kvparity.evidence import heat_of
from kvparity.evidence.history import Event, History
from kvparity.operations import ALL_INIT, RECUR, Get, Set, init
from kvparity.registry import load_scenario
from kvparity.results.divergence import DivergenceLog
from support.driven import drive, entry


def test_a_divergence_comes_with_the_history_of_its_key() -> None:
    """Its sets and lookups on both sides in order, the divergent one at the end, and no other key's."""
    spec = CacheSpec(env_num=1, init_pool_size=1, num_simulations=1)
    shadow = drive(
        "legacy-released",
        "refactored-fifo",
        [
            Set(pool=RECUR, key=1, value=entry(1.0)),
            Set(pool=RECUR, key=2, value=entry(2.0)),
            Get(pool=RECUR, key=1),
        ],
        spec,
    )
    exhibit = shadow.log.kept[0].exhibit
    assert exhibit is not None
    assert [(moment.number, moment.operation) for moment in exhibit.history] == [(0, "set"), (1, "drop"), (2, "get")]
    assert exhibit.history[-1].reference.startswith("hit ")
    assert exhibit.history[-1].candidate == "miss"
    assert exhibit.history[1].candidate == "fifo would drop it here"
    assert exhibit.complete
    assert exhibit.earlier == 0


def test_a_clear_belongs_to_the_history_of_the_keys_it_forgot() -> None:
    """Of the pool that a key was in, and once between two uses of the key."""
    history = History()
    did = b"\x01" * 16
    for number, (verb, pool, key) in enumerate(
        [
            ("clear", RECUR, None),  # before the key was ever used
            ("set", init(0), 7),
            ("clear", init(1), None),  # another pool
            ("clear", RECUR, None),  # another pool
            ("clear", ALL_INIT, None),
            ("clear", ALL_INIT, None),  # again, with nothing between
            ("checkout", init(0), 7),
            ("clear", RECUR, None),  # where the checkout looked second
        ]
    ):
        history.note(Event(number, verb, pool, key, did, did))
    assert [moment.number for moment in history.of(7)[0]] == [1, 4, 6, 7]


def test_of_a_long_history_the_end_is_shown_and_the_rest_counted() -> None:
    """Nothing is left out without a word."""
    history = History()
    for number in range(100):
        history.note(Event(number, "get", RECUR, 7, None, b"\x02" * 16))
    shown, earlier, complete = history.of(7)
    assert [moment.number for moment in shown] == list(range(76, 100))
    assert (earlier, complete) == (76, True)
    assert shown[0].reference == "miss"
    assert shown[0].candidate == "hit 020202020202"


def test_a_history_that_forgot_says_so() -> None:
    """It is bounded: beyond 32,768 operations it does not reach back to the first."""
    history = History()
    for number in range(32_768):
        history.note(Event(number, "get", RECUR, number, None, None))
    assert not history.of(0)[2]


def test_only_the_first_of_a_group_are_kept_with_their_history() -> None:
    """Ten thousand divergences must not take ten thousand histories."""
    result = Comparison("legacy-released", "refactored-fifo").scenario(
        load_scenario("pool-pressure"), seed=0, steps=5000
    )
    group = ("stale_hit", "reference")
    exhibits = [each.exhibit for each in result.kept if (each.kind, each.wrong) == group]
    assert result.by_group[group] > DivergenceLog.EXHIBITED
    assert [exhibit is not None for exhibit in exhibits].count(True) == DivergenceLog.EXHIBITED


def test_a_wrong_value_is_shown_as_a_map_of_differences() -> None:
    """By tensor, head and token, the greatest difference over the last axis."""
    expected = torch.zeros(1, 2, 3, 4)
    found = expected.clone()
    found[0, 1, 2, 3] = -2.5
    found[0, 0, 1, 0] = math.nan
    ((where, rows), (other, zeros)) = heat_of([expected, expected], [found, expected])
    assert (where, rows) == ("layer 0, K", ((0.0, None, 0.0), (0.0, 0.0, 2.5)))
    assert other == "layer 0, V"
    assert set(sum(zeros, ())) == {0.0}


def test_tensors_of_several_shapes_have_no_map() -> None:
    """There is nothing to subtract."""
    assert heat_of([torch.zeros(1, 2, 3, 4)], [torch.zeros(1, 2, 4, 4)]) == ()
