"""Writing traces: what is recorded comes back, each content is stored once, and the recorded program goes on."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from kvparity.caches.protocol import CacheSpec
from kvparity.driving.comparison import Comparison
from kvparity.errors import TraceError
from kvparity.operations import ALL, ALL_INIT, RECUR, WM, Checkout, Clear, Get, Operation, Set, Write, init
from kvparity.traces import rows
from kvparity.traces import writer as writing
from kvparity.traces.reader import Answer, Recorded, Stream, Trace
from kvparity.traces.writer import TraceWriter
from kvparity.values.entry import KeysValues, read, row_of
from kvparity.values.fingerprints import fingerprint
from support.recordings import DTYPES, SHAPE, SPEC, entry, hit, numbers, recorded, values

if TYPE_CHECKING:
    from pathlib import Path

# ---------------------------------------------------------------------- round trips


def test_every_kind_of_operation_comes_back(tmp_path: Path) -> None:
    """In order, numbered from 0, with pools, keys, environments and fills."""
    operations: list[Operation] = [
        Get(pool=init(3), key=1),
        Get(pool=RECUR, key=2),
        Get(pool=WM, key=3),
        Checkout(env=3, key=4),
        Write(env=0, fill=0.5),
        Clear(pool=init(2)),
        Clear(pool=RECUR),
        Clear(pool=WM),
        Clear(pool=ALL_INIT),
        Clear(pool=ALL),
    ]
    assert recorded(tmp_path / "t.kvtrace", operations) == [
        Recorded(number=number, stream=0, operation=operation, answer=None)
        for number, operation in enumerate(operations)
    ]


@pytest.mark.parametrize("pool", [init(0), init(3), RECUR, WM], ids=str)
def test_a_set_comes_back(tmp_path: Path, pool: Any) -> None:
    """Pool, key and priority, and the value with every bit and size."""
    [found] = recorded(tmp_path / "t.kvtrace", [Set(pool=pool, key=9, value=entry(1), priority=-2.5)])
    operation = found.operation
    assert isinstance(operation, Set)
    assert (operation.pool, operation.key, operation.priority) == (pool, 9, -2.5)
    assert fingerprint(operation.value) == fingerprint(entry(1))
    assert read(operation.value)[1] == [0, 1, 2, 4]


@pytest.mark.parametrize("key", [0, 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1])
def test_keys_of_all_64_bits_come_back(tmp_path: Path, key: int) -> None:
    """Also those beyond SQLite's signed integers."""
    operations = [Set(pool=RECUR, key=key, value=entry(1)), Get(pool=RECUR, key=key), Checkout(env=0, key=key)]
    found: Any = recorded(tmp_path / "t.kvtrace", operations)
    assert [each.operation.key for each in found] == [key] * 3


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("held", ["row", "apart"])
def test_values_of_every_dtype_come_back(tmp_path: Path, dtype: torch.dtype, held: str) -> None:
    """Bit by bit, whether the entry is one row or separate tensors."""
    value = entry(1, dtype=dtype)
    if held == "apart":
        tensors, sizes = read(value)
        value = KeysValues([tensor.clone() for tensor in tensors], sizes)
    [found] = values(recorded(tmp_path / "t.kvtrace", [Set(pool=RECUR, key=1, value=value)]))
    assert fingerprint(found) == fingerprint(value)
    assert row_of(found) is not None


@pytest.mark.parametrize(
    "tensors",
    [
        [numbers(0), numbers(1, shape=(1, 2, 6, 3))],
        [numbers(0), numbers(1, dtype=torch.float64)],
        [numbers(0, shape=(1, 3, 4, 2)).transpose(1, 3), numbers(1, shape=(1, 2, 8, 3))[:, :, ::2]],
        [numbers(0, shape=(1, 2, 1, 3)).expand(SHAPE), numbers(1, shape=(3, 2, 4, 3))[1:2]],
        [torch.empty(1, 2, 0, 3), torch.empty(1, 2, 0, 3)],
        [torch.empty(1, 2, 0, 3), torch.empty(1, 2, 4, 0)],
        [numbers(0, shape=(8, 3)), numbers(1, shape=(8, 3))],
    ],
    ids=["shapes", "dtypes", "strided", "expanded", "empty", "empty-shapes", "two-axes"],
)
def test_values_of_odd_kinds_come_back(tmp_path: Path, tensors: list[torch.Tensor]) -> None:
    """Tensors of several kinds, views that are not contiguous, empty ones and ones of other axes."""
    value = KeysValues(tensors, (0, 1))
    [found] = values(recorded(tmp_path / "t.kvtrace", [Set(pool=RECUR, key=1, value=value)]))
    assert fingerprint(found) == fingerprint(value)


