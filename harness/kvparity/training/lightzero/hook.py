"""Wrapping methods of a program that does not know of kvparity, in classes that it has not imported yet."""

from __future__ import annotations

import functools
import importlib.abc
import importlib.util
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

from kvparity.caches.exceptions import Raised, attempt, describe_error
from kvparity.errors import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

WORLD_MODELS = "lzero.model.unizero_world_models"
_FIRST_USE = "forward_initial_inference"  # every search begins there, with empty caches; copies of a model too


class MethodHook(importlib.abc.MetaPathFinder):
    """Wraps one method of every class that a package's modules define, from `install` to `remove`.

    A module that is imported later is hooked when it is imported.

    Args:
        package: name of the package.
        method: name of the method.
        wrap: takes the method and returns what replaces it.
    """

    def __init__(self, package: str, method: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        self._package = package
        self._method = method
        self._around = wrap
        self._wrapped: list[tuple[type, Any]] = []

    def install(self) -> None:
        """Wrap the method in all modules that are imported already, and in all that are imported from now on."""
        sys.meta_path.insert(0, self)
        for name, module in list(sys.modules.items()):
            if self._is_in_package(name) and module is not None:
                self._wrap(module)

    def remove(self) -> None:
        """Wrap no more, and give every class its own method back."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for owner, own in self._wrapped:
            setattr(owner, self._method, own)
        self._wrapped.clear()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that another finder finds, with a loader that hooks the module when it is loaded."""
        if not self._is_in_package(fullname):
            return None
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find is None else find(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    self._hook(spec.loader)
                return spec
        return None

    # ------------------------------------------------------------------ inside

    def _hook(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self._wrap(module)

        loader.exec_module = exec_module

    def _wrap(self, module: ModuleType) -> None:
        for owner in self._classes_of(module):
            own = vars(owner)[self._method]
            setattr(owner, self._method, functools.wraps(own)(self._around(own)))
            self._wrapped.append((owner, own))

    def _classes_of(self, module: ModuleType) -> Iterator[type]:
        for thing in vars(module).values():
            if (
                isinstance(thing, type)
                and thing.__module__ == module.__name__
                and callable(vars(thing).get(self._method))
            ):
                yield thing

    def _is_in_package(self, name: str) -> bool:
        return name.startswith(f"{self._package}.")


class WorldModelHook(MethodHook):
    """Calls `meet` with each world model of LightZero before its first inference, from `install` to `remove`.

    If `meet` fails, a warning says so, and the program goes on.

    Args:
        meet: called once with each world model, in this process only.
    """

    def __init__(self, meet: Callable[[Any], None]) -> None:
        super().__init__(WORLD_MODELS, _FIRST_USE, self._meeting)
        self._meet = meet
        self._met: weakref.WeakSet[Any] = weakref.WeakSet()
        self._process = os.getpid()

    def _meeting(self, own: Callable[..., Any]) -> Callable[..., Any]:
        def first_use(world_model: Any, *arguments: Any, **options: Any) -> Any:
            met = attempt(self._meet_once, world_model)
            if isinstance(met, Raised):
                warn(f"a {type(world_model).__name__} is left alone: {describe_error(met.error)}")
            return own(world_model, *arguments, **options)

        return first_use

    def _meet_once(self, world_model: Any) -> None:
        if world_model not in self._met and os.getpid() == self._process:
            self._met.add(world_model)
            self._meet(world_model)
