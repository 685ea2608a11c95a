"""Which cache a contract class tests, and how each test builds a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from kvparity.contract.entries import SPEC
from kvparity.pytest_plugin import cache_name, one_line_failure
from kvparity.registry import build_cache, build_with

if TYPE_CHECKING:
    from kvparity.caches.protocol import Cache


class CacheUnderTest:
    """The cache that a contract class tests.

    Attributes:
        cache: a name, as after `--kv-candidate`, or a class or factory that is called with `(config, env_num)`. None is
            the candidate that pytest's options and ini file name.
    """

    cache: ClassVar[Any] = None

    @pytest.fixture(autouse=True)
    def _options(self, request: pytest.FixtureRequest) -> None:
        self._config = request.config

    def build(self) -> Cache:
        """A new, empty cache of the sizes in `SPEC`. Override it if your cache is built in another way."""
        cache = type(self).cache  # of the class: a function is a factory here, not a method
        with one_line_failure():
            if cache is None:
                cache = cache_name(self._config, "candidate")
            if isinstance(cache, str):
                return build_cache(cache, SPEC)
            return build_with(cache, SPEC, name=getattr(cache, "__qualname__", repr(cache)))
