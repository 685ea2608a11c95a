"""The gallery: caches with one fault each, which show what a comparison finds. `kvparity list faults` lists them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kvparity_scenarios.faults import clearing, counting, evicting, keys, lending, numbers, racing, storing, timing
from kvparity_scenarios.faults.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

__all__ = ["FAULTS", "Fault"]


def _faults_of(module: ModuleType) -> Iterator[type[Fault]]:
    for each in vars(module).values():
        if isinstance(each, type) and issubclass(each, Fault) and each.__module__ == module.__name__:
            yield each


FAULTS: dict[str, type[Fault]] = {
    re.sub(r"(?<!^)(?=[A-Z])", "-", fault.__name__).lower(): fault
    for module in (storing, numbers, keys, evicting, clearing, lending, counting, timing, racing)
    for fault in _faults_of(module)
}
