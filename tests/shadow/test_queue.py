"""Fingerprints on a device: no lookup waits for one, and what is found is what the CPU finds, a little later.

Where no GPU is at hand, the CPU's own memory stands for one: what is counted is who reads it back, and how often. The
`meta` device is stricter still, since nobody can read its memory at all.
"""

from __future__ import annotations

import gc
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from kvparity import ALL, RECUR, CacheSpec, KeysValues, ShadowCache, Tolerance, adapt, fingerprint, init
from kvparity.driving.comparison import Comparison
from kvparity.errors import DivergedError
from kvparity.registry import SCENARIOS, installed, load_scenario, trace_path
from kvparity.results.divergence import DivergenceLog
from kvparity.traces.reader import Trace
from kvparity.values.checksums import checksums
from kvparity.values.device_fingerprints import BATCH, DeviceFingerprints, Pending, fingerprints_for
from kvparity.values.entry import read
from kvparity.values.fingerprints import HostFingerprints
from kvparity_legacy import ReleasedCache
from kvparity_refactored import fifo
from kvparity_scenarios.correct_cache import CorrectCache
from kvparity_scenarios.faults import FAULTS
from support import doubles
from support.attaching import attach
from support.doubles import Elsewhere
from support.entries import SHAPE, SIZES, drawn, row
from support.shadows import ROOMY, SPEC, correct, fault, found, only, shadow, value
from support.worldmodels import ReleasedModel, play

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvparity import Divergence
    from kvparity.results.result import Result

CPU, META = torch.device("cpu"), torch.device("meta")


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> list[DeviceFingerprints]:
    """Shadows take their fingerprints as on a GPU; what takes them, in the order in which it was made."""
    made: list[DeviceFingerprints] = []

    def device_fingerprints(_: torch.device | None) -> DeviceFingerprints:
        made.append(DeviceFingerprints(CPU))
        return made[-1]

    monkeypatch.setattr("kvparity.shadow.examination.fingerprints_for", device_fingerprints)
    return made


