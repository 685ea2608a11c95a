"""`ShadowCache` called by several threads: no operation, lookup or divergence is lost."""

from __future__ import annotations

import random
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import torch

from kvparity.caches.protocol import CacheSpec
from kvparity.contract import entry
from kvparity.operations import RECUR, init
from kvparity.registry import build_cache
from kvparity.results.divergence import DivergenceLog
from kvparity.shadow.evidence import Evidence
from kvparity.shadow.shadow_cache import ShadowCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

THREADS = 8
ROUNDS = 40
SPEC = CacheSpec(env_num=THREADS, init_pool_size=4, num_simulations=ROUNDS)  # recur holds all that is set
VALUES = [entry(seed, layers=1) for seed in range(THREADS * 4)]


@pytest.fixture(autouse=True)
def _switching_often() -> Iterator[None]:
    """Threads take turns as often as Python can have them."""
    torch.set_num_threads(1)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def shadow(candidate: str, log: DivergenceLog | None = None) -> ShadowCache:
    """New caches for eight environments."""
    return ShadowCache(
        reference=build_cache("kvparity_refactored:thread_safe", SPEC),
        candidate=build_cache(candidate, SPEC),
        spec=SPEC,
        log=log,
        evidence=Evidence(),
    )


def work(cache: ShadowCache, thread: int) -> None:
    """What one thread does: keys of its own, its own environment; the recur pool is everybody's."""
    draw = random.Random(thread)
    for number in range(ROUNDS):
        key = 1000 * thread + number
        cache.set(RECUR, key, VALUES[4 * thread + number % 4])
        cache.set(init(thread), key, VALUES[4 * thread + draw.randrange(4)])
        cache.get(RECUR, key)
        cache.get(RECUR, 1000 * thread + draw.randrange(number + 1))
        cache.checkout(thread, key)
    cache.clear(init(thread))


def at_once(works: list[Callable[[], None]]) -> None:
    """Each on a thread of its own."""
    together = threading.Barrier(len(works))

    def begin(each: Callable[[], None]) -> None:
        together.wait()
        each()

    threads = [threading.Thread(target=begin, args=(each,), daemon=True) for each in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("candidate", ["refactored-fifo", "fault:forgets-v"])
def test_eight_threads_lose_no_event(candidate: str, record_property: Callable[[str, object], None]) -> None:
    """Counts, lookups compared and divergences are those of the same operations done by one thread."""
    alone, shared = shadow(candidate), shadow(candidate)
    for thread in range(THREADS):
        work(alone, thread)
    at_once([lambda thread=thread: work(shared, thread) for thread in range(THREADS)])  # type: ignore[misc]
    for each in (alone, shared):
        each.check_stats()
    assert shared.operations == alone.operations
    assert shared.operations.total() == THREADS * (ROUNDS * 5 + 1)
    assert (shared.gets_compared, shared.values_compared) == (alone.gets_compared, alone.values_compared)
    assert (shared.log.by_kind, shared.log.by_side) == (alone.log.by_kind, alone.log.by_side)
    assert bool(shared.log.total) == (candidate == "fault:forgets-v")
    assert shared.candidate.account() == alone.candidate.account()
    assert shared.counts.number == alone.counts.number
    record_property("threads", THREADS)
    record_property("calls", shared.operations.total())


def test_shadows_that_share_a_log_lose_no_divergence() -> None:
    """Several models, each with a thread of its own, and one log."""
    log = DivergenceLog()
    shadows = [shadow("fault:forgets-v", log) for _ in range(4)]
    at_once([lambda each=each, env=env: work(each, env) for env, each in enumerate(shadows)])  # type: ignore[misc]
    apart = [shadow("fault:forgets-v") for _ in range(4)]
    for env, each in enumerate(apart):
        work(each, env)
    assert log.total == sum(each.log.total for each in apart)
    assert log.by_kind == sum((each.log.by_kind for each in apart), start=type(log.by_kind)())


def test_a_lookup_waits_for_the_operation_under_way() -> None:
    """While one thread is in the middle of a set, another's lookup has not begun on either side."""
    cache = shadow("refactored-fifo")
    inside, done = threading.Event(), threading.Event()
    go_on = threading.Event()
    own = cache.reference.cache.set

    def slow(*arguments: object, **options: object) -> None:
        inside.set()
        go_on.wait(60)
        own(*arguments, **options)  # type: ignore[arg-type]

    cache.reference.cache.set = slow  # type: ignore[method-assign]
    threads = [
        threading.Thread(target=cache.set, args=(RECUR, 1, VALUES[0]), daemon=True),
        threading.Thread(target=lambda: (cache.get(RECUR, 1), done.set()), daemon=True),
    ]
    threads[0].start()
    inside.wait(60)
    threads[1].start()
    assert not done.wait(0.02)
    assert cache.operations == {"set": 1}
    go_on.set()
    for thread in threads:
        thread.join()
    assert cache.log.total == 0
    assert cache.values_compared == 1
