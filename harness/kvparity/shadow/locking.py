"""Taking turns: methods of objects that write to one log, so that several threads may call them."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import RLock

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")


class Logging(Protocol):
    """Whatever writes to a log, of which it has the lock."""

    lock: RLock


Self = TypeVar("Self", bound=Logging)


def one_at_a_time(
    method: Callable[Concatenate[Self, Arguments], Returned],
) -> Callable[Concatenate[Self, Arguments], Returned]:
    """`method`, which holds the log's lock: of all objects that share a log, one does one thing at a time."""

    @wraps(method)
    def held(self: Self, /, *arguments: Arguments.args, **options: Arguments.kwargs) -> Returned:
        with self.lock:
            return method(self, *arguments, **options)

    return held