def test_a_value_that_requires_grad_comes_back(tmp_path: Path) -> None:
    """By its numbers."""
    value = KeysValues([torch.ones(SHAPE, requires_grad=True), torch.zeros(SHAPE, requires_grad=True)], (1, 1))
    [found] = values(recorded(tmp_path / "t.kvtrace", [Set(pool=RECUR, key=1, value=value)]))
    assert fingerprint(found) == fingerprint(value)


def test_what_is_read_owns_its_memory(tmp_path: Path) -> None:
    """Writing into one value changes no other that shares its content in the file."""
    path = tmp_path / "t.kvtrace"
    recorded(path, [Set(pool=RECUR, key=key, value=entry(1)) for key in (1, 2)])
    with Trace(path) as trace:
        first, again, second = values([trace[0], trace[0], trace[1]])
        for tensor in read(first)[0]:
            tensor.zero_()
        assert fingerprint(again) == fingerprint(second) == fingerprint(entry(1))
        assert fingerprint(values([trace[0]])[0]) == fingerprint(entry(1))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(),
        Answer(error="TypeError"),
        hit(1),
        hit(1, "init"),
        hit(1, "recur"),
        hit(7),
    ],
    ids=["miss", "error", "hit", "from-init", "from-recur", "never-set"],
)
def test_answers_come_back(tmp_path: Path, answer: Answer) -> None:
    """A miss, an exception, and hits with their fingerprint and source, also of values that were never set."""
    operations = [Set(pool=RECUR, key=1, value=entry(1)), (Checkout(env=1, key=1), answer)]
    found = recorded(tmp_path / "t.kvtrace", operations)
    assert found[1].answer == answer


def test_a_lookup_without_answer_has_none(tmp_path: Path) -> None:
    """Nobody said is not the same as a miss."""
    found = recorded(tmp_path / "t.kvtrace", [Get(pool=RECUR, key=1), (Get(pool=RECUR, key=1), Answer())])
    assert [each.answer for each in found] == [None, Answer()]


def test_a_value_that_was_answered_before_it_was_set_is_kept_whole(tmp_path: Path) -> None:
    """A trace that begins in the midst of things knows a value first by its fingerprint."""
    operations = [(Get(pool=RECUR, key=1), hit(1)), Set(pool=RECUR, key=1, value=entry(1))]
    found = recorded(tmp_path / "t.kvtrace", operations)
    assert found[0].answer == hit(1)
    assert [fingerprint(value) for value in values(found)] == [fingerprint(entry(1))]


@pytest.mark.parametrize("number", [float("inf"), -float("inf"), 5e-324, 1.7976931348623157e308])
def test_extreme_numbers_come_back(tmp_path: Path, number: float) -> None:
    """As fills and as priorities."""
    operations = [Write(env=0, fill=number), Set(pool=RECUR, key=1, value=entry(1), priority=number)]
    write, store = recorded(tmp_path / "t.kvtrace", operations)
    assert repr(write.operation.fill) == repr(store.operation.priority) == repr(number)  # type: ignore[union-attr]


def test_not_a_number_comes_back(tmp_path: Path) -> None:
    """A NaN as fill or priority is neither lost nor mistaken for none."""
    operations = [Write(env=0, fill=float("nan")), Set(pool=RECUR, key=1, value=entry(1), priority=float("nan"))]
    write, store = recorded(tmp_path / "t.kvtrace", operations)
    assert repr(write.operation.fill) == repr(store.operation.priority) == "nan"  # type: ignore[union-attr]


def test_numbers_of_numpy_are_taken(tmp_path: Path) -> None:
    """Environments, keys and priorities that a program holds in numpy are numbers like others."""
    operations = [
        Set(pool=init(np.int64(1)), key=np.uint64(2**64 - 1), value=entry(1), priority=np.float32(0.5)),  # type: ignore[arg-type]
        Checkout(env=np.int32(2), key=np.uint64(7)),  # type: ignore[arg-type]
        Write(env=np.int64(3), fill=np.float64(0.25)),  # type: ignore[arg-type]
    ]
    store, checkout, write = recorded(tmp_path / "t.kvtrace", operations)
    assert isinstance(store.operation, Set)
    assert (store.operation.pool, store.operation.key, store.operation.priority) == (init(1), 2**64 - 1, 0.5)
    assert checkout.operation == Checkout(env=2, key=7)
    assert write.operation == Write(env=3, fill=0.25)


