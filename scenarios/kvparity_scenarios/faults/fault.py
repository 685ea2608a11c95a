"""`Fault`: a correct cache with one fault, and what a comparison must find.

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
    """A cache with one fault. The first line of its docstring is its summary in `kvparity list faults`.

    Attributes:
        severity: the severity of what a comparison finds: `corruption` or `behaviour`.
        methods: scenarios and bundled traces. Each of them finds it within `steps` operations, with `seed`. `fuzz`
            finds it within as many examples. `threads` alone means that only several threads show the fault.
    """

    severity: ClassVar[str] = CORRUPTION
    methods: ClassVar[tuple[str, ...]] = ("mcts",)
    steps: ClassVar[int] = 1000
    seed: ClassVar[int] = 0


def copies(value: Any) -> tuple[list[torch.Tensor], list[int]]:
    """Copies of the `2 * L` tensors `[N, H, T, D]` and sizes of an entry: K and V of layer 0, of layer 1, ..."""
    tensors, sizes = read(value)
    return [tensor.detach().clone() for tensor in tensors], sizes
