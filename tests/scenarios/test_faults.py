"""The gallery: each faulty cache is found by the scenarios that it names, and nothing is found of a correct one."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import pytest
import torch

from kvparity.contract import SPEC, CacheContract
from kvparity.driving.comparison import Comparison
from kvparity.errors import UsageError
from kvparity.registry import FAULTS as GALLERIES
from kvparity.registry import SCENARIOS, TRACES, build_cache, faults, installed, load_scenario, trace_path
from kvparity.results.divergence import BEHAVIOUR, CORRUPTION
from kvparity.search.fuzz import Fuzzer
from kvparity.traces.reader import Trace
from kvparity_refactored import fifo
from kvparity_scenarios.correct_cache import CorrectCache, CorrectLru, CorrectPriority
from kvparity_scenarios.faults import FAULTS, Fault

if TYPE_CHECKING:
    from kvparity.results.result import Result

THREADS = "threads"  # see test_linearity.py
PROMISES = [(name, method) for name, fault in FAULTS.items() for method in fault.methods if method != THREADS]


class TestCorrect(CacheContract):
    """The cache that the faults are made from keeps the contract."""

    cache = CorrectCache


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Use one thread, because the tensors are small."""
    torch.set_num_threads(1)


def drive(comparison: Comparison, method: str, *, steps: int, seed: int = 0) -> Result:
    """Run a scenario, a bundled trace, or fuzzing until something is found."""
    if method == "fuzz":
        fuzzer = Fuzzer(comparison, seed=seed, examples=steps)
        next(fuzzer.findings(), None)
        return fuzzer.result()
    if method not in installed(TRACES):
        return comparison.scenario(load_scenario(method), seed=seed, steps=steps)
    with Trace(trace_path(method)) as trace:
        return comparison.trace(trace, workload=method, steps=steps)


# ---------------------------------------------------------------------- what is found


@pytest.mark.parametrize(("name", "method"), PROMISES, ids=[f"{name}-{method}" for name, method in PROMISES])
def test_a_fault_is_found_and_blamed(name: str, method: str) -> None:
    """It is found within its number of operations, with its severity, and only the candidate is blamed."""
    fault = FAULTS[name]
    comparison = Comparison(f"refactored-{fault.eviction}", f"fault:{name}")
    result = drive(comparison, method, steps=fault.steps, seed=fault.seed)
    assert result.total
    assert result.by_side == {"candidate": result.total}
    assert result.unexpected[fault.severity]
    assert fault.severity == CORRUPTION or not result.unexpected[CORRUPTION]


@pytest.mark.parametrize("method", list(installed(SCENARIOS)))
@pytest.mark.parametrize("cache", [CorrectCache, CorrectLru, CorrectPriority])
def test_nothing_is_found_of_a_correct_cache(cache: type[CorrectCache], method: str) -> None:
    """It agrees with the refactored cache of its strategy in everything, statistics included."""
    comparison = Comparison(f"refactored-{cache.eviction}", f"{__name__}:{cache.__name__}")
    result = drive(comparison, method, steps=2500)
    assert result.gets_compared
    assert result.total == 0, result.kept[:1]


# ---------------------------------------------------------------------- the gallery


def test_the_gallery_is_large() -> None:
    """It has every fault that real caches are known to have had, and more."""
    assert len(FAULTS) >= 100


def test_names_are_kebab_case_and_each_class_has_one() -> None:
    """No two classes share a name, and no class has two."""
    assert all(re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", name) for name in FAULTS)
    assert len(set(FAULTS.values())) == len(FAULTS)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_says_what_it_does_wrong_and_where_that_arises(name: str) -> None:
    """Its docstring has a summary line and more; it has a severity and a method that finds it."""
    fault = FAULTS[name]
    first, blank, *rest = (inspect.getdoc(fault) or "").splitlines()
    assert re.fullmatch(r"[A-Z].*\.", first)
    assert blank == ""
    assert rest
    assert issubclass(fault, Fault)
    assert fault.severity in (CORRUPTION, BEHAVIOUR)
    assert fault.methods


@pytest.mark.parametrize("name", FAULTS)
def test_a_method_is_installed(name: str) -> None:
    """A method is a scenario, a bundled trace, fuzzing, or threads and nothing else."""
    methods = set(FAULTS[name].methods)
    assert methods == {THREADS} or methods <= {*installed(SCENARIOS), *installed(TRACES), "fuzz"}


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if THREADS in fault.methods])
def test_a_fault_of_threads_is_correct_with_one_thread(name: str) -> None:
    """With one thread, nothing is found."""
    assert drive(Comparison("refactored-fifo", f"fault:{name}"), "revisit", steps=1500).total == 0


# ---------------------------------------------------------------------- by name


def test_a_fault_is_built_by_its_name() -> None:
    """`fault:NAME` can be used wherever a cache is named."""
    assert type(build_cache("fault:forgets-v", SPEC)) is FAULTS["forgets-v"]


def test_galleries_are_installed_like_caches() -> None:
    """Our gallery is an entry point, as a user's would be."""
    assert "gallery" in installed(GALLERIES)
    assert set(faults()) >= set(FAULTS)


def test_an_unknown_fault_suggests_the_nearest() -> None:
    """The suggestion has the form `fault:NAME`."""
    with pytest.raises(UsageError) as raised:
        build_cache("fault:forgets-w", SPEC)
    assert str(raised.value) == (
        "there is no fault 'forgets-w': did you mean fault:forgets-v? `kvparity list faults` names all"
    )


def test_a_manager_can_be_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of a gallery are factories of caches or managers, and are adapted like any."""
    monkeypatch.setattr("kvparity.registry.faults", lambda: {"mine": fifo})
    assert build_cache("fault:mine", SPEC).get is not None
