"""Checking that a dataclass read from JSON has the types that its fields declare, since anybody may have written it."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from kvparity.caches.protocol import CacheSpec
from kvparity.evidence import Exhibit

# Names that the modules of the dataclasses import for type checkers only.
_NAMES = {"Counter": Counter, "CacheSpec": CacheSpec, "Exhibit": Exhibit}
_MOST = 1 << 64  # no key and no count is larger, and such numbers can be added to floats


def check(value: Any, *, where: str = "the result") -> None:
    """Check each field of a dataclass, and everything in it.

    Raises:
        ValueError: a field has another type than it declares, or a number is larger than any count.
    """
    for name, hint in _fields(value.__class__).items():
        _check(getattr(value, name), hint, f"{where}: {name}")


@lru_cache(maxsize=64)
def _fields(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, vars(sys.modules[cls.__module__]), _NAMES)


def _check(value: Any, hint: Any, where: str) -> None:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inner:
            return
        (hint,) = [each for each in inner if each is not type(None)]
        _check(value, hint, where)
    elif origin in (list, tuple, dict, Counter):
        _check_several(value, origin, inner, where)
    elif dataclasses.is_dataclass(hint) or hasattr(hint, "_fields"):
        _require(isinstance(value, typing.cast("type", hint)), value, where)
        check(value, where=where)
    elif hint is float:
        _require(type(value) in (int, float), value, where)
        _require(abs(value) <= _MOST, value, where)
    else:
        _require(type(value) is hint, value, where)
        _require(hint is not int or abs(value) <= _MOST, value, where)


def _check_several(value: Any, origin: type, inner: tuple[Any, ...], where: str) -> None:
    _require(isinstance(value, origin), value, where)
    if isinstance(value, Mapping):
        keys, values = inner if origin is dict else (*inner, int)
        for key, each in value.items():
            _check(key, keys, f"{where}, a name")
            _check(each, values, f"{where}, {key!r:.40}")
    elif origin is tuple and inner[-1] is not Ellipsis:
        _require(len(value) == len(inner), value, where)
        for each, hint in zip(value, inner, strict=True):
            _check(each, hint, where)
    else:
        for each in value:
            _check(each, inner[0], where)


def _require(condition: bool, value: Any, where: str) -> None:  # noqa: FBT001  the condition is the argument
    if not condition:
        raise ValueError(f"{where} has an invalid value: {value!r:.100}")
