"""What comparing costs: fingerprints, and the cycle of a search in shadow.

| line | over | under |
| --- | --- | --- |
| fingerprint | `fingerprint` of an entry whose tensors lie apart, as the original lends it | xxh3-128 of as many bytes in one buffer |
| fingerprint, row | the same for an entry in one row, as the refactored cache lends it | the same |
| shadowed cycle | `cycles` on a `ShadowCache` of both caches: every set, get and working copy is checked | `cycles` on `legacy-evicting` alone |
| shadowed cycle, bare | the same without the consumer's writes, which cost both the same: for information | the same |
| shadowed cycle, 1 in 16 | like the first, with `compare_every=16`: all is mirrored, one lookup in 16 is compared | the same |
| recorded cycle | `cycles` on such a shadow, with each operation and answer recorded into a trace | `cycles` on one that is not recorded |
| recorded cycle, queue full | the same, while a recorder writes all the time: for information | the same |

The last two lines are timed in wall time. Every set in them has new bytes, so that there is as much to write as possible. A
cycle has 409 operations; a recorder's queue is full at 510, and then the program waits for it. In `recorded cycle` the
recorder's queue has been full before and is empty now: it takes the whole cycle, which is written after the measurement. In
`queue full` the recorder still writes the previous cycle while the next one runs.
"""  # noqa: E501  a table

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import xxhash

from kvparity.operations import RECUR, Checkout, Set
from kvparity.shadow.shadow_cache import ShadowCache
from kvparity.traces.reader import Answer
from kvparity.traces.writer import _BATCH_OPERATIONS, _PAUSE_SECONDS, TraceWriter
from kvparity.values.entry import KeysValues, clone, read
from kvparity.values.fingerprints import fingerprint
from lines.entries import SPEC, Producer, each
from lines.measuring import Line, Ratio, timed
from lines.searching import STEPS, cycles, legacy, refactored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kvparity.operations import PoolId
    from lines.measuring import Effort

_ENTRIES = 16  # used in turn, so that the processor's caches do not hold them all
_LOOKS = 20
_QUEUE = 3 * _BATCH_OPERATIONS - 1  # less one for the stream
_AT_REST_S = 0.01  # of processor time


def shadowed(*, compare_every: int = 1) -> ShadowCache:
    """A shadow of both caches, empty."""
    return ShadowCache(reference=legacy(), candidate=refactored(), spec=SPEC, compare_every=compare_every)


class Recorded:
    """A shadow that a writer records, as a replay's is."""

    def __init__(self, shadow: ShadowCache, writer: TraceWriter) -> None:
        self._shadow = shadow
        self._writer = writer
        self._stream = writer.stream("benchmark", SPEC)

    def warm_up(self, producer: Producer) -> None:
        """Fill the queue and wait until everything is written: in a long session its memory was used before."""
        for turn in range(_QUEUE):
            self._writer.record(self._stream, Set(pool=RECUR, key=turn, value=producer.produce(turn)))
        busy = -1.0
        while time.process_time() - busy > _AT_REST_S:
            busy = time.process_time()
            time.sleep(2 * _PAUSE_SECONDS)

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Set, and record it."""
        self._shadow.set(pool, key, value, priority=priority)
        self._writer.record(self._stream, Set(pool=pool, key=key, value=value, priority=priority))

    def checkout(self, env: int, key: int) -> Any | None:
        """Check out, and record it with its answer."""
        copy = self._shadow.checkout(env, key)
        digest = self._shadow.answers[0].fingerprint
        assert digest is None or isinstance(digest, bytes)
        self._writer.record(self._stream, Checkout(env=env, key=key), Answer(fingerprint=digest))
        return copy

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Get nothing: a search does none."""
        return self._shadow.get(pool, key)

    def clear(self, pool: PoolId) -> None:
        """Clear without recording it, before a search."""
        self._shadow.clear(pool)


def _fingerprint(entry: str, _: Effort, *, apart: bool) -> Iterator[Ratio]:
    producer = Producer(entry, _ENTRIES)
    rows = [clone(producer.produce(turn)) for turn in range(_ENTRIES)]
    entries = [KeysValues([t.clone() for t in read(row)[0]], read(row)[1]) for row in rows] if apart else rows
    buffers = [b"".join(tensor.numpy().tobytes() for tensor in read(row)[0]) for row in rows]

    def buffered() -> None:
        for _ in range(_LOOKS):
            for buffer in buffers:
                xxhash.xxh3_128_digest(buffer)

    def looked() -> None:
        for _ in range(_LOOKS):
            for value in entries:
                fingerprint(value)

    while True:
        under = timed(buffered, _LOOKS * _ENTRIES)
        yield Ratio(timed(looked, _LOOKS * _ENTRIES), under)


def _shadowed(entry: str, _: Effort, *, compare_every: int = 1, new_tokens: int = 2) -> Iterator[Ratio]:
    producer, original, shadow = Producer(entry), legacy(), shadowed(compare_every=compare_every)
    while True:
        under = cycles(original, producer, new_tokens=new_tokens)
        yield Ratio(cycles(shadow, producer, new_tokens=new_tokens), under)


def _recorded(entry: str, _: Effort, *, before: int = 0) -> Iterator[Ratio]:
    """`before`: the number of cycles that the recorder has just taken; without any its queue is empty."""
    producer = Producer(entry, STEPS)
    plain, shadow = shadowed(), shadowed()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "benchmark.kvtrace"
        while True:
            under = cycles(plain, producer, clock=time.perf_counter)
            with TraceWriter(path, served_by="legacy-evicting") as writer:
                recorded = Recorded(shadow, writer)
                if not before:
                    recorded.warm_up(producer)
                for _ in range(before):
                    cycles(recorded, producer)
                over = cycles(recorded, producer, clock=time.perf_counter)
            path.unlink()
            yield Ratio(over, under)


LINES = (
    Line(name="fingerprint", target=each(2.5, 1.3, 1.3), begin=partial(_fingerprint, apart=True)),
    Line(name="fingerprint, row", target=each(2.5, 1.3, 1.3), begin=partial(_fingerprint, apart=False)),
    Line(name="shadowed cycle", target=each(1.9, 2.0, 2.1), begin=_shadowed),
    Line(name="shadowed cycle, bare", target=each(None), begin=partial(_shadowed, new_tokens=0)),
    Line(name="shadowed cycle, 1 in 16", target=each(1.5), begin=partial(_shadowed, compare_every=16)),
    Line(name="recorded cycle", target=each(1.3), begin=_recorded),
    Line(name="recorded cycle, queue full", target=each(None), begin=partial(_recorded, before=3), most=5),
)
