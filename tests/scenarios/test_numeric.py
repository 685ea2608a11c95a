"""The numeric edges: they occur bit for bit, and each is looked up."""

from __future__ import annotations

from itertools import islice
from random import Random

import pytest
import torch

from kvparity.operations import Checkout, Get, Set, Write
from kvparity.values.entry import read
from kvparity.values.fingerprints import raw_bytes
from kvparity_scenarios import numeric_edge
from kvparity_scenarios.numeric import EDGE_KEYS, EDGES, edge_value

VALUES = [edge_value(Random(turn), turn) for turn in range(600)]
FLOATS = [dtype for dtype in EDGES if dtype.is_floating_point]


def tensors(dtype: torch.dtype) -> list[torch.Tensor]:
    """The tensors of this type in all values."""
    return [tensor for value in VALUES for tensor in read(value)[0] if tensor.dtype == dtype]


@pytest.mark.parametrize("dtype", EDGES)
def test_every_edge_of_every_type_occurs_bit_for_bit(dtype: torch.dtype) -> None:
    """NaN payloads, signalling NaNs and signed zeros are included."""
    width = dtype.itemsize
    seen: set[int] = set()
    for tensor in tensors(dtype):
        seen.update(raw_bytes(tensor).reshape(-1).view(f"<u{width}").tolist())
    assert seen >= set(EDGES[dtype])


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_edges_of_a_float_mean_what_they_say(dtype: torch.dtype) -> None:
    """NaN, both infinities, -0.0, a denormal and the greatest number are among them."""
    numbers = torch.cat([tensor.reshape(-1) for tensor in tensors(dtype)])
    info = torch.finfo(dtype)
    assert numbers.isnan().any()
    assert (numbers == float("inf")).any()
    assert (numbers == float("-inf")).any()
    assert ((numbers == 0) & numbers.signbit()).any()
    assert (numbers == info.max).any()
    assert ((numbers.double().abs() < info.tiny) & (numbers != 0)).any()


def test_all_sizes_occur() -> None:
    """Empty and full entries occur, and entries whose K and V have different sizes."""
    sizes = [(read(value)[1], read(value)[0][0].shape[2]) for value in VALUES]
    assert any(not any(each) for each, _ in sizes)
    assert any(set(each) == {tokens} for each, tokens in sizes)
    assert any(each[0] != each[1] for each, _ in sizes)


def test_k_and_v_of_some_entries_are_equal() -> None:
    """They are equal in a new context too, and a cache may confuse them."""
    alike = [value for value in VALUES if bytes(raw_bytes(read(value)[0][0])) == bytes(raw_bytes(read(value)[0][1]))]
    assert 50 < len(alike) < 300


def test_every_set_is_looked_up_at_once() -> None:
    """A get and a checkout of the key follow, and another get after the copy was written into."""
    operations = list(islice(numeric_edge.operations(0), 3000))
    for number, operation in enumerate(operations[:-4]):
        if isinstance(operation, Set):
            get, checkout, after, again = operations[number + 1 : number + 5]
            assert get == Get(pool=operation.pool, key=operation.key)
            assert isinstance(checkout, Checkout)
            assert checkout.key == operation.key
            if isinstance(after, Write):
                assert again == get


def test_the_extreme_keys_are_used() -> None:
    """The keys 0, 1 and neighbours at 2**32, 2**53, 2**63 and 2**64 occur."""
    keys = [op.key for op in islice(numeric_edge.operations(0), 60) if isinstance(op, Set)]
    assert tuple(keys[: len(EDGE_KEYS)]) == EDGE_KEYS
