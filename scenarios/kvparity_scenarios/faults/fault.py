"""`Fault`: a sound cache with one thing wrong, and what a comparison should find of it.

Axes: `L` layers, `N` samples, `H` heads, `T` tokens, `D` head dim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from kvparity.results.divergence import CORRUPTION
from kvparity.values.entry import read
from kvparity_scenarios.correct_cache import CorrectCache

if TYPE_CHECKING:
    import torch


class Fault(CorrectCache):
    """A cache with one fault.

    Attributes:
        severity: what a comparison finds of it: `corruption` or `behaviour`.
        methods: scenarios and bundled traces, each of which finds that within `steps` operations, with `seed`; `fuzz`
            is fuzzing, for as many examples; `threads` alone stands for a fault that one thread never meets.
    """

    severity: ClassVar[str] = CORRUPTION
    methods: ClassVar[tuple[str, ...]] = ("mcts",)
    steps: ClassVar[int] = 1000
    seed: ClassVar[int] = 0


def copies(value: Any) -> tuple[list[torch.Tensor], list[int]]:
    """Copies of the `2 * L` tensors `[N, H, T, D]` and sizes of an entry: K and V of layer 0, of layer 1, ..."""
    tensors, sizes = read(value)
    return [tensor.detach().clone() for tensor in tensors], sizes