def test_a_producer_may_overwrite_its_object_at_once(tmp_path: Path) -> None:
    """What is recorded is the value as it was when `record` returned."""
    with TraceWriter(tmp_path / "t.kvtrace", served_by="test") as writer:
        stream, producer = writer.stream("only", SPEC), entry(1)
        writer.record(stream, Set(pool=RECUR, key=1, value=producer))
        for tensor in read(producer)[0]:
            tensor.zero_()
        producer._keys_values[0]._k_cache._size = 3
    with Trace(tmp_path / "t.kvtrace") as trace:
        assert fingerprint(values(list(trace))[0]) == fingerprint(entry(1))


def test_several_streams_keep_apart(tmp_path: Path) -> None:
    """Each operation says whose it was, and each stream has its name and sizes."""
    other = CacheSpec(env_num=1, init_pool_size=1, num_simulations=1)
    with TraceWriter(tmp_path / "t.kvtrace", served_by="test") as writer:
        streams = [writer.stream("collect", SPEC), writer.stream("target", other)]
        for number in range(6):
            writer.record(streams[number % 2], Get(pool=RECUR, key=number))
    with Trace(tmp_path / "t.kvtrace") as trace:
        assert trace.streams == {0: Stream(name="collect", spec=SPEC), 1: Stream(name="target", spec=other)}
        assert [each.stream for each in trace] == [0, 1, 0, 1, 0, 1]


def test_the_header_says_how_the_trace_came_about(tmp_path: Path) -> None:
    """Every field that the writer takes, and the versions of what recorded it."""
    options = {
        "tensors": "fingerprint",
        "served_by": "LightZero 0.2.0",
        "candidate": "mine",
        "seed": 17,
        "model": "sha256:0123",
        "note": "a search\nthat branches",
        "versions": {"LightZero": "0.2.0"},
        "device": "cuda:0",
    }
    recorded(tmp_path / "t.kvtrace", [], **options)
    with Trace(tmp_path / "t.kvtrace") as trace:
        header = trace.header
    assert {name: getattr(header, name) for name in options if name != "versions"} == {
        name: value for name, value in options.items() if name != "versions"
    }
    assert header.versions.keys() == {"LightZero", "kvparity", "python", "torch", "numpy"}
    assert header.versions["LightZero"] == "0.2.0"
    assert header.versions["torch"] == torch.__version__


# ---------------------------------------------------------------------- fingerprints only


def test_stand_ins_are_equal_where_the_values_were(tmp_path: Path) -> None:
    """Equal fingerprints give equal stand-ins, different ones different ones."""
    seeds = [1, 2, 1, 3, 2]
    operations = [Set(pool=RECUR, key=key, value=entry(seed)) for key, seed in enumerate(seeds)]
    found = values(recorded(tmp_path / "t.kvtrace", operations, tensors="fingerprint"))
    prints = [fingerprint(value) for value in found]
    assert [prints.index(each) for each in prints] == [0, 1, 0, 3, 1]


def test_answers_name_stand_ins(tmp_path: Path) -> None:
    """A hit's fingerprint is that of the stand-in of the value that was found, also of one never set."""
    operations = [
        Set(pool=RECUR, key=1, value=entry(1)),
        (Get(pool=RECUR, key=1), hit(1)),
        (Get(pool=RECUR, key=1), hit(2, "recur")),
        (Get(pool=RECUR, key=1), Answer()),
    ]
    found = recorded(tmp_path / "t.kvtrace", operations, tensors="fingerprint")
    stand_in = fingerprint(values(found)[0])
    answers = [each.answer for each in found[1:]]
    assert answers[0] == Answer(fingerprint=stand_in)
    assert answers[1] is not None
    assert answers[1].fingerprint not in (None, stand_in)
    assert (answers[1].source, answers[2]) == ("recur", Answer())


def test_a_trace_of_fingerprints_holds_no_tensors(tmp_path: Path) -> None:
    """That is what it is for."""
    path = tmp_path / "t.kvtrace"
    recorded(path, [Set(pool=RECUR, key=1, value=entry(1))], tensors="fingerprint")
    with Trace(path) as trace:
        assert trace._database.execute("SELECT count(*) FROM chunk").fetchone() == (0,)


