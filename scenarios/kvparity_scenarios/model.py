"""A toy world model: latents that change with each action, and their rewards, priors and values.

Axes: `E` environments in the batch, `Z` latent dimensions, `A` actions.

The dynamics are chaotic: each action stretches the latent and folds it back into [-1, 1), so paths neither meet nor
settle. They consist of additions, multiplications and remainders of single float64 numbers, whose results are the same
everywhere. So a latent has the same bytes, and the same key, on every machine. Rewards, priors and values are linear in
the latent; they only guide the search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import xxhash

if TYPE_CHECKING:
    from random import Random

    import numpy.typing as npt

    Latents: TypeAlias = npt.NDArray[np.float64]

_GAIN = 4.0
_SHARPNESS = 3.0


class ToyModel:
    """Dynamics and predictions with random weights.

    Args:
        rng: the source of its weights.
        num_actions: `A`.
        latent_dim: `Z`.
        grid: latents are rounded to multiples of this, so that different paths meet. None for latents that never
            repeat.
    """

    def __init__(self, rng: Random, *, num_actions: int = 4, latent_dim: int = 8, grid: float | None = None) -> None:
        self.num_actions = num_actions
        self.latent_dim = latent_dim
        self._grid = grid
        self._order = np.array(rng.sample(range(latent_dim), latent_dim))
        self._twist = _uniform(rng, _GAIN, num_actions, latent_dim)
        self._keep = _uniform(rng, _GAIN, num_actions, latent_dim)
        self._drift = _uniform(rng, 1.0, num_actions, latent_dim)
        self._reward = _uniform(rng, 1.0, num_actions, latent_dim)
        self._policy = _uniform(rng, _SHARPNESS, num_actions, latent_dim)
        self._value = _uniform(rng, 2.0, latent_dim)

    def start(self, rng: Random) -> Latents:
        """A random latent `[Z]` for the first observation of an episode."""
        return self._settled(_uniform(rng, 1.0, self.latent_dim))

    def disturbed(self, latent: Latents, rng: Random, *, amount: float = 0.1) -> Latents:
        """`latent` `[Z]` with noise: the real latent after a prediction, or that of an encoder trained further."""
        return self._settled(latent + _uniform(rng, amount, self.latent_dim))

    def step(self, latents: Latents, actions: list[int]) -> tuple[Latents, list[float]]:
        """The latents `[E, Z]` after one action each, as a new array, and the `E` rewards."""
        driven = latents[:, self._order] * self._twist[actions] + latents * self._keep[actions]
        driven += self._drift[actions]
        after = self._settled(np.remainder(driven + 1.0, 2.0) - 1.0)
        rewards: list[float] = (after * self._reward[actions]).sum(-1).tolist()
        return after, rewards

    def predict(self, latents: Latents) -> tuple[list[list[float]], list[float]]:
        """The priors, `E` lists of `A` that sum to 1, and the `E` values of the latents `[E, Z]`."""
        logits = (latents[:, None, :] * self._policy).sum(-1)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        priors: list[list[float]] = (weights / weights.sum(-1, keepdims=True)).tolist()
        values: list[float] = (latents * self._value).sum(-1).tolist()
        return priors, values

    def _settled(self, latents: Latents) -> Latents:
        if self._grid is None:
            return latents
        # Adding zero turns -0.0 into 0.0: equal latents must have equal bytes.
        return np.round(latents / self._grid) * self._grid + 0.0


def key_of(latent: Latents) -> int:
    """The cache key of a latent `[Z]`: xxh64 of its bytes, as in LightZero 0.2.0 (`hash_state`)."""
    return xxhash.xxh64_intdigest(latent.tobytes())


def _uniform(rng: Random, bound: float, *shape: int) -> Latents:
    numbers = [rng.uniform(-bound, bound) for _ in range(int(np.prod(shape)))]
    return np.array(numbers).reshape(shape)
