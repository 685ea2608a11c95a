"""The toy model: deterministic, never repeating, or repeating on purpose."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import xxhash

from kvparity_scenarios.model import ToyModel, key_of


def test_a_key_is_the_xxh64_of_the_latents_bytes() -> None:
    """Keys are computed as in LightZero's `hash_state`."""
    latent = np.arange(4.0)
    assert key_of(latent) == xxhash.xxh64(latent.tobytes()).intdigest()


def test_the_same_latent_and_action_lead_to_the_same_bytes_in_any_batch() -> None:
    """The next latent does not depend on the rest of the batch."""
    model = ToyModel(Random(0))
    latents = np.stack([model.start(Random(seed)) for seed in range(5)])
    together, _ = model.step(latents, [0, 1, 2, 3, 0])
    alone, _ = model.step(latents[3:4], [3])
    assert together[3].tobytes() == alone[0].tobytes()


def test_an_action_repeated_a_hundred_times_never_meets_an_earlier_latent() -> None:
    """The dynamics are chaotic: a chain does not end in a fixed point or a cycle."""
    for seed in range(20):
        model = ToyModel(Random(seed))
        latent, seen = model.start(Random(seed))[None], set()
        for _ in range(100):
            latent, _ = model.step(latent, [seed % model.num_actions])
            seen.add(key_of(latent[0]))
        assert len(seen) == 100


def test_priors_are_probabilities_and_sharp_enough_to_prefer() -> None:
    """They sum to 1, and for a random latent the favourite mostly has more than half."""
    model = ToyModel(Random(1))
    rng = Random(2)
    priors, values = model.predict(np.stack([model.start(rng) for _ in range(200)]))
    assert all(sum(each) == pytest.approx(1.0) for each in priors)
    assert sum(max(each) > 0.5 for each in priors) > 100
    assert len(set(values)) == 200


def test_on_a_grid_different_paths_meet_under_one_key() -> None:
    """With two rounded dimensions there are no more than 25 latents, and -0.0 is not one of them."""
    model = ToyModel(Random(3), latent_dim=2, grid=0.5)
    rng, latent, seen = Random(4), model.start(Random(5))[None], set()
    for _ in range(500):
        latent, _ = model.step(latent, [rng.randrange(model.num_actions)])
        seen.add(key_of(latent[0]))
        assert not np.signbit(latent[latent == 0]).any()
    assert 2 < len(seen) <= 25
