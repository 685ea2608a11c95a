"""The catalogue: what every workload promises, and what each of them tests."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
import tracemalloc
from collections import Counter, defaultdict
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import kvparity_scenarios
from kvparity.operations import ALL, ALL_INIT, RECUR, WM, Checkout, Clear, Get, Set, Write, init
from kvparity.registry import load_scenario
from kvparity.values.entry import check, read, row_of
from kvparity.values.fingerprints import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kvparity.caches.protocol import CacheSpec
    from kvparity.operations import Operation, PoolId
    from kvparity_scenarios import Scenario

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
CATALOGUE: dict[str, Scenario] = {
    value.name: value for value in vars(kvparity_scenarios).values() if isinstance(value, kvparity_scenarios.Scenario)
}
UNIQUE = ("mcts", "reanalyze", "async-envs", "pool-pressure", "multitask")


def take(name: str, number: int, *, seed: int = 0) -> list[Operation]:
    """The first operations of a scenario."""
    return list(islice(CATALOGUE[name].operations(seed), number))


def plain(operation: Operation) -> tuple[object, ...]:
    """An operation in a form that can be compared: a value by its fingerprint."""
    if isinstance(operation, Set):
        return operation.pool, operation.key, fingerprint(operation.value), operation.priority
    return type(operation).__name__, repr(operation)


def covered(clear: Clear, spec: CacheSpec) -> list[PoolId]:
    """The pools that a clear empties."""
    if clear.pool == ALL:
        return list(spec.pools)
    if clear.pool == ALL_INIT:
        return [init(env) for env in range(spec.env_num)]
    return [clear.pool]


class Ring:
    """Which keys a ring with back-pointers holds: a re-set takes a new slot, `clear` forgets keys only."""

    def __init__(self, slots: int) -> None:
        self.keys: dict[int, int] = {}
        self.owners: list[int | None] = [None] * slots
        self.pointer = 0

    def set(self, key: int) -> None:
        """Set a key."""
        self.keys.pop(self.owners[self.pointer], None)
        self.owners[self.pointer] = key
        self.keys[key] = self.pointer
        self.pointer = (self.pointer + 1) % len(self.owners)

    def clear(self) -> None:
        """Forget all keys."""
        self.keys.clear()


class Fifo:
    """Which keys first-in-first-out with updates in place holds."""

    def __init__(self, slots: int) -> None:
        self.keys: dict[int, None] = {}
        self.slots = slots

    def set(self, key: int) -> None:
        """Set a key."""
        if key not in self.keys and len(self.keys) == self.slots:
            del self.keys[next(iter(self.keys))]
        self.keys[key] = None

    def clear(self) -> None:
        """Forget all keys."""
        self.keys.clear()


def answers(kind: type[Ring | Fifo], operations: Iterable[Operation], spec: CacheSpec) -> Iterator[bool]:
    """Hit or miss of each lookup, except in wm."""
    pools = {pool: kind(spec.slots(pool)) for pool in spec.pools}
    for operation in operations:
        match operation:
            case Set():
                pools[operation.pool].set(operation.key)
            case Clear():
                for pool in covered(operation, spec):
                    pools[pool].clear()
            case Get() if operation.pool != WM:
                yield operation.key in pools[operation.pool].keys
            case Checkout():
                yield any(operation.key in pools[pool].keys for pool in (init(operation.env), RECUR))


def test_the_facade_exports_exactly_this() -> None:
    """`kvparity_scenarios.__all__` is sorted, and changes only on purpose."""
    assert kvparity_scenarios.__all__ == [
        "Scenario",
        "async_envs",
        "clear_storm",
        "mcts",
        "multitask",
        "numeric_edge",
        "pool_pressure",
        "reanalyze",
        "revisit",
    ]


def test_every_scenario_is_an_entry_point_under_its_own_name() -> None:
    """pyproject.toml registers all eight, each under the name that it gives itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, target in project["entry-points"]["kvparity.scenarios"].items():
        module, attribute = target.split(":")
        assert module == "kvparity_scenarios"
        assert getattr(kvparity_scenarios, attribute).name == name
        assert load_scenario(target) is CATALOGUE[name]
    assert set(project["entry-points"]["kvparity.scenarios"]) == set(CATALOGUE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_summary_is_one_sentence(name: str) -> None:
    """It fits into one line of a table."""
    summary = CATALOGUE[name].summary
    assert summary.endswith(".")
    assert "\n" not in summary
    assert len(summary) <= 110


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_same_seed_gives_the_same_operations(name: str) -> None:
    """Two iterators of one seed agree, values included."""
    assert [plain(each) for each in take(name, 2000)] == [plain(each) for each in take(name, 2000)]


@pytest.mark.parametrize("name", CATALOGUE)
def test_another_seed_gives_other_operations(name: str) -> None:
    """The seed decides on weights, environments and noise."""
    first, second = ([plain(each) for each in take(name, 500, seed=seed)] for seed in (0, 1))
    assert sum(one != other for one, other in zip(first, second, strict=True)) > 100


def test_a_seed_gives_the_same_operations_in_another_process() -> None:
    """Nothing depends on the interpreter's hash seed."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from itertools import islice; import kvparity_scenarios; from kvparity.operations import Set\n"
        "names = [n for n in kvparity_scenarios.__all__ if n != 'Scenario']\n"
        "streams = [islice(getattr(kvparity_scenarios, n).operations(5), 600) for n in names]\n"
        "print([[op.key for op in stream if isinstance(op, Set)] for stream in streams])"
    )
    outputs = {
        subprocess.run(  # noqa: S603 - our own interpreter and program
            [sys.executable, "-c", program, str(ROOT)],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("name", CATALOGUE)
def test_global_random_state_is_left_alone(name: str) -> None:
    """Operations can be consumed inside a training without a change of its randomness."""
    before = random.getstate(), torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    take(name, 1500)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert np.array_equal(np.random.get_state()[1], before[2])  # noqa: NPY002


@pytest.mark.parametrize("name", CATALOGUE)
def test_interleaved_streams_do_not_disturb_each_other(name: str) -> None:
    """Streams that are consumed alternately yield what each yields alone."""
    streams = [CATALOGUE[name].operations(3) for _ in range(2)]
    pairs = [(plain(next(streams[0])), plain(next(streams[1]))) for _ in range(600)]
    assert all(one == other for one, other in pairs)


@pytest.mark.parametrize("name", CATALOGUE)
def test_memory_stays_bounded_however_long_the_stream(name: str) -> None:
    """After 12,000 operations Python holds no more than after 4,000."""
    operations = CATALOGUE[name].operations(0)
    tracemalloc.start()
    try:
        held = []
        for _ in range(3):
            for _ in islice(operations, 4_000):
                pass
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert held[2] < held[0] + 1_000_000


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_kind_of_operation_comes_early(name: str) -> None:
    """Sets, gets, checkouts, writes and clears all come within 3,000 operations."""
    assert {type(operation) for operation in take(name, 3000)} == {Set, Get, Checkout, Write, Clear}


@pytest.mark.parametrize("name", CATALOGUE)
def test_operations_stay_inside_the_spec(name: str) -> None:
    """Pools, environments and keys exist, and values are key/value entries with sizes that fit."""
    spec = CATALOGUE[name].spec
    for operation in take(name, 3000):
        match operation:
            case Set():
                assert operation.pool in spec.pools
                assert 0 <= operation.key < 2**64
                check(operation.value)
                tensors, sizes = read(operation.value)
                assert all(0 <= size <= tensor.shape[2] for tensor, size in zip(tensors, sizes, strict=True))
            case Get():
                assert operation.pool in spec.pools
            case Checkout() | Write():
                assert operation.env in range(spec.env_num)


@pytest.mark.parametrize("name", CATALOGUE)
def test_nothing_is_written_into_a_copy_that_is_no_longer_owned(name: str) -> None:
    """At most `env_num` checkouts and no clear of wm lie between a checkout and its writes."""
    copies = 0
    owned: dict[int, int] = {}
    for operation in take(name, 5000):
        match operation:
            case Checkout():
                copies += 1
                owned[operation.env] = copies
            case Write():
                assert copies - owned[operation.env] < CATALOGUE[name].spec.env_num
            case Set() if operation.pool == WM:
                copies += 1
            case Clear() if operation.pool in {WM, ALL}:
                owned.clear()


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_working_copy_always_has_room_for_what_is_written(name: str) -> None:
    """Appending the tokens that are written never goes past `T`."""
    room: dict[int, int] = {}
    latest: dict[int, int] = {}
    for operation in take(name, 5000):
        match operation:
            case Set():
                tensors, sizes = read(operation.value)
                room[operation.key] = min(tensor.shape[2] - size for tensor, size in zip(tensors, sizes, strict=True))
            case Checkout():
                latest[operation.env] = room.get(operation.key, 0)
            case Write():
                latest[operation.env] -= 1
                assert latest[operation.env] >= 0


@pytest.mark.parametrize("name", UNIQUE)
def test_no_key_is_ever_set_twice_in_a_pool(name: str) -> None:
    """Therefore both sides agree on every presence."""
    keys = Counter((op.pool, op.key) for op in take(name, 12_000) if isinstance(op, Set))
    assert set(keys.values()) == {1}


def test_numeric_edge_sets_a_key_again_only_between_two_clears_of_its_pool() -> None:
    """All sets of a pool since its clear are of that key, so both sides agree on every presence."""
    since: dict[PoolId, list[int]] = {}
    again = 0
    for operation in take("numeric-edge", 12_000):
        if isinstance(operation, Clear):
            since.update({pool: [] for pool in covered(operation, CATALOGUE["numeric-edge"].spec)})
        elif isinstance(operation, Set):
            keys = since.get(operation.pool, [])
            if operation.key in keys:
                again += 1
                assert set(keys) == {operation.key}
            since[operation.pool] = [*keys, operation.key]
    assert again > 100


@pytest.mark.parametrize("name", [*UNIQUE, "numeric-edge"])
def test_a_ring_and_first_in_first_out_agree_on_every_lookup(name: str) -> None:
    """Ordinary workloads show neither quirk of the ring."""
    operations, spec = take(name, 12_000), CATALOGUE[name].spec
    ring, fifo = (list(answers(kind, operations, spec)) for kind in (Ring, Fifo))
    assert ring == fifo
    assert sum(ring) > len(ring) / 2


@pytest.mark.parametrize("name", ["mcts", "reanalyze", "async-envs", "multitask"])
def test_a_search_fits_into_the_recur_pool(name: str) -> None:
    """Between two clears of recur there are no more sets than slots."""
    sets = 0
    for operation in take(name, 20_000):
        if isinstance(operation, Clear) and operation.pool in {RECUR, ALL}:
            sets = 0
        sets += isinstance(operation, Set) and operation.pool == RECUR
        assert sets <= CATALOGUE[name].spec.recur_pool_size


@pytest.mark.parametrize("name", ["revisit", "clear-storm"])
@pytest.mark.parametrize("seed", range(5))
def test_a_quirk_of_the_ring_shows_within_some_hundred_operations(name: str, seed: int) -> None:
    """A ring with back-pointers loses keys that are set again, or set after a clear."""
    operations, spec = take(name, 800, seed=seed), CATALOGUE[name].spec
    assert list(answers(Ring, operations, spec)) != list(answers(Fifo, operations, spec))


@pytest.mark.parametrize("name", ["mcts", "reanalyze", "async-envs", "pool-pressure", "multitask"])
def test_searches_branch(name: str) -> None:
    """In some search, two actions of a node are expanded: the tree is not a chain."""
    parents: list[int] = []
    children: dict[int, set[int]] = defaultdict(set)
    for operation in take(name, 5000):
        match operation:
            case Checkout():
                parents.append(operation.key)
            case Set() if operation.pool == RECUR and parents:
                children[parents.pop(0)].add(operation.key)
            case Clear() if operation.pool == RECUR:
                parents.clear()
    assert max(len(keys) for keys in children.values()) >= 2


@pytest.mark.parametrize("name", sorted(set(CATALOGUE) - {"numeric-edge"}))
def test_memory_layouts_are_those_of_real_producers(name: str) -> None:
    """Rows, views that share a batch's storage, and non-contiguous views all occur."""
    values = [op.value for op in take(name, 2000) if isinstance(op, Set)]
    first = [read(value)[0][0] for value in values]
    assert any(row_of(value) is not None for value in values)
    assert any(not tensor.is_contiguous() for tensor in first)
    assert any(
        tensor.untyped_storage().nbytes() > sum(each.nbytes for each in read(value)[0])
        for value, tensor in zip(values, first, strict=True)
    )


def test_mcts_has_garbage_padding() -> None:
    """Some padding is not zero, as in a tensor that is reused."""
    values = [op.value for op in take("mcts", 3000) if isinstance(op, Set)]
    assert any(tensor[:, :, size:].any() for value in values for tensor, size in zip(*read(value), strict=True))


def test_mcts_clears_an_environment_at_its_end_and_everything_now_and_then() -> None:
    """All five kinds of clear that UniZero does occur."""
    pools = {op.pool for op in take("mcts", 60_000) if isinstance(op, Clear)}
    assert pools >= {RECUR, ALL_INIT, ALL, init(0), init(7)}


def test_reanalyze_has_searches_without_lookups() -> None:
    """Some searches only set, others also check out."""
    kinds = [{type(op) for op in search} for search in _searches(take("reanalyze", 8000))]
    assert {Set} in kinds
    assert any(Checkout in kind for kind in kinds)


def test_async_envs_search_with_changing_sets_of_environments() -> None:
    """Batches shrink and grow, and a position in them is often not the environment's number."""
    batches = {
        tuple(dict.fromkeys(op.env for op in search if isinstance(op, Checkout)))
        for search in _searches(take("async-envs", 30_000))
    }
    assert len({len(batch) for batch in batches}) >= 4
    assert sum(batch != tuple(range(len(batch))) for batch in batches) > len(batches) / 2


def test_pool_pressure_overwrites_nodes_that_are_looked_up_again() -> None:
    """A search stores more than the ring holds, and lookups of earlier keys miss in both kinds of pool."""
    operations, spec = take("pool-pressure", 5000), CATALOGUE["pool-pressure"].spec
    assert max(len(_sets(search)) for search in _searches(operations)) > 2 * spec.recur_pool_size
    pools = {pool: Fifo(spec.slots(pool)) for pool in spec.pools}
    overwritten: Counter[str] = Counter()
    known: dict[PoolId, set[int]] = defaultdict(set)
    for operation in operations:
        match operation:
            case Set():
                pools[operation.pool].set(operation.key)
                known[operation.pool].add(operation.key)
            case Clear():
                for pool in covered(operation, spec):
                    pools[pool].clear()
                    known[pool].clear()
            case Get() if operation.key in known[operation.pool]:
                overwritten[operation.pool.family] += operation.key not in pools[operation.pool].keys
            case Checkout() if operation.key in known[RECUR]:
                overwritten["checkout"] += operation.key not in pools[RECUR].keys
    assert min(overwritten[each] for each in ("init", "recur", "checkout")) > 5


def test_pool_pressure_gives_priorities() -> None:
    """Every set has a priority, and they differ."""
    priorities = {op.priority for op in take("pool-pressure", 1000) if isinstance(op, Set)}
    assert None not in priorities
    assert len(priorities) > 100


def test_revisit_sets_live_keys_again_with_other_values() -> None:
    """Within a search, a held key is set again with another value."""
    live: dict[PoolId, dict[int, bytes]] = defaultdict(dict)
    changed = 0
    for operation in take("revisit", 2000):
        match operation:
            case Set():
                content = fingerprint(operation.value)
                changed += live[operation.pool].get(operation.key, content) != content
                live[operation.pool][operation.key] = content
            case Clear():
                for pool in covered(operation, CATALOGUE["revisit"].spec):
                    live[pool].clear()
    assert changed > 50


def test_clear_storm_clears_everything_and_sets_lost_keys_again() -> None:
    """Each kind of clear occurs, also between a checkout and its writes, and forgotten keys come back."""
    operations, spec = take("clear-storm", 6000), CATALOGUE["clear-storm"].spec
    clears = {op.pool for op in operations if isinstance(op, Clear)}
    assert clears >= {ALL, ALL_INIT, RECUR, WM, init(0)}
    pairs = list(pairwise(operations))
    assert any(isinstance(one, Checkout) and isinstance(other, Clear) for one, other in pairs)
    lost: set[tuple[PoolId, int]] = set()
    again = 0
    live: set[tuple[PoolId, int]] = set()
    for operation in operations:
        match operation:
            case Set():
                again += (operation.pool, operation.key) in lost
                live.add((operation.pool, operation.key))
                lost.discard((operation.pool, operation.key))
            case Clear():
                cleared = {each for each in live if each[0] in covered(operation, spec)}
                lost |= cleared
                live -= cleared
    assert again > 100


def test_clear_storm_reads_the_wm_pool_only_right_after_a_set() -> None:
    """Working copies use its slots, so what it holds later is not defined."""
    operations = take("clear-storm", 6000)
    pairs = list(pairwise(operations))
    read_back = [(one, other) for one, other in pairs if isinstance(other, Get) and other.pool == WM]
    assert read_back
    assert all(isinstance(one, Set) and one.pool == WM and one.key == other.key for one, other in read_back)


def test_multitask_mixes_geometries_within_one_search_and_one_environment() -> None:
    """One search has at least three shapes, and one environment's init pool has several."""
    operations = take("multitask", 30_000)

    def kind(operation: Set) -> tuple[object, ...]:
        tensors, _ = read(operation.value)
        return len(tensors), tensors[0].shape, tensors[0].dtype

    assert max(len({kind(op) for op in _sets(search)}) for search in _searches(operations)) >= 3
    of_one = {kind(op) for op in operations if isinstance(op, Set) and op.pool == init(0)}
    assert len(of_one) >= 2


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_scenario_can_be_sent_to_another_process(name: str) -> None:
    """It can be pickled, so that a campaign can run it elsewhere."""
    copy = pickle.loads(pickle.dumps(CATALOGUE[name]))  # noqa: S301
    assert copy == CATALOGUE[name]


def _searches(operations: list[Operation]) -> Iterator[list[Operation]]:
    """The simulations of each whole search: from a clear of recur to the first operation after it."""
    current: list[Operation] | None = None
    for operation in operations:
        outside = isinstance(operation, Clear) or (isinstance(operation, Get | Set) and operation.pool != RECUR)
        if outside and current:
            yield current
            current = None
        if isinstance(operation, Clear) and operation.pool == RECUR:
            current = []
        elif current is not None and not outside:
            current.append(operation)


def _sets(search: list[Operation]) -> list[Set]:
    return [operation for operation in search if isinstance(operation, Set)]