class Transfers:
    """Counts how often checksums are brought over from a device, of whose memory nobody else may know."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.under_way = False
        fetch = DeviceFingerprints._fetch

        def counted(taker: DeviceFingerprints, checksums: torch.Tensor) -> bytes:
            self.count += 1
            self.under_way = True
            try:
                return bytes(checksums.nbytes) if checksums.is_meta else fetch(taker, checksums)
            finally:
                self.under_way = False

        monkeypatch.setattr(DeviceFingerprints, "_fetch", counted)


@pytest.fixture
def transfers(monkeypatch: pytest.MonkeyPatch) -> Transfers:
    """Counts them."""
    return Transfers(monkeypatch)


# What makes the CPU wait for a GPU, in Python and below it.
READS = {
    torch.Tensor.cpu, torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.item, torch.Tensor.__bool__,
    torch.Tensor.__int__, torch.Tensor.__float__, torch.Tensor.__index__, torch.Tensor.nonzero, torch.Tensor.equal,
    torch.equal, torch.allclose, torch.nonzero, torch.Tensor.to, torch.Tensor.__array__,
}  # fmt: skip
WAITS = {
    "aten::_local_scalar_dense", "aten::equal", "aten::is_nonzero", "aten::nonzero", "aten::item", "aten::_to_copy",
    "aten::allclose", "aten::masked_select",
}  # fmt: skip


@contextmanager
def synchronisations(transfers: Transfers) -> Iterator[list[str]]:
    """What within would have waited for a device, the batches' transfers apart."""
    seen: list[str] = []
    checksums(torch.zeros(1, 1), torch.empty(1, 2, dtype=torch.int64))  # draws the weights, once for a process

    class Functions(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in READS and not transfers.under_way:
                seen.append(str(func))
            return func(*args, **(kwargs or {}))

    class Kernels(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func._schema.name in WAITS and not transfers.under_way:
                seen.append(func._schema.name)
            return func(*args, **(kwargs or {}))

    with Functions(), Kernels():
        yield seen


# ---------------------------------------------------------------------- who waits


def test_what_would_wait_is_seen(transfers: Transfers) -> None:
    """The counter of the tests below counts."""
    tensor = torch.ones(3)
    with synchronisations(transfers) as seen:
        tensor.sum().item()
        bool(tensor[0] == 1)
        tensor.to("cpu", copy=True)
        fingerprint(row())
    assert len(seen) >= 4


@pytest.mark.usefixtures("on_device")
@pytest.mark.parametrize("lookups", [1, 100, 1000])
def test_no_get_waits_and_a_batch_is_one_transfer(transfers: Transfers, lookups: int) -> None:
    """Two fingerprints for each get, and one transfer for every `BATCH` of them."""
    cache = shadow(correct(), correct())
    entry = row()
    with synchronisations(transfers) as seen:
        cache.set(RECUR, 1, entry)
        for _ in range(lookups):
            cache.get(RECUR, 1)
    assert seen == []
    assert transfers.count == (1 + 2 * lookups) // BATCH
    assert cache.log.total == 0
    assert transfers.count == -(-(1 + 2 * lookups) // BATCH)
    assert cache.values_compared == lookups


@pytest.mark.usefixtures("on_device")
def test_no_operation_waits(transfers: Transfers) -> None:
    """Sets, checkouts, clears and the second looks at what was lent included."""
    cache = shadow(correct(), correct())
    entries = [row(seed) for seed in range(4)]
    with synchronisations(transfers) as seen:
        for turn in range(200):
            cache.set(RECUR, turn, entries[turn % 4])
            cache.set(init(0), turn, entries[turn % 3])
            cache.get(init(0), turn)
            cache.checkout(0, turn)
            cache.checkout(1, turn + 1000)
            if turn % 50 == 0:
                cache.clear(ALL)
    assert seen == []
    assert transfers.count >= 3
    cache.check_stats()
    assert cache.log.total == 0


def test_memory_that_nobody_can_read_is_not_read(monkeypatch: pytest.MonkeyPatch, transfers: Transfers) -> None:
    """On the device without memory every operation is done all the same, since only its batches are read."""
    monkeypatch.setattr("kvparity.shadow.examination.fingerprints_for", DeviceFingerprints)
    spec = CacheSpec(env_num=2, init_pool_size=4, num_simulations=40)
    cache = ShadowCache(reference=ReleasedCache(spec.config(), 2), candidate=adapt(fifo(spec.config(), 2)), spec=spec)
    entry = KeysValues.zeros(num_layers=2, num_heads=2, max_tokens=8, head_dim=4, size=3, device=META)
    for turn in range(100):
        cache.set(RECUR, turn, entry)
        cache.get(RECUR, turn)
        cache.checkout(0, turn)
    assert cache.values_compared == 200
    assert transfers.count == (100 * 5 + 25 + 2 * 12) // BATCH


# ---------------------------------------------------------------------- what is found


def told(each: Divergence) -> tuple[Any, ...]:
    """A divergence without the fingerprints and without the difference of the tensors."""
    return each.number, each.operation, each.pool, each.key, each.kind, each.wrong, each.explanation, each.known


def same(one: Result, other: Result) -> bool:
    """Whether the same was found and counted."""
    return (
        [told(each) for each in one.kept] == [told(each) for each in other.kept]
        and one.by_group == other.by_group
        and one.stats == other.stats
        and (one.operations, one.gets_compared, one.values_compared)
        == (other.operations, other.gets_compared, other.values_compared)
        and one.coverage == other.coverage
    )


GALLERY = [
    (name, method)
    for name, gallery_fault in FAULTS.items()
    for method in gallery_fault.methods[:1]
    # A thread of its own makes one of them race with itself.
    if method in installed(SCENARIOS) and "thread" not in name
][::3]


@pytest.mark.parametrize(("name", "method"), GALLERY, ids=[f"{name}-{method}" for name, method in GALLERY])
def test_a_faulty_cache_is_found_out_as_on_the_cpu(name: str, method: str, request: pytest.FixtureRequest) -> None:
    """Every divergence with its operation, kind, side, pool, key and reason."""
    gallery_fault = FAULTS[name]

    def run() -> Result:
        comparison = Comparison(f"refactored-{gallery_fault.eviction}", f"fault:{name}")
        return comparison.scenario(load_scenario(method), seed=gallery_fault.seed, steps=1000)

    at_once = run()
    takers = request.getfixturevalue("on_device")
    assert same(run(), at_once)
    assert takers


@pytest.mark.parametrize("reference", ["legacy-released", "legacy-evicting"])
def test_a_real_trace_comes_to_the_same(reference: str, request: pytest.FixtureRequest) -> None:
    """The first operations of a recorded training; its recorded answers are held against the reference as ever."""

    def run() -> Result:
        with Trace(trace_path("cartpole-unizero-100sims")) as trace:
            return Comparison(reference, "refactored-lru").trace(trace, workload="trace", steps=6000)

    at_once = run()
    takers = request.getfixturevalue("on_device")
    in_batches = run()
    assert takers
    assert same(in_batches, at_once)
    assert in_batches.recorded == at_once.recorded
    assert at_once.recorded is not None
    assert at_once.recorded.given


@pytest.mark.usefixtures("on_device")
def test_a_divergence_is_told_when_somebody_asks() -> None:
    """With the number of its operation, though others came after it."""
    cache = shadow(fault("keeps-old-value-on-update"))
    for number in (1, 2):
        cache.set(RECUR, 1, value(number))
    cache.get(RECUR, 1)
    for _ in range(10):
        cache.get(RECUR, 2)
    assert cache._log.total == 0
    assert found(cache) == ("stale_hit", "corruption", "candidate")
    assert only(cache).number == 2


@pytest.mark.usefixtures("on_device")
def test_a_divergence_is_told_when_a_batch_is_full() -> None:
    """Without anybody asking."""
    cache = shadow(fault("keeps-old-value-on-update"))
    for number in (1, 2):
        cache.set(RECUR, 1, value(number))
    for _ in range(BATCH):
        cache.get(RECUR, 1)
    assert cache._log.total > 0


@pytest.mark.usefixtures("on_device")
def test_where_nothing_is_pending_nothing_waits() -> None:
    """Misses and errors have no fingerprints: they are told at once."""
    cache = shadow(doubles.Raises())
    cache.set(RECUR, 1, value(1))
    assert cache.log.total == 0
    cache.get(RECUR, 2)
    assert cache._log.total == 1


@pytest.mark.usefixtures("on_device")
def test_what_waits_is_bounded_without_fingerprints_too() -> None:
    """One that is pending does not hold up any number of misses."""
    cache = shadow(correct(), correct())
    cache.set(RECUR, 1, value(1))
    for key in range(4 * BATCH):
        cache.get(RECUR, key + 2)
    assert cache._examination._queue is not None
    assert len(cache._examination._queue._events) < 4 * BATCH


@pytest.mark.usefixtures("on_device")
@pytest.mark.parametrize(
    ("faulty", "kind"),
    [
        (doubles.ForgetsTheSize, "size"),
        (doubles.Casts, "dtype"),
        (doubles.Reinterprets, "dtype"),
        (doubles.Pads, "shape"),
        (FAULTS["lends-without-samples"], "shape"),
        (doubles.AnswersFromElsewhere, "device"),
    ],
)
def test_what_tensors_are_like_is_remembered(faulty: Any, kind: str) -> None:
    """It is known without reading them, and told as on the CPU."""
    cache = shadow(faulty())
    cache.set(RECUR, 1, value(1))
    cache.get(RECUR, 1)
    assert found(cache) == (kind, "corruption", "candidate")
    assert f"the {kind}s do not match" in only(cache).difference


@pytest.mark.usefixtures("on_device")
def test_numbers_that_differ_are_said_not_to_be_kept() -> None:
    """In which tensor they differ is known; the memory may hold another entry by now."""
    cache = shadow(doubles.RoundsALittle())
    cache.set(RECUR, 1, value(3))
    cache.get(RECUR, 1)
    assert found(cache) == ("stale_hit", "corruption", "candidate")
    assert only(cache).difference.startswith("layer 0, K: the tensors are not equal. Their numbers were not kept:")


@pytest.mark.usefixtures("on_device")
def test_statistics_are_held_against_all_that_was_seen() -> None:
    """What waits is examined before."""
    cache = shadow(fault("counts-twice", SPEC), correct(SPEC), SPEC)
    cache.set(RECUR, 1, value(1))
    cache.get(RECUR, 1)
    cache.check_stats()
    assert "hits 2 for recur; the right number is 1" in only(cache).explanation


@pytest.mark.usefixtures("on_device")
def test_a_drop_is_explained_as_of_its_own_time() -> None:
    """By the operation that dropped the key before the lookup, not by a later one."""
    spec = CacheSpec(env_num=1, init_pool_size=2, num_simulations=2)
    explanations = []
    for later in (0, 1):
        cache = Comparison("legacy-evicting", "refactored-fifo").shadow(spec)
        for key in (1, 1, 3):
            cache.set(init(0), key, value(key))
        cache.get(init(0), 1)
        for key in range(5 * later):
            cache.set(init(0), key, value(key))
        cache.clear(init(0))
        explanations.append(cache.log.kept[0].explanation)
    assert explanations[0] == explanations[1]
    assert "it reused slot 0, which still named this key" in explanations[0]


# ---------------------------------------------------------------------- trainings


@pytest.mark.usefixtures("on_device")
@pytest.mark.parametrize("candidate", [FAULTS["working-copy-is-entry"], doubles.ClearsNothing, "fault:by-reference"])
def test_all_is_examined_when_a_training_ends(candidate: Any) -> None:
    """What was heard last does not stay unexamined."""
    with attach(ReleasedModel(), candidate=CorrectCache, on_divergence="record") as clean:
        pass
    assert clean.found.total == 0
    model = ReleasedModel()
    with attach(model, candidate=candidate, on_divergence="record") as attached:
        play(model)
        assert attached.found.total == 0
    assert attached.found.total > 0


@pytest.mark.usefixtures("on_device")
def test_a_training_is_stopped_by_the_batch_or_when_it_ends() -> None:
    """Where `raise` was asked for, no divergence goes without it."""
    model = ReleasedModel()
    with pytest.raises(DivergedError), attach(model, candidate="fault:by-reference", on_divergence="raise"):
        play(model)
    attached = attach(model, candidate="fault:by-reference", on_divergence="raise")
    with pytest.raises(DivergedError):
        play(model, rounds=100)
    attached.detach()


@pytest.mark.usefixtures("on_device")
def test_a_device_that_fails_ends_the_shadow_and_not_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor the report of what was found before."""

    def broken(*_: object) -> bytes:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    model = ReleasedModel()
    with attach(model, candidate="refactored-fifo", on_divergence="record") as attached:
        play(model)
        monkeypatch.setattr(DeviceFingerprints, "_fetch", broken)
        with pytest.warns(UserWarning, match="kvparity itself failed: RuntimeError: CUDA error"):
            assert attached.log.total == 0
    assert attached.stopped is not None
    assert attached.result().gets_compared > 0


# ---------------------------------------------------------------------- which device


def test_a_gpu_is_what_takes_batches() -> None:
    """Everything else is read at once."""
    assert isinstance(fingerprints_for(torch.device("cuda", 1)), DeviceFingerprints)
    for device in (CPU, META, None):
        assert isinstance(fingerprints_for(device), HostFingerprints)


@pytest.mark.usefixtures("on_device")
def test_a_tolerance_asks_for_the_numbers() -> None:
    """Whether they are close can be told of them only while they are there: at once."""
    cache = shadow(doubles.RoundsALittle(), tolerance=Tolerance())
    cache.set(RECUR, 1, value(3))
    cache.get(RECUR, 1)
    assert cache._examination._queue is None
    assert cache.log.total == 0


def test_the_first_entry_decides(on_device: list[DeviceFingerprints]) -> None:
    """Once, whichever operation brings it."""
    for reference_holds in (False, True):
        reference = CorrectCache()
        reference.set(RECUR, 1, value(1))
        cache = shadow(CorrectCache(), reference, complete=False)
        if reference_holds:
            cache.get(RECUR, 1)
        cache.set(RECUR, 2, value(2))
        cache.get(RECUR, 2)
    assert len(on_device) == 2


def test_rubbish_decides_nothing(on_device: list[DeviceFingerprints]) -> None:
    """It is on no device, and an error as ever."""
    cache = shadow(doubles.Invents(), CorrectCache())
    cache.candidate.cache.get = lambda *_: "rubbish"  # type: ignore[method-assign]
    cache.get(RECUR, 1)
    assert found(cache) == ("error", "corruption", "candidate")
    assert on_device == []


@pytest.mark.usefixtures("on_device")
def test_right_bytes_on_another_device_are_found() -> None:
    """They have the same fingerprint there."""
    cache = shadow(doubles.AnswersFromElsewhere())
    cache.set(RECUR, 1, value(1))
    cache.get(RECUR, 1)
    assert only(cache).explanation == "candidate returned the right bytes, but on meta, where they were not set"


# ---------------------------------------------------------------------- batches


def taken(fingerprints: DeviceFingerprints, *values: Any) -> list[bytes]:
    """Their fingerprints."""
    pending: list[Any] = [fingerprints.look(each)[0] for each in values]
    fingerprints.read()
    return [each.fingerprint for each in pending]


def test_entries_of_any_size_share_a_batch() -> None:
    """One with more layers than those before it needs more room, and nothing is lost or mixed up."""
    small, large = row(1), KeysValues.from_row(drawn(2, shape=(16, *SHAPE)), SIZES * 4)
    values = [each for _ in range(40) for each in (small, large, row(3))]
    one_by_one = [taken(DeviceFingerprints(CPU), each)[0] for each in values]
    assert taken(DeviceFingerprints(CPU, batch=2), *values) == one_by_one
    assert taken(DeviceFingerprints(CPU), *values) == one_by_one


def test_a_fingerprint_is_of_the_moment_at_which_it_was_taken() -> None:
    """What is written into the memory before the batch is read does not change it."""
    entry, other = row(1), row(2)
    fingerprints = DeviceFingerprints(CPU)
    pending: Any = fingerprints.look(entry)[0]
    for tensor in read(entry)[0]:
        tensor.zero_()
    entry._keys_values[0]._k_cache._size = 0
    fingerprints.read()
    assert [pending.fingerprint] == taken(DeviceFingerprints(CPU), row(1))
    assert [pending.fingerprint] != taken(DeviceFingerprints(CPU), other)


def test_nothing_is_transferred_where_nothing_is_pending(transfers: Transfers) -> None:
    """Neither at the beginning nor after a batch."""
    fingerprints = DeviceFingerprints(CPU)
    fingerprints.read()
    taken(fingerprints, row())
    fingerprints.read()
    assert transfers.count == 1


def test_an_entry_of_no_layers_is_an_error() -> None:
    """There is nothing to be told apart."""
    with pytest.raises(ValueError, match="no layers"):
        DeviceFingerprints(CPU).look(KeysValues([], []))


@pytest.mark.usefixtures("on_device")
def test_entries_that_wait_are_not_kept_alive() -> None:
    """A cache that lends new objects would fill the device with them."""
    lent: list[weakref.ref[Any]] = []

    class Clones(CorrectCache):
        def get(self, pool: Any, key: int) -> Any:
            found = super().get(pool, key).clone()
            lent.append(weakref.ref(found))
            return found

    cache = shadow(Clones(), Clones())
    cache.set(RECUR, 1, value(1))
    for _ in range(20):
        cache.get(RECUR, 1)
    gc.collect()
    assert cache._examination._queue is not None
    assert len(cache._examination._queue._events) == 21
    assert sum(each() is not None for each in lent) <= 4  # the last answers, and a loan that is watched


def test_inference_mode_may_come_and_go() -> None:
    """Memory that was made in it cannot be written to outside of it, and the other way round."""
    fingerprints = DeviceFingerprints(CPU)
    with torch.inference_mode():
        first: Any = fingerprints.look(row(1))[0]
    second: Any = fingerprints.look(row(1))[0]
    with torch.inference_mode():
        fingerprints.read()
    assert first.fingerprint == second.fingerprint


def test_tensors_on_several_devices_have_no_device() -> None:
    """One of them is hashed where it is, the others where the batch is."""
    tensors, sizes = read(row())
    strayed = KeysValues([*tensors[:3], tensors[3].as_subclass(Elsewhere)], sizes)
    fingerprints = DeviceFingerprints(CPU)
    pending, device = fingerprints.look(strayed)
    fingerprints.read()
    assert device is None
    assert isinstance(pending, Pending)
    assert [pending.fingerprint] == taken(DeviceFingerprints(CPU), row())


def test_shadows_share_a_log_and_not_a_batch(on_device: list[DeviceFingerprints]) -> None:
    """Each is examined in its own order."""
    log = DivergenceLog()
    caches = [shadow(fault("keeps-old-value-on-update"), spec=ROOMY, log=log) for _ in range(2)]
    for cache in caches:
        for number in (1, 2):
            cache.set(RECUR, 1, value(number))
        cache.get(RECUR, 1)
    assert caches[0].log.total == 1
    assert caches[1].log.total == 2
    assert len(on_device) == 2
