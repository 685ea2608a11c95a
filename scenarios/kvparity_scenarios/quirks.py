"""The original's quirks of presence one by one: a scenario for each, in which nothing else differs.

| name | the quirk |
| --- | --- |
| `reset_leaves_owner` | a re-set key is dropped although its newest value is elsewhere |
| `reset_uses_slot` | another key leaves sooner, because the re-set used a slot up |
| `reset_lives_longer` | a re-set key stays longer, because it has a newer slot |
| `clear_leaves_owner` | a key that is set again after a clear is dropped early |

Ordinary workloads mix them: `revisit` has all four. `kvparity run kvparity_scenarios.quirks:clear_leaves_owner` runs
one.
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
    """The story again and again, each time with new keys. After it both sides hold the same keys again.

    In a story a letter sets that key, `?` and a letter looks it up, `-` clears.
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
    summary="A key is set twice, and the ring comes round to the first of its two slots.",
    spec=_SPEC,
    produce=partial(_rounds, "a a b c ?a"),
)

reset_uses_slot = Scenario(
    name="reset-uses-slot",
    summary="A key is set twice, and another one's slot is needed sooner.",
    spec=_SPEC,
    produce=partial(_rounds, "a b b c ?a"),
)

reset_lives_longer = Scenario(
    name="reset-lives-longer",
    summary="The oldest key is set again, when the ring has come round to its slot.",
    spec=_SPEC,
    produce=partial(_rounds, "a b c a d ?a"),
)

clear_leaves_owner = Scenario(
    name="clear-leaves-owner",
    summary="A key is set, and after a clear set again; the ring comes round to the slot that it had before.",
    spec=_SPEC,
    produce=partial(_rounds, "a - a b c ?a"),
)
