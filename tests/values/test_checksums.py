"""Checksums that are taken on a device: they see whatever differs, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from kvparity.values import checksums as module
from kvparity.values.checksums import checksums
from support.entries import DTYPES, drawn, every_dtype


def taken(rows: torch.Tensor) -> torch.Tensor:
    """The checksums of `rows`."""
    out = torch.empty(len(rows), 2, dtype=torch.int64)
    checksums(rows, out)
    return out


@every_dtype
@pytest.mark.parametrize("elements", [1, 2, 3, 4, 7])
def test_every_element_counts_whatever_its_type_and_wherever_a_word_ends(dtype: torch.dtype, elements: int) -> None:
    """Of 1 to 16 bytes, in numbers that fill no whole word: a change of any one byte shows."""
    rows = drawn(1, shape=(2, 1, elements), dtype=dtype)
    before = taken(rows)
    octets = rows.view(torch.uint8)
    for at in range(elements * dtype.itemsize):
        octets[1, 0, at] ^= 1
        after = taken(rows)
        assert torch.equal(after[0], before[0])
        assert (after[1] != before[1]).all()
        octets[1, 0, at] ^= 1
    assert torch.equal(taken(rows), before)


@every_dtype
def test_nothing_has_a_checksum_too(dtype: torch.dtype) -> None:
    """An entry may have room for no token."""
    assert not taken(torch.zeros(2, 1, 0, 3).to(dtype)).any()


def test_rows_have_checksums_of_their_own() -> None:
    """Equal rows have equal ones, wherever they stand; another row does not change them."""
    one, other = drawn(1), drawn(2)
    first, second, third = taken(torch.stack([one, other, one]))
    assert torch.equal(first, third)
    assert torch.equal(second, taken(other[None])[0])
    assert (first != second).all()


def test_words_that_changed_places_show() -> None:
    """As tokens do that were written into each other's slots."""
    rows = torch.arange(64, dtype=torch.int32).reshape(1, 8, 8)
    turned = rows[:, torch.tensor([1, 0, 2, 3, 4, 5, 6, 7])]
    assert (taken(rows) != taken(turned)).all()


def test_two_flipped_sign_bits_do_not_cancel_out() -> None:
    """Whichever two of a tensor's numbers they are: under equal weights they would, modulo 2^64."""
    rows = torch.ones(1, 64)
    seen = {tuple(taken(rows)[0].tolist())}
    for first in range(64):
        for second in range(first + 1, 64):
            flipped = rows.clone()
            flipped[0, [first, second]] *= -1
            seen.add(tuple(taken(flipped)[0].tolist()))
    assert len(seen) == 1 + 64 * 63 // 2


@pytest.mark.parametrize("words", [module._BLOCK - 1, module._BLOCK, module._BLOCK + 1])
def test_the_last_word_of_a_long_tensor_counts(words: int) -> None:
    """It may be in another block than the rest."""
    rows = torch.zeros(1, words, dtype=torch.int32)
    rows[0, -1] = 1
    assert (taken(rows) != taken(torch.zeros(1, words, dtype=torch.int32))).all()


def test_blocks_that_changed_places_show() -> None:
    """They are multiplied with the same weights."""
    rows = drawn(3, shape=(1, 3 * module._BLOCK), dtype=torch.int32)
    first, second, third = rows.split(module._BLOCK, dim=1)
    for order in ((second, first, third), (first, third, second), (third, second, first)):
        assert (taken(rows) != taken(torch.cat(order, dim=1))).all()


def test_a_long_tensor_takes_the_memory_of_a_block() -> None:
    """Products are made block by block: a tensor of any length adds a few megabytes for each row."""
    made = []

    class Watches(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            if func is torch.ops.aten.mul.Tensor:
                made.append(result.nbytes)
            return result

    with Watches():
        taken(torch.zeros(2, 5 * module._BLOCK))
    assert max(made) == 2 * 2 * module._BLOCK * 8


@every_dtype
def test_memory_does_not_count(dtype: torch.dtype) -> None:
    """A view at an odd place in memory, or a strided one, has the checksum of its copy."""
    row = drawn(5, shape=(1, 3, 5), dtype=dtype)
    memory = torch.zeros(1 + row.nbytes, dtype=torch.uint8)
    if dtype.itemsize == 1:
        shifted = memory[1:].view(dtype).view(row.shape)
        shifted.view(torch.uint8).copy_(row.view(torch.uint8))
        assert torch.equal(taken(shifted), taken(row))
    turned = row.transpose(1, 2)
    assert torch.equal(taken(turned), taken(turned.clone(memory_format=torch.contiguous_format)))


def test_lazy_conjugates_equal_their_copies() -> None:
    """Torch's lazy conjugation and negation are resolved."""
    lazy = torch.complex(torch.arange(8.0), torch.arange(8.0) + 1)[None].conj()
    assert torch.equal(taken(lazy), taken(lazy.resolve_conj()))
    assert torch.equal(taken(lazy.imag), taken(lazy.imag.resolve_neg()))


def test_a_tensor_of_a_graph_has_the_checksum_of_its_numbers() -> None:
    """And does not grow the graph."""
    rows = drawn(6, dtype=torch.float32)
    before = taken(rows.clone())
    assert torch.equal(taken(rows.requires_grad_()), before)


def test_inference_mode_changes_nothing() -> None:
    """Neither for what is hashed in it, nor for what is hashed after the weights were first drawn in it."""
    module._WEIGHTS.clear()
    with torch.inference_mode():
        within = taken(drawn(7))
    assert torch.equal(taken(drawn(7)), within)


def test_the_runs_random_state_is_left_alone() -> None:
    """Weights come from a generator of their own, whose seed is fixed: drawn again they are the same."""
    module._WEIGHTS.clear()
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first = taken(drawn(8))
    module._WEIGHTS.clear()
    assert torch.equal(taken(drawn(8)), first)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_all_types_are_tried() -> None:
    """The list is not empty, and has types of every width."""
    assert {dtype.itemsize for dtype in DTYPES} == {1, 2, 4, 8, 16}