@pytest.mark.parametrize("tensors", ["full", "fingerprint"])
def test_a_replay_reproduces_what_was_recorded(tmp_path: Path, tensors: Any) -> None:
    """The cache that served a recording answers its replay as it answered then, with tensors and with stand-ins."""
    operations: list[Operation] = []
    for key in range(60):
        operations += [
            Set(pool=init(key % 4) if key % 3 else RECUR, key=key % 25, value=entry(key % 7)),
            Checkout(env=key % 4, key=(key * 5) % 25),
            Write(env=key % 4, fill=float(key)),
            Get(pool=RECUR, key=(key * 3) % 25),
        ]

    class Scene:
        name, summary, spec = "scene", "", SPEC

        def operations(self, _seed: int) -> Any:
            return iter(operations)

    comparison = Comparison("legacy-evicting", "legacy-evicting")
    path = tmp_path / "t.kvtrace"
    with TraceWriter(path, served_by="legacy-evicting", tensors=tensors) as writer:
        first = comparison.scenario(Scene(), seed=0, steps=240, writer=writer)
    with Trace(path) as trace:
        again = comparison.trace(trace, workload="again")
    assert again.recorded is not None
    assert again.recorded.given == again.recorded.reproduced == 120
    assert again.values_compared == first.values_compared > 10


def test_a_recording_that_ended_before_it_began_is_told(tmp_path: Path) -> None:
    """A process may be killed before its first batch is written; its trace cannot be replayed, and says why."""
    TraceWriter(tmp_path / "t.kvtrace", served_by="test").close()
    comparison = Comparison("legacy-evicting", "refactored-fifo")
    with Trace(tmp_path / "t.kvtrace") as trace, pytest.raises(TraceError, match=r"t\.kvtrace has no cache: "):
        comparison.trace(trace, workload="nothing")


# ---------------------------------------------------------------------- files that cannot be made


def test_an_existing_file_is_refused(tmp_path: Path) -> None:
    """Nothing is ever overwritten."""
    path = tmp_path / "t.kvtrace"
    path.write_text("precious")
    with pytest.raises(TraceError, match=r"t\.kvtrace exists already: choose another name or remove it$"):
        TraceWriter(path, served_by="test")
    assert path.read_text() == "precious"


def test_a_directory_that_is_missing_is_refused(tmp_path: Path) -> None:
    """No directories are made up."""
    with pytest.raises(TraceError, match=r"t\.kvtrace cannot be made: No such file or directory$"):
        TraceWriter(tmp_path / "none" / "t.kvtrace", served_by="test")


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """One line says which file and why."""
    (tmp_path / "file").write_text("")
    with pytest.raises(TraceError, match=r"t\.kvtrace cannot be made: Not a directory$"):
        TraceWriter(tmp_path / "file" / "t.kvtrace", served_by="test")


def test_a_disk_that_takes_no_database_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file can be made but SQLite fails, that is said in its words, and neither file nor thread is left."""

    def fails(_path: Path) -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(writing, "_connect", fails)
    threads = threading.active_count()
    with pytest.raises(TraceError, match=r"t\.kvtrace cannot be made: disk I/O error$"):
        TraceWriter(tmp_path / "t.kvtrace", served_by="test")
    assert threading.active_count() == threads
    assert not (tmp_path / "t.kvtrace").exists()


# ---------------------------------------------------------------------- the recorded program goes on


def test_a_pause_sends_no_batch_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch's time begins with its first operation: after a pause there is room for as many as ever."""
    monkeypatch.setattr(writing, "_BATCH_SECONDS", 0.05)
    with TraceWriter(tmp_path / "t.kvtrace", served_by="test") as writer:
        stream = writer.stream("only", SPEC)
        time.sleep(0.1)
        writer.record(stream, Get(pool=RECUR, key=1))
        assert writer._batch == []
        time.sleep(0.1)
        writer.record(stream, Get(pool=RECUR, key=2))
        assert len(writer._batch) == 1


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    """A second close changes nothing, and what is recorded after the first is passed over."""
    writer = TraceWriter(tmp_path / "t.kvtrace", served_by="test")
    stream = writer.stream("only", SPEC)
    writer.record(stream, Get(pool=RECUR, key=1))
    writer.close()
    content = writer.path.read_bytes()
    writer.record(stream, Get(pool=RECUR, key=2))
    writer.close()
    assert writer.path.read_bytes() == content


def test_a_finished_trace_is_one_file(tmp_path: Path) -> None:
    """Nothing lies beside it that would have to be copied with it."""
    recorded(tmp_path / "t.kvtrace", [Get(pool=RECUR, key=1)])
    assert [path.name for path in tmp_path.iterdir()] == ["t.kvtrace"]


