"""The entries that everything is measured with, and the producer's object that every set gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from kvparity.caches.protocol import CacheSpec
from kvparity.values.entry import KeysValues
from kvparity_scenarios.context import Geometry

if TYPE_CHECKING:
    from collections.abc import Mapping

SMALL, MIDDLE, LARGE = "8 KB", "98 KB", "245 KB"
GEOMETRIES = {
    SMALL: Geometry(),  # CartPole
    MIDDLE: Geometry(num_heads=8, head_dim=96),  # Atari
    LARGE: Geometry(num_heads=8, head_dim=96, max_tokens=20),
}
SPEC = CacheSpec(env_num=8, num_simulations=25, init_pool_size=200)
ANY_SIZE = ""


def each(*targets: float | None) -> Mapping[str, float | None]:
    """The targets for entries of 8, 98 and 245 KB: one number for all three."""
    return dict(zip(GEOMETRIES, targets if len(targets) > 1 else targets * len(GEOMETRIES), strict=True))


class Producer:
    """The one object that every set gets, pointed at other tensors in turn.

    Args:
        entry: the size of the entries.
        turns: the number of sets of tensors, all with different values.
    """

    def __init__(self, entry: str, turns: int = 2) -> None:
        geometry = GEOMETRIES[entry]
        generator = torch.Generator().manual_seed(0)
        tensors, *shape = geometry.row_shape
        self._turns = [[torch.randn(shape, generator=generator) for _ in range(tensors)] for _ in range(turns)]
        self.value = KeysValues(self._turns[0], [geometry.max_tokens // 2] * tensors)

    def produce(self, turn: int) -> KeysValues:
        """Return the object, pointed at the next tensors."""
        tensors = iter(self._turns[turn % len(self._turns)])
        for layer in self.value._keys_values:
            layer._k_cache._cache = next(tensors)
            layer._v_cache._cache = next(tensors)
        return self.value
