"""The Hypothesis strategies draw valid, small and varied values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import find, given, settings
from hypothesis import strategies as st

from kvparity.operations import RECUR, WM, Checkout, Clear, Get, Operation, Set, Write, init
from kvparity.values.entry import KeysValues, check, read, row_of
from kvparity.values.fingerprints import fingerprint
from kvparity_scenarios.hypothesis_strategies import (
    MOST_ENVS,
    MOST_SLOTS,
    entries,
    keys,
    operations,
    pieces,
    specs,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.caches.protocol import CacheSpec

UNHURRIED = settings(max_examples=100, deadline=None, derandomize=True)
PATIENT = settings(UNHURRIED, max_examples=2000)


@UNHURRIED
@given(specs())
def test_specs_are_small(spec: CacheSpec) -> None:
    """A ring wraps around within a few sets."""
    assert spec.env_num <= MOST_ENVS
    assert spec.init_pool_size <= MOST_SLOTS
    assert spec.num_simulations <= MOST_SLOTS


@UNHURRIED
@given(entries())
def test_entries_are_entries(value: KeysValues) -> None:
    """They can be read whatever their layout and type, with sizes that fit."""
    check(value)
    tensors, sizes = read(value)
    assert all(0 <= size <= tensor.shape[2] for tensor, size in zip(tensors, sizes, strict=True))


@UNHURRIED
@given(entries())
def test_no_two_tensors_of_an_entry_are_alike(value: KeysValues) -> None:
    """So swapped layers, or K instead of V, are visible."""
    tensors, _ = read(value)
    prints = {tensor.contiguous().view(torch.uint8).numpy().tobytes() for tensor in tensors}
    assert len(prints) == len(tensors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_entries_come_in_types(dtype: torch.dtype) -> None:
    """Entries of each type can be drawn."""
    find(entries(), lambda value: read(value)[0][0].dtype == dtype, settings=PATIENT)


def test_entries_come_in_layouts() -> None:
    """One row, separate tensors and non-contiguous tensors can be drawn, with NaN, and with sizes that differ."""
    find(entries(), lambda value: row_of(value) is not None, settings=PATIENT)
    find(entries(), lambda value: not read(value)[0][0].is_contiguous(), settings=PATIENT)
    find(entries(), lambda value: bool(read(value)[0][0].isnan().any()), settings=PATIENT)
    find(entries(), lambda value: len(set(read(value)[1])) > 1, settings=PATIENT)


@pytest.mark.parametrize("careless", [lambda key: key & 0xFFFF_FFFF, lambda key: key & (1 << 63) - 1, float])
def test_some_keys_are_one_to_a_careless_cache(careless: Callable[[int], float]) -> None:
    """In 32 bits, without the sign, or as floats, two of the keys are equal."""
    find(st.tuples(keys(), keys()), lambda two: two[0] != two[1] and careless(two[0]) == careless(two[1]))


@pytest.mark.parametrize("kind", [Set, Get, Checkout, Clear])
def test_every_operation_can_be_drawn(kind: type) -> None:
    """No kind of operation is left out."""
    assert isinstance(find(operations(), lambda operation: isinstance(operation, kind), settings=UNHURRIED), kind)


@UNHURRIED
@given(operations(), specs())
def test_an_operation_fits_a_smaller_spec(operation: Operation, spec: CacheSpec) -> None:
    """Its environment exists there."""
    fitted = within(operation, spec)
    env = fitted.env if isinstance(fitted, Checkout | Write) else fitted.pool.env
    assert env is None or env < spec.env_num


def test_pools_without_an_environment_stay() -> None:
    """Recur and wm are the same in every spec."""
    spec = find(specs(), lambda spec: spec.env_num == 1)
    assert [within(Get(pool=pool, key=1), spec).pool for pool in (RECUR, WM, init(2))] == [RECUR, WM, init(0)]


def test_pieces_are_what_was_recorded() -> None:
    """A piece is consecutive operations of a real training; the simplest piece is empty."""
    assert find(pieces(), lambda _: True, settings=UNHURRIED) == ()
    piece = find(
        pieces(),
        lambda piece: {Set, Checkout} <= {type(operation) for operation in piece},
        settings=PATIENT,
    )
    sets = [operation for operation in piece if isinstance(operation, Set)]
    assert all(len(fingerprint(operation.value)) == 16 for operation in sets)
