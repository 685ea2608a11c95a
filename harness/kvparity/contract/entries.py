"""What the contract's tests put into a cache, and how they check what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from kvparity.caches.protocol import CacheSpec
from kvparity.errors import NotKeysValuesError
from kvparity.operations import RECUR, WM, init
from kvparity.values.difference import compare
from kvparity.values.entry import KeysValues, read
from kvparity.values.fingerprints import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC = CacheSpec(env_num=5, init_pool_size=3, num_simulations=2)
LAST_INIT = init(SPEC.env_num - 1)
ONE_OF_EACH = (init(0), RECUR, WM)

each_pool = pytest.mark.parametrize("pool", ONE_OF_EACH, ids=str)
each_searched_pool = pytest.mark.parametrize("pool", [init(0), RECUR], ids=str)


def entry(
    seed: int,
    *,
    layers: int = 2,
    shape: tuple[int, int, int, int] = (1, 2, 8, 4),
    dtype: torch.dtype = torch.float32,
) -> KeysValues:
    """An entry of separate random tensors `[N, H, T, D]`, padding included, each K and V with a size of its own."""
    generator = torch.Generator().manual_seed(seed)
    tensors = [torch.randn(shape, generator=generator).to(dtype) for _ in range(2 * layers)]
    return KeysValues(tensors, [(seed + i) % (shape[2] + 1) for i in range(2 * layers)])


def _seen_as(dtype: torch.dtype, value: KeysValues) -> KeysValues:
    tensors, sizes = read(value)
    return KeysValues([tensor.view(dtype) for tensor in tensors], sizes)


# Of each two neighbours, a cache can easily take one for the other.
OTHER_KINDS = {
    "shape": entry(2, shape=(1, 2, 8, 6)),
    "long": entry(129, shape=(1, 2, 130, 4)),  # sizes of 129 and 130, which do not fit into a signed byte
    "broadcastable": entry(2, shape=(1, 2, 1, 4)),
    "empty": entry(2, shape=(1, 2, 0, 4)),
    "samples": entry(2, shape=(2, 2, 8, 4)),
    "fewer-layers": entry(2, layers=1),
    "more-layers": entry(2, layers=3),
    "float64": entry(2, dtype=torch.float64),
    "float16": entry(2, dtype=torch.float16),
    "bfloat16": entry(2, dtype=torch.bfloat16),
    "int64": _seen_as(torch.int64, entry(2)),
    "complex64": _seen_as(torch.complex64, entry(2)),
}


def same(value: Any, expected: Any) -> bool:
    """Whether every dtype, shape, size and byte is equal; a miss equals nothing."""
    return value is not None and fingerprint(value) == fingerprint(expected)


def assert_same(value: Any, expected: KeysValues, *, what: str = "the cache's answer") -> None:
    """Fail with the first difference if `value` is not `expected` in every dtype, shape, size and byte."""
    __tracebackhide__ = True
    if value is None:
        raise AssertionError(f"{what} is a miss, expected the value that was set last")
    try:
        difference = compare(expected, value)
    except NotKeysValuesError as error:
        raise AssertionError(f"{what} is not a key/value object: {error}") from None
    if difference is not None:
        raise AssertionError(f"{what} is not the value that was set last (expected != returned): {difference}")


def assert_same_or_miss(value: Any, expected: KeysValues | None, *, what: str = "the cache's answer") -> None:
    """Fail if `value` is an entry other than `expected`, or any entry if `expected` is None."""
    __tracebackhide__ = True
    if value is None:
        return
    if expected is None:
        raise AssertionError(
            f"{what} is a hit, expected a miss: the key was never set, or was cleared after its last set"
        )
    assert_same(value, expected, what=what)


def raises(call: Callable[[], object]) -> bool:
    """Whether the call raises any exception."""
    try:
        call()
    except Exception:  # noqa: BLE001  each cache decides which exception it raises
        return True
    return False
