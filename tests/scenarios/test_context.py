"""Contexts: how they grow, how the window slides, and how they are laid out."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch

from kvparity.values.entry import read, row_of
from kvparity.values.fingerprints import fingerprint
from kvparity_scenarios.context import Context, Geometry, ToyTransformer, render


def transformer(**geometry: int) -> ToyTransformer:
    """A transformer with three actions and latents of four dimensions."""
    return ToyTransformer(Random(0), geometry=Geometry(**geometry), num_actions=3, latent_dim=4)


def latents(seed: int, number: int = 1) -> np.ndarray:
    """Latents `[number, 4]`."""
    rng = Random(seed)
    return np.array([[rng.uniform(-1, 1) for _ in range(4)] for _ in range(number)])


def test_a_context_begins_with_the_observation_token() -> None:
    """It has one valid token, in CartPole's shape."""
    [context] = transformer().begin(latents(1))
    assert context.size == 1
    assert context.row.shape == (4, 1, 2, 8, 32)
    assert context.row[..., 0, :].abs().min() > 0


def test_some_contexts_begin_with_garbage_for_padding() -> None:
    """The padding may hold anything."""
    toy = transformer()
    padding = [toy.begin(latents(1))[0].row[..., 1:, :].any().item() for _ in range(6)]
    assert set(padding) == {True, False}


def test_a_step_appends_two_tokens_and_leaves_the_parent_alone() -> None:
    """The child has the parent's tokens, then the action's, then the observation's."""
    toy = transformer()
    [parent] = toy.begin(latents(1))
    before = parent.row.clone()
    [child] = toy.extend([parent], [2], latents(2))
    assert child.size == 3
    assert torch.equal(child.row[..., :1, :], parent.row[..., :1, :])
    assert torch.equal(child.row[..., 2, :], toy.begin(latents(2))[0].row[..., 0, :])
    assert torch.equal(parent.row, before)


def test_another_action_makes_another_context() -> None:
    """The action token makes siblings differ even if their latents are equal."""
    toy = transformer()
    [parent] = toy.begin(latents(1))
    one, other = toy.extend([parent, parent], [0, 1], latents(2).repeat(2, 0))
    assert not torch.equal(one.row, other.row)


@pytest.mark.parametrize("max_tokens", [4, 6, 8, 20])
def test_the_window_drops_two_tokens_keeps_the_last_and_pads_with_zeros(max_tokens: int) -> None:
    """At `T - 1` valid tokens the first 2 are dropped, `T - 3` stay and the last 3 places are zero."""
    toy = transformer(max_tokens=max_tokens)
    [context] = toy.begin(latents(1))
    for step in range(max_tokens):
        [parent], [context] = [context], toy.extend([context], [step % 3], latents(step))
        if parent.size + 2 >= max_tokens - 1:
            assert context.size == max_tokens - 3
            kept = parent.row[..., 2 : parent.size, :]
            assert torch.equal(context.row[..., : kept.shape[-2], :], kept)
            newest = toy.begin(latents(step))[0].row[..., 0, :]
            assert torch.equal(context.row[..., context.size - 1, :], newest)
            assert not context.row[..., -3:, :].any()
        else:
            assert context.size == parent.size + 2


def test_contexts_of_different_sizes_grow_in_one_batch_as_they_do_alone() -> None:
    """A batch may mix full, growing and new contexts."""
    toy = transformer()
    chain = toy.begin(latents(1))
    for step in range(3):
        chain += toy.extend(chain[-1:], [step], latents(step))
    after = latents(9, number=len(chain))
    together = toy.extend(chain, [0] * len(chain), after)
    for lane, context in enumerate(together):
        [alone] = toy.extend([chain[lane]], [0], after[lane : lane + 1])
        assert context.size == alone.size
        assert torch.equal(context.row, alone.row)


def test_every_layout_has_the_same_fingerprint() -> None:
    """Rows, separate views and strided views are read as the same entry."""
    row = torch.arange(2 * 2 * 4 * 3.0).view(2, 1, 2, 4, 3)
    values = [render(Context(row, 3), turn) for turn in range(8)]
    assert len({fingerprint(value) for value in values}) == 1
    assert {row_of(value) is None for value in values} == {True, False}
    assert {read(value)[0][0].is_contiguous() for value in values} == {True, False}