def test_a_failing_disk_warns_and_never_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written before the failure is readable, the rest is passed over, and closing says why."""
    add = rows.Store.add

    def fails(store: Any, item: tuple[Any, ...]) -> None:
        if item[0] == "operation" and item[1] == 20:
            raise sqlite3.OperationalError("database or disk is full")
        add(store, item)

    monkeypatch.setattr(writing, "_BATCH_OPERATIONS", 8)
    monkeypatch.setattr(rows.Store, "add", fails)
    writer = TraceWriter(tmp_path / "t.kvtrace", served_by="test")
    stream = writer.stream("only", SPEC)
    for key in range(2000):
        writer.record(stream, Set(pool=RECUR, key=key, value=entry(key % 3)))
    with pytest.warns(UserWarning, match=r"t\.kvtrace stopped early: database or disk is full$"):
        writer.close()
    with Trace(writer.path) as trace:
        assert not trace.header.complete
        assert [each.operation.key for each in trace] == list(range(len(trace)))  # type: ignore[union-attr]
        assert 0 < len(trace) <= 20


def test_a_failure_of_the_last_write_is_told(tmp_path: Path) -> None:
    """Closing ends and warns where the finish itself fails."""
    writer = TraceWriter(tmp_path / "t.kvtrace", served_by="test")
    other = sqlite3.connect(writer.path)
    other.execute("DROP TABLE header")
    other.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        closing = threading.Thread(target=writer.close, daemon=True)
        closing.start()
        closing.join(60)
    assert not closing.is_alive()
    assert str(writer.failure) == "no such table: header"


def test_a_reader_does_not_disturb_the_end_of_a_recording(tmp_path: Path) -> None:
    """A trace that somebody reads when it is closed is complete."""
    writer = TraceWriter(tmp_path / "t.kvtrace", served_by="test")
    writer.record(writer.stream("only", SPEC), Get(pool=RECUR, key=1))
    with Trace(writer.path) as reader:
        closing = threading.Thread(target=writer.close, daemon=True)
        closing.start()
        closing.join(60)
        assert not closing.is_alive()
        assert not reader.header.complete
    assert writer.failure is None
    with Trace(writer.path) as trace:
        assert trace.header.complete
        assert len(trace) == 1


@pytest.mark.parametrize("key", [-1, 2**64])
def test_a_key_beyond_64_bits_ends_the_recording(tmp_path: Path, key: int) -> None:
    """It is not recorded as some other key, and the program goes on."""
    writer = TraceWriter(tmp_path / "t.kvtrace", served_by="test")
    writer.record(writer.stream("only", SPEC), Get(pool=RECUR, key=key))
    with pytest.warns(UserWarning, match=rf"stopped early: key {key} is outside \[0, 2\*\*64\)$"):
        writer.close()


KILLED = """
import os, signal, sys
from kvparity import Answer, CacheSpec, Get, RECUR, Trace, TraceWriter

writer = TraceWriter(sys.argv[1], served_by="killed")
stream = writer.stream("only", CacheSpec())
for key in range(1500):
    writer.record(stream, Get(pool=RECUR, key=key), Answer())
written = 0
while written < 1000:  # all that can be relied on: 512 may be missing
    with Trace(sys.argv[1]) as trace:
        written = len(trace)
os.kill(os.getpid(), signal.SIGKILL)
"""

FORKED = """
import os, sys
from kvparity import CacheSpec, Get, RECUR, TraceWriter

writer = TraceWriter(sys.argv[1], served_by="forked")
stream = writer.stream("only", CacheSpec())
writer.record(stream, Get(pool=RECUR, key=1))
child = os.fork()
if not child:
    for key in range(2000):
        writer.record(stream, Get(pool=RECUR, key=100 + key))
    writer.close()
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
writer.record(stream, Get(pool=RECUR, key=2))
"""


def test_a_killed_process_leaves_a_readable_trace(tmp_path: Path) -> None:
    """Everything up to the last batch is there, and the header says that it is not complete."""
    path = tmp_path / "t.kvtrace"
    process = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=120)  # noqa: S603
    assert process.returncode == -9
    with Trace(path) as trace:
        assert not trace.header.complete
        assert trace.header.served_by == "killed"
        assert 1000 <= len(trace) <= 1500
        assert [each.operation for each in trace] == [Get(pool=RECUR, key=key) for key in range(len(trace))]
        assert trace[999].answer == Answer()


def test_a_forked_child_does_not_write(tmp_path: Path) -> None:
    """What a child records is not the parent's, which finishes its file at its exit even when nobody closes it."""
    path = tmp_path / "t.kvtrace"
    command = [sys.executable, "-W", "ignore", "-c", FORKED, str(path)]
    subprocess.run(command, check=True, timeout=120)  # noqa: S603
    with Trace(path) as trace:
        assert trace.header.complete
        assert [each.operation for each in trace] == [Get(pool=RECUR, key=key) for key in (1, 2)]
