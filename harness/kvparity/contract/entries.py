"""What the contract's tests put into a cache, and how they tell that they got it back."""

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


# Each next to one that is easily taken for it.
OTHER_KINDS = {
    "shape": entry(2, shape=(1, 2, 8, 6)),
    "long": entry(129, shape=(1, 2, 130, 4)),  # sizes of 129 and 130, which are no signed bytes
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
    """Whether every dtype, shape, size and byte agrees; a miss agrees with nothing."""
    return value is not None and fingerprint(value) == fingerprint(expected)


def assert_same(value: Any, expected: KeysValues, *, what: str = "the cache's answer") -> None:
    """Fail with the first difference where `value` is not `expected` in every dtype, shape, size and byte."""
    __tracebackhide__ = True
    if value is None:
        raise AssertionError(f"{what} is a miss, expected what was set last")
    try:
        difference = compare(expected, value)
    except NotKeysValuesError as error:
        raise AssertionError(f"{what} is no key/value object: {error}") from None
    if difference is not None:
        raise AssertionError(f"{what} is not what was set last (expected != given): {difference}")


def assert_same_or_miss(value: Any, expected: KeysValues | None, *, what: str = "the cache's answer") -> None:
    """Fail where `value` is an entry other than `expected`, or any at all where nothing was set."""
    __tracebackhide__ = True
    if value is None:
        return
    if expected is None:
        raise AssertionError(f"{what} is a hit, expected a miss: the key was never set, or was cleared since")
    assert_same(value, expected, what=what)


def raises(call: Callable[[], object]) -> bool:
    """Whether it raises any exception at all."""
    try:
        call()
    except Exception:  # noqa: BLE001  which exception it is, each cache decides
        return True
    return False
