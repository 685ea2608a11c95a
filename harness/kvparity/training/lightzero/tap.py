"""`Tap`: takes the place of a world model's caches, lets these answer, and tells listeners what the model did."""

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
    """What the model's own cache did.

    Attributes:
        value: what a lookup found, or what was set; None for a miss.
        error: what the cache raised; None if it raised nothing.
        source: where a checkout found the value, `init` or `recur`; None if that is not known.
    """

    value: Any = None
    error: Exception | None = None
    source: str | None = None


class Served(NamedTuple):
    """What the model gets instead of its own cache's answer; a value of None is a miss."""

    value: Any


class Listener(Protocol):
    """Hears what a world model does with its caches."""

    def hear(self, operation: Operation, own: OwnOutcome) -> Served | None:
        """The model's own cache did `operation`, with the outcome `own`.

        An exception raised here reaches the model, so a listener must catch its own.

        Returns:
            What the model gets instead; None if it gets its own cache's answer.
        """

    def give_up(self, error: BaseException) -> None:
        """The model did something that is not known here. What a listener hears after that would make no sense."""


class Tap(ABC):
    """Listens to one world model, from the first `join` to the last `leave`.

    The model's own caches hold everything at all times, and they do each operation first. A listener hears nothing
    until all of them are empty, because it begins with empty caches itself. Listeners do not hear a copy, a pickle or
    a fork of the model.

    Args:
        model: the first `join` replaces some of its attributes, and the last `leave` puts them back.
        spec: the sizes of its pools.
    """

    def __init__(self, model: Any, spec: CacheSpec) -> None:
        self.spec = spec
        self.lock = threading.RLock()  # so that listeners hear of operations in the order in which they were done
        self._model = weakref.ref(model)
        self._own: dict[str, Any] = {}
        self._placed: dict[str, Any] = {}
        self._listeners: tuple[Listener, ...] = ()
        self._waiting: tuple[Listener, ...] = ()
        _TAPS.add(self)

    @property
    def strategies(self) -> DeclaresStrategy:
        """The eviction strategies of the model's own caches."""
        return _FirstInFirstOut()

    @property
    @abstractmethod
    def empty(self) -> bool:
        """Whether the model's own caches hold nothing."""

    @abstractmethod
    def stand_ins(self) -> dict[str, Any]:
        """The objects that replace the model's attributes, by name of the attribute."""

    def join(self, listener: Listener) -> None:
        """Tell `listener` what the model does, from now on or from when all caches are empty."""
        with self.lock:
            if not self._placed:
                self.install()
            if self.empty:
                self._listeners += (listener,)
            else:
                self._waiting += (listener,)

    def leave(self, listener: Listener) -> None:
        """Tell `listener` nothing more. When the last listener leaves, the model gets its own attributes back."""
        with self.lock:
            self._listeners = tuple(each for each in self._listeners if each is not listener)
            self._waiting = tuple(each for each in self._waiting if each is not listener)
            if self._listeners or self._waiting:
                return
            self.remove()

    def install(self) -> None:
        """Replace the model's attributes by the stand-ins."""
        model = self._model()
        self._placed = self.stand_ins()
        self._own = {name: getattr(model, name) for name in self._placed}
        for name, stand_in in self._placed.items():
            setattr(model, name, stand_in)

    def remove(self) -> None:
        """Put the model's own attributes back, except where the model has replaced a stand-in itself."""
        model = self._model()
        for name, stand_in in self._placed.items():
            if getattr(model, name, None) is stand_in:
                setattr(model, name, self._own[name])
        self._placed, self._own = {}, {}

    # ------------------------------------------------------------------ for the stand-ins

    @property
    def silent(self) -> bool:
        """Whether nobody listens, as in a forked process."""
        return not (self._listeners or self._waiting)

    def tell(self, operation: Operation, own: OwnOutcome) -> Served | None:
        """Tell every listener; what the model gets instead of `own`, if anything."""
        served = None
        for listener in self._listeners:
            served = listener.hear(operation, own) or served
        if self._waiting and isinstance(operation, Clear) and self.empty:
            self._listeners, self._waiting = self._listeners + self._waiting, ()
        return served

    def report_unknown_call(self, error: BaseException) -> None:
        """Tell every listener that the model made a call that is not known here."""
        for listener in self._listeners:
            listener.give_up(error)

    def drop_listeners(self) -> None:
        """Tell nobody any more. This takes no lock: in a forked process, a thread that is gone may hold it for ever."""
        self._listeners = self._waiting = ()


_TAPS: weakref.WeakSet[Tap] = weakref.WeakSet()


def _drop_all_listeners() -> None:
    for tap in list(_TAPS):
        tap.drop_listeners()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_all_listeners)


class _FirstInFirstOut:
    """The strategy of LightZero 0.2.0."""

    def strategy(self, _: PoolId) -> str:
        return "fifo"


class StandIn:
    """Takes the place of an object and looks like it. A copy or a pickle of it is one of that object.

    What is assigned to it is assigned to that object, except its own attributes `_own`, `_tap` and `_pool`.
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

    __hash__ = None  # type: ignore[assignment]  # like a dict and a list

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
    """A model's key as a 64-bit number, which operations need. LightZero's keys are such numbers in hexadecimal."""
    try:
        number = int(key, 16) if isinstance(key, str) else index(key)
    except (TypeError, ValueError):
        number = -1
    return number if 0 <= number < _KEYS else xxhash.xxh3_64_intdigest(repr(key).encode())
