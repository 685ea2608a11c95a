"""The recordings of real LightZero training: our original gives every answer that the real one gave."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kvparity import (
    RECUR,
    Answer,
    Checkout,
    Clear,
    Comparison,
    Driver,
    Get,
    Set,
    Trace,
    build_cache,
    fingerprint,
    init,
    trace_path,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvparity import Cache

LARGEST_BYTES = 4 * 1024 * 1024
BUNDLED = ["cartpole-unizero", "cartpole-unizero-100sims"]
# CI records anew and names the file here, so that not only the bundled answers are held against our original.
FRESH = os.environ.get("KVPARITY_FRESH_TRACE")


@pytest.fixture(params=[*BUNDLED, *([FRESH] if FRESH else [])])
def trace(request: pytest.FixtureRequest) -> Iterator[Trace]:
    """Each recording, opened."""
    with Trace(trace_path(request.param)) as opened:
        yield opened


def _answers(cache: Cache, operation: Get | Checkout) -> list[Answer]:
    """The original's answers to each dict lookup behind one operation."""
    pools = [operation.pool] if isinstance(operation, Get) else [init(operation.env), RECUR]
    answers = []
    for pool in pools:
        try:
            found = cache.get(pool, operation.key)
        except TypeError:
            answers.append(Answer(error="TypeError"))
            break
        answers.append(Answer() if found is None else Answer(fingerprint=fingerprint(found), source=pool.family))
        if found is not None:
            break
    return answers


def test_our_original_gives_every_answer_of_the_real_one(trace: Trace) -> None:
    """Each lookup of LightZero 0.2.0, hit or miss, right or wrong, has the same answer from legacy-released."""
    drivers = {number: Driver(build_cache("legacy-released", stream.spec)) for number, stream in trace.streams.items()}
    compared = 0
    for recorded in trace:
        driver = drivers[recorded.stream]
        operation = recorded.operation
        if isinstance(operation, Get | Checkout):
            assert recorded.answer is not None
            last = _answers(driver.cache, operation)[-1]
            said = recorded.answer
            assert (last.fingerprint, last.error) == (said.fingerprint, said.error), recorded.number
            if isinstance(operation, Checkout) and said.fingerprint is not None:
                assert last.source == said.source, recorded.number
            compared += 1
        if not isinstance(operation, Checkout) or recorded.answer.error is None:
            driver.apply(operation)
    assert compared >= 800


@pytest.mark.parametrize("name", BUNDLED)
def test_a_replay_counts_all_recorded_answers_as_reproduced(name: str) -> None:
    """`kvparity replay --reference legacy-released` reports that it gave every recorded answer."""
    with Trace(trace_path(name)) as trace:
        result = Comparison("legacy-released", "refactored-fifo").trace(trace, workload=name)
    assert result.recorded is not None
    assert result.recorded.reproduced == result.recorded.given == result.gets_compared


def test_the_full_recording_is_in_parity() -> None:
    """Both caches agree on the bundled training, in which LightZero gave no wrong answer."""
    with Trace(trace_path("cartpole-unizero")) as trace:
        result = Comparison("legacy-evicting", "refactored-fifo").trace(trace, workload="cartpole-unizero")
    assert result.total == 0
    assert result.operations_total >= 2000


def test_the_full_recording_branches_and_ends_an_episode() -> None:
    """Several whole searches have a node with two children, and one environment finishes first."""
    branching, environments, searched = 0, set(), []
    with Trace(trace_path("cartpole-unizero")) as trace:
        for recorded in trace:
            if isinstance(recorded.operation, Checkout):
                searched.append(recorded.operation)
            elif recorded.operation == Clear(pool=RECUR) and searched:
                branching += len({checkout.key for checkout in searched}) < len(searched)
                environments.add(len({checkout.env for checkout in searched}))
                searched = []
    assert branching >= 10
    assert len(environments) > 1


def test_lightzero_returns_wrong_tensors_in_ordinary_training() -> None:
    """The second recording has hundreds of hits with another key's tensors, and the reference is blamed for them."""
    with Trace(trace_path("cartpole-unizero-100sims")) as trace:
        result = Comparison("legacy-released", "refactored-fifo").trace(trace, workload="100sims")
    assert result.by_group["stale_hit", "reference"] >= 500
    assert result.by_side["candidate"] == 0
    assert "legacy-released returned the value that operation" in result.first["stale_hit", "reference"].explanation


def test_the_evicting_original_corrupts_nothing_there() -> None:
    """The later generation of the original gives no wrong hits in the same training."""
    with Trace(trace_path("cartpole-unizero-100sims")) as trace:
        result = Comparison("legacy-evicting", "refactored-fifo").trace(trace, workload="100sims")
    assert result.count("corruption") == 0


@pytest.mark.parametrize("name", BUNDLED)
def test_a_recording_says_how_it_was_made(name: str) -> None:
    """The header names the serving cache, model, seed and LightZero's version; the file is small and complete."""
    path = trace_path(name)
    with Trace(path) as trace:
        header = trace.header
        kinds = {type(recorded.operation) for recorded in trace.operations(0, 2000)}
    assert path.stat().st_size <= LARGEST_BYTES
    assert header.complete
    assert header.served_by == "legacy-released"
    assert header.versions["lightzero"] == "0.2.0"
    assert header.model is not None
    assert header.seed is not None
    assert kinds == {Set, Get, Checkout, Clear}
    assert name in (Path(path).parent / "README.md").read_text(encoding="utf-8")
