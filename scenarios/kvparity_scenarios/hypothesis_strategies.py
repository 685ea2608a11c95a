"""Hypothesis strategies for the sizes of caches and for the operations on them.

All are small on purpose: few slots, few keys and few kinds of values. So collisions, wrap-arounds and re-sets are
common, and a failing example is easy to read.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

import torch
from hypothesis import strategies as st

from kvparity.caches.protocol import CacheSpec
from kvparity.operations import RECUR, WM, Checkout, Clear, Get, Operation, PoolId, Set, Write, init
from kvparity.registry import TRACES, installed, trace_path
from kvparity.traces.reader import Trace
from kvparity_scenarios.context import Context, Geometry, render

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from kvparity.values.entry import KeysValues

MOST_ENVS = 3
MOST_SLOTS = 4
_MOST_NUMBERS = 12
_USUAL = 12  # how many times as often the first kind is drawn
# Among them two that are equal in 32 bits, two that are equal without their sign, and the greatest.
_KEYS = (*range(1, 8), 0, 1 + (1 << 32), 1 << 63, 1 + (1 << 63), (1 << 64) - 1)
# The first is the simplest. The second differs from it only in its tokens, the third in its type, and so on.
_KINDS = (
    Geometry(num_layers=1, num_heads=2, max_tokens=4, head_dim=2),
    Geometry(num_layers=1, num_heads=2, max_tokens=5, head_dim=2),
    Geometry(num_layers=1, num_heads=2, max_tokens=4, head_dim=2, dtype=torch.float64),
    Geometry(num_layers=1, num_heads=1, max_tokens=4, head_dim=2, dtype=torch.bfloat16),
    Geometry(num_layers=2, num_heads=2, max_tokens=4, head_dim=3, dtype=torch.float16),
    Geometry(num_layers=3, num_heads=1, max_tokens=4, head_dim=2),
)
# For `render`: one row, separate views into one batch, non-contiguous views.
_LAYOUTS = (1, 5, 7)
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
_ODD = (float("nan"), float("inf"), -0.0, 1e-42)
_PIECE_LENGTH = 48
_PIECES = 40


def specs() -> SearchStrategy[CacheSpec]:
    """Sizes of caches: one to three environments, and pools of a few slots."""
    slots = st.integers(1, MOST_SLOTS)
    return st.builds(CacheSpec, env_num=st.integers(1, MOST_ENVS), init_pool_size=slots, num_simulations=slots)


def keys() -> SearchStrategy[int]:
    """Keys: so few that they come again, and some that a careless cache confuses."""
    return st.sampled_from(_KEYS)


def envs() -> SearchStrategy[int]:
    """Environments of the largest spec; `within` maps them to those of a smaller one."""
    return st.integers(0, MOST_ENVS - 1)


def pools() -> SearchStrategy[PoolId]:
    """Single pools. Recur comes first, so Hypothesis shrinks towards it."""
    return st.sampled_from((RECUR, *(init(env) for env in range(MOST_ENVS)), WM))


def priorities() -> SearchStrategy[float | None]:
    """Priorities, mostly none."""
    return st.none() | st.sampled_from((0.0, 1.0, -1.0, 2.5))


def entries() -> SearchStrategy[KeysValues]:
    """Entries: mostly of one kind, sometimes of another. No two numbers of a tensor are equal."""
    kinds = st.sampled_from(_KINDS[:1] * _USUAL + _KINDS)
    return st.builds(
        entry,
        kind=kinds,
        number=st.integers(0, _MOST_NUMBERS),
        size=st.integers(0, 4),
        uneven=st.booleans(),
        layout=st.sampled_from(_LAYOUTS),
    )


def entry(kind: Geometry, *, number: int, size: int, uneven: bool, layout: int) -> KeysValues:
    """An entry. Each fourth number gives one with NaN, infinity, negative zero and a denormal.

    Args:
        kind: its shape and type.
        number: makes it differ from other entries of its kind.
        size: the number of valid tokens.
        uneven: whether each K and V has a size of its own.
        layout: the `turn` of `kvparity_scenarios.context.render`.
    """
    numbers = torch.arange(torch.Size(kind.row_shape).numel(), dtype=torch.float64)
    row = ((numbers + 1) / 7 + 100 * number).to(kind.dtype).view(kind.row_shape)
    if number % len(_ODD) == len(_ODD) - 1:
        odd = torch.tensor(_ODD, dtype=torch.float64).to(kind.dtype)
        odd.view(_INTEGERS[odd.element_size()])[0] += 1  # a payload
        row.view(-1)[: len(_ODD)] = odd
    value = render(Context(row, size), layout)
    if uneven:
        caches = [cache for layer in value._keys_values for cache in (layer._k_cache, layer._v_cache)]
        for at, cache in enumerate(caches):
            cache._size = (size + at) % (kind.max_tokens + 1)
    return value


def operations() -> SearchStrategy[Operation]:
    """Single operations for caches of the largest spec; `within` maps them to a smaller one."""
    return st.one_of(
        st.builds(Set, pool=pools(), key=keys(), value=entries(), priority=priorities()),
        st.builds(Get, pool=pools(), key=keys()),
        st.builds(Checkout, env=envs(), key=keys()),
        st.builds(Clear, pool=pools()),
    )


def pieces() -> SearchStrategy[tuple[Operation, ...]]:
    """No operations, or some consecutive operations of a recorded training."""
    recorded = st.builds(
        lambda trace, piece, length: _piece(trace, piece)[:length],
        st.sampled_from(sorted(installed(TRACES))),
        st.integers(0, _PIECES - 1),
        st.integers(1, _PIECE_LENGTH),
    )
    return st.just(()) | recorded


def within(operation: Operation, spec: CacheSpec) -> Operation:
    """The operation, with an environment that exists in `spec`."""
    if isinstance(operation, Checkout | Write):
        return replace(operation, env=operation.env % spec.env_num)
    if operation.pool.env is None:
        return operation
    return replace(operation, pool=init(operation.pool.env % spec.env_num))


@lru_cache(maxsize=256)
def _piece(trace_name: str, piece: int) -> tuple[Operation, ...]:
    """Operations of the first stream of a trace, from one of `_PIECES` places on."""
    with Trace(trace_path(trace_name)) as trace:
        start = len(trace) * piece // _PIECES
        first = min(trace.streams)
        recorded = (each.operation for each in trace.operations(start) if each.stream == first)
        return tuple(islice(recorded, _PIECE_LENGTH))
