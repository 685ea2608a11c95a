"""The operations of a cache, as plain data. Scenarios, traces, replays and reports all speak of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable


class PoolId(NamedTuple):
    """A pool: `init[env]`, `recur` or `wm`. To clear several, `init` without an environment, or `all`."""

    family: str
    env: int | None = None

    def __str__(self) -> str:
        return self.family if self.env is None else f"{self.family}[{self.env}]"


RECUR = PoolId("recur")
WM = PoolId("wm")
ALL_INIT = PoolId("init")
ALL = PoolId("all")


@lru_cache(maxsize=4096)
def init(env: int) -> PoolId:
    """The init pool of environment `env`."""
    return PoolId("init", env)


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """Store a copy of `value` under `key`.

    Attributes:
        pool: `init[env]`, `recur` or `wm`.
        key: an unsigned 64-bit integer.
        value: any key/value object, see `kvparity.values.entry`. It is only read: a driver copies it into one reused
            producer object, and gives that to the cache.
        priority: for caches that evict by priority; None if the workload has none.
    """

    pool: PoolId
    key: int
    value: Any
    priority: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Get:
    """Borrow what is stored under `key` in one pool. Root inference reads the init pool of its environment this way."""

    pool: PoolId
    key: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """The search's lookup: the init pool of `env`, then recur, then a working copy that the caller may write into."""

    env: int
    key: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """The consumer appends one token of the constant `fill` to the working copy that `env` checked out last.

    Nothing is written if that checkout missed.
    """

    env: int
    fill: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Clear:
    """Forget the keys of `pool`: one pool, `ALL_INIT` or `ALL`."""

    pool: PoolId


Operation: TypeAlias = Set | Get | Checkout | Write | Clear


def describe(operation: Operation) -> str:
    """One line for people: `set recur 0x00ff, size 5`."""
    match operation:
        case Set():
            priority = "" if operation.priority is None else f", priority {operation.priority:g}"
            return f"set of key {operation.key:#018x} in {operation.pool}{priority}"
        case Get():
            return f"get of key {operation.key:#018x} from {operation.pool}"
        case Checkout():
            return f"checkout of key {operation.key:#018x} for env {operation.env}"
        case Write():
            return f"write into the working copy of env {operation.env}"
        case Clear():
            return f"clear of {operation.pool}"


def verb_of(operation: Operation) -> str:
    """`set`, `get`, `checkout`, `clear` or `write`."""
    return type(operation).__name__.lower()


def place_of(operation: Operation) -> tuple[str, int | None]:
    """The pools that the operation is about, in words, and its key, or None."""
    match operation:
        case Set() | Get():
            return str(operation.pool), operation.key
        case Clear():
            return str(operation.pool), None
        case Checkout():
            return f"init[{operation.env}], recur", operation.key
        case Write():
            return "wm", None


def covered(pool: PoolId, pools: Iterable[PoolId]) -> list[PoolId]:
    """The single pools that a `Clear` of `pool` covers."""
    if pool.family == "all":
        return list(pools)
    if pool.family == "init" and pool.env is None:
        return [each for each in pools if each.family == "init"]
    return [pool]
