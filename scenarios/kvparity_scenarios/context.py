"""Contexts: the tokens of a toy transformer on the way to a node, as the entry that a cache stores for it.

Axes: `L` layers, `N` samples (1 in an entry), `H` heads, `T` tokens, `D` head dim; `B` contexts of one batch,
`Z` latent dimensions.

A context grows by two tokens in each step, action and observation. LightZero's sliding window cuts it (0.2.0,
`WorldModel.update_cache_context`): as soon as `T - 1` tokens are valid, it drops the first 2, keeps the last `T - 3`
and pads with zeros. Before that, the padding may hold anything, as in a tensor that is reused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import pad

from kvparity.values.entry import KeysValues

if TYPE_CHECKING:
    from random import Random

    from kvparity_scenarios.model import Latents

_GARBAGE_EVERY = 3
_SPLIT_EVERY = 5
_STRIDED_EVERY = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """The shape and type of an entry. The defaults are CartPole's: 8 KB.

    Attributes:
        num_layers: `L`.
        num_heads: `H`.
        max_tokens: `T`, at least 4.
        head_dim: `D`.
        dtype: the type of every tensor.
    """

    num_layers: int = 2
    num_heads: int = 2
    max_tokens: int = 8
    head_dim: int = 32
    dtype: torch.dtype = torch.float32

    @property
    def token_shape(self) -> tuple[int, int, int, int]:
        """`(2 * L, N, H, D)`: one token in every K and V."""
        return 2 * self.num_layers, 1, self.num_heads, self.head_dim

    @property
    def row_shape(self) -> tuple[int, int, int, int, int]:
        """`(2 * L, N, H, T, D)`."""
        return 2 * self.num_layers, 1, self.num_heads, self.max_tokens, self.head_dim


class Context(NamedTuple):
    """The tokens on the way to one node.

    Attributes:
        row: `[2 * L, N, H, T, D]`, contiguous, a view into its batch; read only.
        size: the number of valid tokens.
    """

    row: torch.Tensor
    size: int


class ToyTransformer:
    """Makes contexts of one geometry. A token is the latent, spread over layers, heads and channels.

    Args:
        rng: the source of its weights.
        geometry: of the contexts that it makes.
        num_actions: the number of action tokens.
        latent_dim: `Z`.
    """

    def __init__(self, rng: Random, *, geometry: Geometry, num_actions: int, latent_dim: int) -> None:
        self.geometry = geometry
        self._batches = 0
        size = torch.Size(geometry.token_shape).numel()
        self._channels = torch.tensor([rng.randrange(latent_dim) for _ in range(size)])
        self._weights = torch.tensor([rng.uniform(0.5, 2.0) for _ in range(size)], dtype=torch.float64)
        actions = [rng.uniform(-1.0, 1.0) for _ in range(num_actions * size)]
        self._actions = torch.tensor(actions, dtype=geometry.dtype).view(num_actions, *geometry.token_shape)
        garbage = [rng.uniform(-9.0, 9.0) for _ in range(size * geometry.max_tokens)]
        self._garbage = torch.tensor(garbage, dtype=geometry.dtype).view(geometry.row_shape)

    def begin(self, latents: Latents) -> list[Context]:
        """Contexts of one observation token each, for the latents `[B, Z]`. Some have garbage as padding."""
        self._batches += 1
        if self._batches % _GARBAGE_EVERY == 0:
            batch = self._garbage.repeat(len(latents), 1, 1, 1, 1, 1)
        else:
            batch = torch.zeros((len(latents), *self.geometry.row_shape), dtype=self.geometry.dtype)
        batch[..., 0, :] = self._observations(latents)
        return [Context(row, 1) for row in batch]

    def extend(self, parents: list[Context], actions: list[int], latents: Latents) -> list[Context]:
        """New contexts: the parent's tokens, that of the action, and that of the latent `[B, Z]` it led to."""
        batch = torch.stack([parent.row for parent in parents])
        lanes = torch.arange(len(parents))
        sizes = [parent.size for parent in parents]
        ends = torch.tensor(sizes)
        batch[lanes, :, :, :, ends] = self._actions[actions]
        batch[lanes, :, :, :, ends + 1] = self._observations(latents)
        sizes = [size + 2 for size in sizes]
        last = self.geometry.max_tokens - 1
        full = [lane for lane, size in enumerate(sizes) if size >= last]
        if full:
            batch[full] = pad(batch[full][..., 2:last, :], (0, 0, 0, 3))
            sizes = [last - 2 if size >= last else size for size in sizes]
        return [Context(row, size) for row, size in zip(batch, sizes, strict=True)]

    def _observations(self, latents: Latents) -> torch.Tensor:
        """One token for each of the latents, `[B, 2 * L, N, H, D]`."""
        spread = torch.from_numpy(latents)[:, self._channels] * self._weights
        return spread.to(self.geometry.dtype).view(-1, *self.geometry.token_shape)


def render(context: Context, turn: int) -> KeysValues:
    """The entry of a context, in one of the memory layouts of real producers; `turn` chooses the layout.

    It is mostly one row that shares the storage of its batch. Sometimes it is separate views into that batch, or
    non-contiguous views, as attention makes when it moves the heads forward. The numbers are the same in each.
    """
    sizes = [context.size] * len(context.row)
    if turn % _STRIDED_EVERY == 0:
        strided = context.row.transpose(2, 3).contiguous().transpose(2, 3)
        return KeysValues(strided.unbind(0), sizes)
    if turn % _SPLIT_EVERY == 0:
        return KeysValues(context.row.unbind(0), sizes)
    return KeysValues.from_row(context.row, sizes)
