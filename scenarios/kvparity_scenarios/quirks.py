"""A scenario for each quirk of the original that makes it keep or lose a key. Nothing else differs in it.

| name | the quirk |
| --- | --- |
| `reset_leaves_owner` | a key that is set again is dropped although its newest value is in another slot |
| `reset_uses_slot` | another key leaves earlier, because the key that was set again uses a second slot |
| `reset_lives_longer` | a key that is set again leaves later, because it is in a newer slot |
| `clear_leaves_owner` | a key that is set again after a clear is dropped early |

Ordinary workloads show several at once: `revisit` shows all four. To run one:
`kvparity run kvparity_scenarios.quirks:clear_leaves_owner`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from kvparity.caches.protocol import CacheSpec
from kvparity.operations import Clear, Get, Set, init
from kvparity.values.entry import KeysValues
from kvparity_scenarios.catalogue import Scenario
from kvparity_scenarios.context import Geometry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from kvparity.operations import Operation

_SPEC = CacheSpec(env_num=1, init_pool_size=3, num_simulations=3)
_POOL = init(0)
_ROW = Geometry().row_shape


def _rounds(story: str, spec: CacheSpec, rng: Random) -> Iterator[Operation]:
    """The story again and again, each time with new keys. At its end both sides hold the same keys again.

    In a story, a letter sets the key of that name, `?` and a letter looks it up, and `-` clears.
    """
    number = 0
    while True:
        keys = {letter: rng.getrandbits(64) for letter in "abcd"}
        fresh = [rng.getrandbits(64) for _ in range(spec.slots(_POOL))]
        for word in story.split():
            if word == "-":
                yield Clear(pool=_POOL)
            elif word.startswith("?"):
                yield Get(pool=_POOL, key=keys[word[1]])
            else:
                number += 1
                yield _set(keys[word], number)
        for key in fresh:
            number += 1
            yield _set(key, number)
        for key in fresh:
            yield Get(pool=_POOL, key=key)


def _set(key: int, number: int) -> Set:
    return Set(pool=_POOL, key=key, value=KeysValues.from_row(torch.full(_ROW, float(number)), [1] * _ROW[0]))


reset_leaves_owner = Scenario(
    name="reset-leaves-owner",
    summary="A key is set twice, and the ring reaches the first of its two slots.",
    spec=_SPEC,
    produce=partial(_rounds, "a a b c ?a"),
)

reset_uses_slot = Scenario(
    name="reset-uses-slot",
    summary="A key is set twice, so that the slot of another key is overwritten earlier.",
    spec=_SPEC,
    produce=partial(_rounds, "a b b c ?a"),
)

reset_lives_longer = Scenario(
    name="reset-lives-longer",
    summary="The oldest key is set again when the ring has reached its slot.",
    spec=_SPEC,
    produce=partial(_rounds, "a b c a d ?a"),
)

clear_leaves_owner = Scenario(
    name="clear-leaves-owner",
    summary="A key is set, cleared and set again, and the ring reaches its slot from before the clear.",
    spec=_SPEC,
    produce=partial(_rounds, "a - a b c ?a"),
)
