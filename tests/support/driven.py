"""Two caches after a few operations, with their evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from kvparity.caches.protocol import CacheSpec
from kvparity.driving.comparison import Comparison
from kvparity.driving.driver import Driver
from kvparity.shadow.evidence import Evidence
from kvparity.values.entry import KeysValues

if TYPE_CHECKING:
    from kvparity.operations import Operation
    from kvparity.shadow.shadow_cache import ShadowCache


def entry(fill: float, *, size: int = 1) -> KeysValues:
    """An entry of one number."""
    row = torch.full((2, 1, 2, 4, 3), fill)
    return KeysValues.from_row(row, [size, size])


def drive(reference: str, candidate: str, operations: list[Operation], spec: CacheSpec | None = None) -> ShadowCache:
    """Those operations through both caches, with evidence kept."""
    shadow = Comparison(reference, candidate).shadow(spec or CacheSpec(env_num=2), evidence=Evidence())
    driver = Driver(shadow)
    for operation in operations:
        driver.apply(operation)
    return shadow
