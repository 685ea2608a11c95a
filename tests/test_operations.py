"""The vocabulary: pools by name, operations as plain data, and how they read."""

from __future__ import annotations

import dataclasses

import pytest

from kvparity.operations import (
    ALL,
    ALL_INIT,
    RECUR,
    WM,
    Checkout,
    Clear,
    Get,
    Operation,
    PoolId,
    Set,
    Write,
    describe,
    init,
)
from kvparity.values.entry import KeysValues

VALUE = KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=2, head_dim=2)

OPERATIONS: list[tuple[Operation, str]] = [
    (Set(pool=RECUR, key=255, value=VALUE), "set of key 0x00000000000000ff in recur"),
    (Set(pool=init(3), key=0, value=VALUE, priority=0.5), "set of key 0x0000000000000000 in init[3], priority 0.5"),
    (Set(pool=WM, key=2**64 - 1, value=VALUE, priority=0), "set of key 0xffffffffffffffff in wm, priority 0"),
    (Get(pool=init(0), key=1), "get of key 0x0000000000000001 from init[0]"),
    (Checkout(env=2, key=16), "checkout of key 0x0000000000000010 for env 2"),
    (Write(env=7, fill=1.0), "write into the working copy of env 7"),
    (Clear(pool=ALL_INIT), "clear of init"),
    (Clear(pool=ALL), "clear of all"),
]


@pytest.mark.parametrize(("operation", "line"), OPERATIONS)
def test_an_operation_reads_as_one_line(operation: Operation, line: str) -> None:
    """What is done, to which key with all 64 bits, and where."""
    assert describe(operation) == line


@pytest.mark.parametrize(
    ("pool", "name"),
    [(init(3), "init[3]"), (RECUR, "recur"), (WM, "wm"), (ALL_INIT, "init"), (ALL, "all")],
)
def test_a_pool_reads_as_its_name(pool: PoolId, name: str) -> None:
    """Only an environment's pool has brackets."""
    assert str(pool) == name


def test_pools_are_equal_by_what_they_name() -> None:
    """A pool is a value: made twice, it is the same key of a dict."""
    assert init(3) == PoolId("init", 3)
    assert len({init(1), PoolId("init", 1), init(2), ALL_INIT, RECUR, PoolId("recur")}) == 4


@pytest.mark.parametrize("operation", [operation for operation, _ in OPERATIONS])
def test_an_operation_cannot_be_changed(operation: Operation) -> None:
    """Operations are shared by recorders, replays and reports, so they are frozen."""
    field = dataclasses.fields(operation)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(operation, field, None)


def test_operations_are_equal_by_their_content() -> None:
    """Two of the same kind and content are equal, and of different kinds are not."""
    assert Get(pool=RECUR, key=1) == Get(pool=RECUR, key=1)
    assert Get(pool=RECUR, key=1) != Get(pool=RECUR, key=2)
    assert Checkout(env=0, key=1) != Write(env=0, fill=1)


def test_a_set_has_no_priority_unless_it_is_given() -> None:
    """None says that the workload has none to give."""
    assert Set(pool=RECUR, key=1, value=VALUE).priority is None
