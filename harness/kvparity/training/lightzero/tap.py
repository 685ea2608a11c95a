"""`Tap`: stands in the place of a world model's caches, lets them answer, and tells listeners what was done."""

from __future__ import annotations

import copy
import os
import threading
import weakref
from abc import ABC, abstractmethod
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import xxhash

from kvparity.operations import Clear

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.caches.protocol import CacheSpec, DeclaresStrategy
    from kvparity.operations import Operation, PoolId

_KEYS = 1 << 64
_OUR_OWN = frozenset({"_own", "_tap", "_pool"})


class OwnOutcome(NamedTuple):
    """What the model's own cache did: a lookup found `value` or nothing, or raised `error`.

    `source` is where a checkout found it: `init` or `recur`.
    """

    value: Any = None
    error: Exception | None = None
    source: str | None = None


class Served(NamedTuple):
    """What the model is to get instead of its own cache's answer; None is a miss."""

    value: Any


class Listener(Protocol):
    """Is told what a world model does with its caches."""

    def hear(self, operation: Operation, own: OwnOutcome) -> Served | None:
        """The model's own cache did `operation`, with that outcome; what the model is to get instead, if anything.

        What this raises reaches the model: a listener guards itself.
        """

    def give_up(self, error: BaseException) -> None:
        """The model did something that cannot be told, for this reason: what follows would make no sense."""


class Tap(ABC):
    """Listens to one world model, from the first listener's coming to the last one's leaving.

    The model's own caches hold everything at all times, and do everything first. A listener is told from the moment
    at which they are all empty, since it begins with empty caches itself. A model that was forked, copied or pickled
    tells nothing.

    Args:
        model: whose attributes are replaced by the first `join`, and given back by the last `leave`.
        spec: the sizes of its pools.
    """

    def __init__(self, model: Any, spec: CacheSpec) -> None:
        self.spec = spec
        self.lock = threading.RLock()  # listeners are told in the order in which the model's own caches did things
        self._model = weakref.ref(model)
        self._own: dict[str, Any] = {}
        self._placed: dict[str, Any] = {}
        self._listeners: tuple[Listener, ...] = ()
        self._waiting: tuple[Listener, ...] = ()
        _TAPS.add(self)

    @property
    def strategies(self) -> DeclaresStrategy:
        """Says by which strategies the model's own caches evict."""
        return _FirstInFirstOut()

    @property
    @abstractmethod
    def empty(self) -> bool:
        """Whether the model's own caches hold nothing."""

    @abstractmethod
    def stand_ins(self) -> dict[str, Any]:
        """What goes in the place of the model's attributes, by name."""

    def join(self, listener: Listener) -> None:
        """Tell `listener` from now on, or from when all is empty."""
        with self.lock:
            if not self._placed:
                self.install()
            if self.empty:
                self._listeners += (listener,)
            else:
                self._waiting += (listener,)

    def leave(self, listener: Listener) -> None:
        """Tell `listener` no more; after the last one the model has its own attributes back."""
        with self.lock:
            self._listeners = tuple(each for each in self._listeners if each is not listener)
            self._waiting = tuple(each for each in self._waiting if each is not listener)
            if self._listeners or self._waiting:
                return
            self.remove()

    def install(self) -> None:
        """Put what stands in where the model's own was."""
        model = self._model()
        self._placed = self.stand_ins()
        self._own = {name: getattr(model, name) for name in self._placed}
        for name, stand_in in self._placed.items():
            setattr(model, name, stand_in)

    def remove(self) -> None:
        """Put the model's own back, unless it has made itself another meanwhile."""
        model = self._model()
        for name, stand_in in self._placed.items():
            if getattr(model, name, None) is stand_in:
                setattr(model, name, self._own[name])
        self._placed, self._own = {}, {}

    # ------------------------------------------------------------------ for those that stand in

    @property
    def silent(self) -> bool:
        """Whether nobody is to be told, as in a forked process."""
        return not (self._listeners or self._waiting)

    def tell(self, operation: Operation, own: OwnOutcome) -> Served | None:
        """Tell every listener; what the model is to get instead of `own`."""
        served = None
        for listener in self._listeners:
            served = listener.hear(operation, own) or served
        if self._waiting and isinstance(operation, Clear) and self.empty:
            self._listeners, self._waiting = self._listeners + self._waiting, ()
        return served

    def report_unknown_call(self, error: BaseException) -> None:
        """Something was done that is no operation."""
        for listener in self._listeners:
            listener.give_up(error)

    def drop_listeners(self) -> None:
        """Nobody listens any more. Without the lock, which a thread that a fork left behind may hold for ever."""
        self._listeners = self._waiting = ()


_TAPS: weakref.WeakSet[Tap] = weakref.WeakSet()


def _drop_all_listeners() -> None:
    for tap in list(_TAPS):
        tap.drop_listeners()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_all_listeners)


class _FirstInFirstOut:
    """As LightZero 0.2.0 evicts."""

    def strategy(self, _: PoolId) -> str:
        return "fifo"


class StandIn:
    """Looks like the object in whose place it stands, which is also what a copy and a pickle are of.

    What is assigned to it is assigned to that object, but for what is its own: `_own`, `_tap` and `_pool`.
    """

    def __init__(self, own: Any) -> None:
        self._own = own

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._own)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_own"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OUR_OWN:
            object.__setattr__(self, name, value)
        else:
            setattr(self._own, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._own, name)

    def __eq__(self, other: object) -> bool:
        return bool(self._own == other)

    __hash__ = None  # type: ignore[assignment]  # as a dict and a list

    def __reduce_ex__(self, _: Any) -> Any:
        return copy.copy, (self._own,)

    def __repr__(self) -> str:
        return repr(self._own)


def own_outcome(call: Callable[[], Any]) -> OwnOutcome:
    """What the model's own cache did when it was called: what it returned or raised."""
    try:
        return OwnOutcome(call())
    except Exception as error:  # noqa: BLE001  listeners hear of it before the model does
        return OwnOutcome(error=error)


def number_of(key: Any) -> int:
    """A model's key as the 64-bit number that operations name; LightZero's own is such a number in hexadecimal."""
    try:
        number = int(key, 16) if isinstance(key, str) else index(key)
    except (TypeError, ValueError):
        number = -1
    return number if 0 <= number < _KEYS else xxhash.xxh3_64_intdigest(repr(key).encode())
