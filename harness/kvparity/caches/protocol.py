"""What a cache is to the harness, what it is built with, and how one is found by name.

The contract, to which every cache is held:

- `set` takes a copy of all layers, K and V, sizes and padding. The producer may reuse its object right after.
- `get` lends: what it returns is read only and good until the next `set` or `clear` of that pool.
- `checkout` lends a working copy that the caller owns and writes into until `env_num` further checkouts. Writing
  into it never changes what a later `get` returns.
- `clear` forgets that pool's keys and no other's.
- After `set(k, v)`, `get(k)` is `v`'s bytes or a miss, whatever else was set, cleared or written meanwhile; right after
  the `set` it is no miss. Keys are told apart by all of their 64 bits.
- An environment that there is not, and a value that is no key/value object, are refused with an exception.
- Statistics, where a cache has any, are what happened; a `clear` leaves the counters as they are.

`kvparity.contract` holds each of these as tests.
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
        """Every pool there is: `init[0]`, `init[1]`, ..., `recur`, `wm`."""
        return (*(init(env) for env in range(self.env_num)), RECUR, WM)

    def config(self) -> SimpleNamespace:
        """The `config` that a manager's constructor reads its sizes from, under every name in use."""
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
    """What a cache says of one of its pools; None where it does not say.

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
    """A live key that a cache removed of its own accord (not by `clear`).

    Attributes:
        pool: where.
        key: which.
        slot: the slot that the key was removed on account of.
        reason: why, as a clause: `it reused slot 3, which held the key`.
        spurious: whether the slot no longer held the key's value, so that nothing was gained by it.
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
        """Lend what is stored under `key` in `pool`, or None."""

    def checkout(self, env: int, key: int) -> Any | None:
        """Look in `init[env]`, then in recur; lend a working copy, or None."""

    def clear(self, pool: PoolId) -> None:
        """Forget the keys of `pool`, of every init pool (`ALL_INIT`), or of every pool (`ALL`)."""


@runtime_checkable
class HasStats(Protocol):
    """A cache that counts."""

    def stats(self, pool: PoolId) -> PoolStats:
        """What it has counted in `pool` since it was built."""


@runtime_checkable
class ReportsDrops(Protocol):
    """A cache that says when and why it drops a key; a listener is called at the moment of each drop."""

    on_drop: Callable[[Drop], None] | None


@runtime_checkable
class DeclaresStrategy(Protocol):
    """A cache that evicts otherwise than first in, first out, and says so."""

    def strategy(self, pool: PoolId) -> str:
        """`fifo`, `lru` or `priority`."""


CacheFactory: TypeAlias = Callable[[SimpleNamespace, int], Any]


# From Python 3.12 on, `isinstance` with a protocol does not see what a wrapper passes on by `__getattr__`.


def counts(cache: Any) -> TypeGuard[HasStats]:
    """Whether it has statistics, of its own or of what it wraps."""
    return callable(getattr(cache, "stats", None))


def reports_drops(cache: Any) -> TypeGuard[ReportsDrops]:
    """Whether it can be listened to, itself or what it wraps."""
    return hasattr(cache, "on_drop")


def declares_strategy(cache: Any) -> TypeGuard[DeclaresStrategy]:
    """Whether it declares anything as its strategy, itself or what it wraps."""
    return getattr(cache, "strategy", None) is not None


def as_stats(said: Any) -> PoolStats:
    """What a cache said of a pool: a field that is missing is None, an integer of any type an int.

    Raises:
        TypeError: it has no such fields, or what is in one is no integer.
    """
    numbers = {name: _integer(name, getattr(said, name)) for name in _FIELDS if hasattr(said, name)}
    if not numbers:
        raise TypeError(f"a {type(said).__name__} is no statistics: expected some of {', '.join(_FIELDS)}")
    return PoolStats(**numbers)


def _integer(name: str, number: Any) -> int | None:
    try:
        return None if number is None else index(number)
    except TypeError:
        raise TypeError(f"{name} is a {type(number).__name__}, expected an integer") from None
