"""What a cache is to the harness, and what it is built with.

The contract that every cache must keep:

- `set` takes a copy of all layers, K and V, sizes and padding. The producer may reuse its object right after.
- `get` lends: what it returns is read only, and valid until the next `set` or `clear` of that pool.
- `checkout` lends a working copy. The caller owns it and writes into it until `env_num` further checkouts. Writing
  into it never changes what a later `get` returns.
- `clear` forgets the keys of that pool, and of no other.
- After `set(k, v)`, `get(k)` returns the bytes of `v` or misses, whatever else was set, cleared or written meanwhile.
  Right after the `set` it does not miss. Keys differ if any of their 64 bits differs.
- A `set`, `get` or `checkout` raises for an environment that does not exist; a `set` raises for a value that is not a
  key/value object.
- Statistics, if a cache has any, count what happened. A `clear` leaves the counters as they are.

`kvparity.contract` has tests for each of these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import index
from types import SimpleNamespace
from typing import Any, Protocol, TypeAlias, TypeGuard, runtime_checkable

from kvparity.operations import RECUR, WM, PoolId, init


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSpec:
    """The sizes that both sides are built with.

    Attributes:
        env_num: environments; each has an init pool, and the wm pool has one slot for each.
        init_pool_size: slots of one init pool.
        num_simulations: the recur pool has `num_simulations * env_num` slots.
    """

    env_num: int = 8
    init_pool_size: int = 20
    num_simulations: int = 25

    def __post_init__(self) -> None:
        for name in ("env_num", "init_pool_size", "num_simulations"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ValueError(f"{name} must be an integer of at least 1, got {number!r}")

    @property
    def recur_pool_size(self) -> int:
        """Slots of the recur pool."""
        return self.num_simulations * self.env_num

    def slots(self, pool: PoolId) -> int:
        """Slots of `pool`."""
        return {"init": self.init_pool_size, "recur": self.recur_pool_size, "wm": self.env_num}[pool.family]

    @property
    def pools(self) -> tuple[PoolId, ...]:
        """All pools: `init[0]`, `init[1]`, ..., `recur`, `wm`."""
        return (*(init(env) for env in range(self.env_num)), RECUR, WM)

    def config(self) -> SimpleNamespace:
        """The `config` from which a manager's constructor reads its sizes, under every name in use."""
        return SimpleNamespace(
            env_num=self.env_num,
            game_segment_length=self.init_pool_size,
            num_simulations=self.num_simulations,
            max_cache_size=max(self.init_pool_size, self.recur_pool_size),
            init_pool_size=self.init_pool_size,
            recur_pool_size=self.recur_pool_size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStats:
    """What a cache reports about one of its pools; None for what it does not report.

    Attributes:
        hits: lookups that found their key.
        misses: lookups that did not.
        evictions: live keys dropped to make room.
        length: keys held now.
        size_bytes: tensor bytes allocated now.
    """

    hits: int | None = None
    misses: int | None = None
    evictions: int | None = None
    length: int | None = None
    size_bytes: int | None = None


_FIELDS = tuple(field.name for field in fields(PoolStats))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A live key that a cache removed without being asked to (not by `clear`).

    Attributes:
        pool: where.
        key: which.
        slot: the slot that the cache reused, and for which it removed the key.
        reason: why, as a clause: `it reused slot 3, which held the key`.
        spurious: whether the slot no longer held the key's value, so that the cache lost the key for nothing.
    """

    pool: PoolId
    key: int
    slot: int
    reason: str
    spurious: bool = False


class Cache(Protocol):
    """A KV cache as the harness sees it. Keys are unsigned 64-bit integers."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Store a copy of `value` under `key` in `pool`."""

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Lend what is stored under `key` in `pool`; None on a miss."""

    def checkout(self, env: int, key: int) -> Any | None:
        """Look in `init[env]`, then in recur, and lend a working copy; None on a miss."""

    def clear(self, pool: PoolId) -> None:
        """Forget the keys of `pool`, of every init pool (`ALL_INIT`), or of every pool (`ALL`)."""


@runtime_checkable
class HasStats(Protocol):
    """A cache that counts."""

    def stats(self, pool: PoolId) -> PoolStats:
        """What it has counted in `pool` since it was built."""


@runtime_checkable
class ReportsDrops(Protocol):
    """A cache that reports when and why it drops a key. It calls its listener at the moment of each drop."""

    on_drop: Callable[[Drop], None] | None


@runtime_checkable
class DeclaresStrategy(Protocol):
    """A cache that declares how it evicts. Without this it counts as first in, first out."""

    def strategy(self, pool: PoolId) -> str:
        """`fifo`, `lru` or `priority`."""


CacheFactory: TypeAlias = Callable[[SimpleNamespace, int], Any]


# From Python 3.12 on, `isinstance` with a protocol does not see what a wrapper forwards with `__getattr__`.


def counts(cache: Any) -> TypeGuard[HasStats]:
    """Whether the cache, or the one that it wraps, has statistics."""
    return callable(getattr(cache, "stats", None))


def reports_drops(cache: Any) -> TypeGuard[ReportsDrops]:
    """Whether the cache, or the one that it wraps, reports drops."""
    return hasattr(cache, "on_drop")


def declares_strategy(cache: Any) -> TypeGuard[DeclaresStrategy]:
    """Whether the cache, or the one that it wraps, declares a strategy."""
    return getattr(cache, "strategy", None) is not None


def as_stats(reported: Any) -> PoolStats:
    """What a cache reported about a pool, as a `PoolStats`: a missing field is None, an integer of any type an int.

    Raises:
        TypeError: it has none of the fields, or one of them is not an integer.
    """
    numbers = {name: _integer(name, getattr(reported, name)) for name in _FIELDS if hasattr(reported, name)}
    if not numbers:
        raise TypeError(f"a {type(reported).__name__} has no statistics: expected some of {', '.join(_FIELDS)}")
    return PoolStats(**numbers)


def _integer(name: str, number: Any) -> int | None:
    try:
        return None if number is None else index(number)
    except TypeError:
        raise TypeError(f"{name} is a {type(number).__name__}, expected an integer") from None
