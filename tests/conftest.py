"""What several test files need of pytest itself."""

from __future__ import annotations

import importlib
import pkgutil

import pytest


@pytest.fixture(scope="session")
def loaded() -> None:
    """For tests that run pytest in this process: such a run forgets what it imports, torch cannot be imported twice."""
    for package in map(
        importlib.import_module, ("kvparity", "kvparity_legacy", "kvparity_refactored", "kvparity_scenarios")
    ):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".recorded.record" not in module.name and ".training" not in module.name:  # these need LightZero
                importlib.import_module(module.name)
    # torch imports more of itself at the first difference; hypothesis's plugin imports it at the end of each run.
    torch = importlib.import_module("torch")
    with pytest.raises(AssertionError):
        torch.testing.assert_close(torch.zeros(1), torch.ones(1))
    importlib.import_module("hypothesis")
