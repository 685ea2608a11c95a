"""The rows that recorded operations become in a `.kvtrace` file: each value once, cut into parts, each part once."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import xxhash

from kvparity.operations import Checkout, Clear, Get, Operation, PoolId, Set, Write
from kvparity.traces.chunks import INDEX_BITS, digest_of
from kvparity.values.entry import KeysValues, clone, read
from kvparity.values.fingerprints import HostFingerprints, fingerprint, raw_bytes

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from kvparity.traces.reader import Answer

_REMEMBERED = 1 << 16
_CHUNK_BYTES = 1 << 20  # of a full one; no more parts of one byte than have an index


class Row(NamedTuple):
    """A copy of an entry whose tensors are of one kind: to make an object of it takes longer than the copy."""

    row: torch.Tensor
    sizes: Sequence[int]


class Copies:
    """Copies of values, in rows that are used again.

    Memory that is new to a process takes several times as long to write as memory that it has written before. One
    thread may copy, and another give back.
    """

    def __init__(self) -> None:
        self._spare: list[torch.Tensor] = []  # its `append` and `pop` are one step each

    def of(self, value: Any) -> Row | KeysValues:
        """A copy of `value`, in one row where it can be."""
        tensors, sizes = read(value)
        dtype = getattr(tensors[0], "dtype", None) if tensors else None
        for tensor in tensors:
            if getattr(tensor, "dtype", None) is not dtype:  # torch would cast
                return clone(value)
        try:
            row = torch.stack(tensors, out=self._spare_like(tensors))
        except (RuntimeError, TypeError):  # no tensors, of several shapes or devices, or with a gradient to record
            return clone(value)
        return Row(row.detach() if row.requires_grad else row, sizes)

    def give_back(self, row: torch.Tensor) -> None:
        """Nobody reads this copy any more."""
        if row.is_cpu:
            self._spare.append(row)

    def _spare_like(self, tensors: list[torch.Tensor]) -> torch.Tensor | None:
        if not (self._spare and tensors):
            return None
        spare, first = self._spare.pop(), tensors[0]
        fits = spare.dtype is first.dtype and len(spare) == len(tensors) and spare.shape[1:] == first.shape
        return spare if fits and isinstance(first, torch.Tensor) and first.is_cpu else None


class Store:
    """The rows that operations become. Lives in the thread that writes.

    What it does in Python keeps the recorded program waiting, since only one thread at a time may: few statements, and
    nothing done twice.
    """

    def __init__(self, database: sqlite3.Connection, copies: Copies) -> None:
        self._database = database
        self._copies = copies
        self._operations: list[tuple[Any, ...]] = []
        self._parts: OrderedDict[bytes, int] = OrderedDict()
        self._open: dict[int, _Chunk] = {}
        self._last_chunk = 0
        self._values: OrderedDict[bytes, int] = OrderedDict()
        self._last_value = 0
        self._layouts: dict[tuple[Any, ...], int] = {}
        self._fingerprints = HostFingerprints()
        self._at_hand = torch.empty(0)

    def add(self, item: tuple[Any, ...]) -> None:
        """Take a stream or an operation, as `TraceWriter` puts them into its queue."""
        if item[0] == "stream":
            self._database.execute("INSERT INTO stream VALUES (?, ?, ?)", item[1:])
            return
        _, number, stream, operation, content, answer = item
        self._operations.append((number, stream, *self._columns(operation, content, answer)))
        if isinstance(content, Row):
            self._copies.give_back(content.row)

    def finish_batch(self) -> None:
        """Write what is not written yet; chunks that are not full, since what refers to them is in the file."""
        self._database.executemany("INSERT INTO operation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self._operations)
        self._operations.clear()
        for length in list(self._open):
            self._write_chunk(length)

    def _columns(self, operation: Operation, content: Any, answer: Answer | None) -> tuple[Any, ...]:
        outcome, found = None, None
        if answer is not None:
            outcome = _outcome(answer)
            found = None if answer.fingerprint is None else self._value(answer.fingerprint, None)
        match operation:
            case Set():
                value = self._value(*self._looked_at(content))
                return "S", *_pool(operation.pool), _signed(operation.key), value, _real(operation.priority), None
            case Get():
                return "G", *_pool(operation.pool), _signed(operation.key), found, None, outcome
            case Checkout():
                return "C", None, int(operation.env), _signed(operation.key), found, None, outcome
            case Write():
                return "W", None, int(operation.env), None, None, _real(operation.fill), None
            case Clear():
                return "X", *_pool(operation.pool), None, None, None, None

    def _looked_at(self, content: Row | KeysValues | bytes) -> tuple[bytes, Row | KeysValues | None]:
        """The fingerprint of what was set, and what there is to store."""
        if isinstance(content, bytes):
            return content, None
        if isinstance(content, KeysValues):
            return fingerprint(content), content
        row = content.row.cpu()
        if row.dtype is self._at_hand.dtype and row.shape == self._at_hand.shape:
            self._at_hand.copy_(row)  # to look at one and the same row is so much faster that the copy pays
        else:
            self._at_hand = row.clone()
        return self._fingerprints.look_at_row(self._at_hand, content.sizes)[0], Row(row, content.sizes)

    def _value(self, digest: bytes, value: Row | KeysValues | None) -> int:
        known = self._values.get(digest)
        if known is not None and (value is None or known > 0):
            return abs(known)
        identity, has_tensors = self._stored(digest) if known is None else (-known, False)
        if not identity:
            identity = self._last_value = self._last_value + 1
            parts = (None, None, None) if value is None else self._cut(value)
            self._database.execute("INSERT INTO value VALUES (?, ?, ?, ?, ?)", (identity, digest, *parts))
        elif value is not None and not has_tensors:
            self._database.execute(
                "UPDATE value SET layout = ?, sizes = ?, chunks = ? WHERE id = ?", (*self._cut(value), identity)
            )
        # The sign remembers whether the tensors are stored too.
        _remember(self._values, digest, -identity if value is None and not has_tensors else identity)
        return identity

    def _stored(self, digest: bytes) -> tuple[int, bool]:
        """The value of that fingerprint, of those that may be forgotten here; 0 where there is none."""
        if len(self._values) == self._last_value:
            return 0, False
        query = "SELECT id, layout IS NOT NULL FROM value WHERE fingerprint = ?"
        row: tuple[int, bool] | None = self._database.execute(query, (digest,)).fetchone()
        return row or (0, False)

    def _cut(self, value: Row | KeysValues) -> tuple[int, str, bytes]:
        if isinstance(value, Row):
            row, sizes = value
            by_token = row.dim() == 5  # noqa: PLR2004  [2L, N, H, T, D]
            dtypes, shapes = (row.dtype,) * len(row), (row.shape[1:],) * len(row)
            parts = raw_bytes(row.permute(3, 0, 1, 2, 4)) if by_token else raw_bytes(row)
        else:
            tensors, sizes = read(value)
            by_token = False
            dtypes, shapes = tuple([t.dtype for t in tensors]), tuple([t.shape for t in tensors])
            parts = [raw_bytes(tensor) for tensor in tensors]
        addresses = np.array([self._address(part) for part in parts], dtype="<i8").tobytes()
        kind = (dtypes, shapes, by_token)
        layout = self._layouts.get(kind)
        if layout is None:
            layout = self._layouts[kind] = len(self._layouts) + 1
            names = [str(dtype).removeprefix("torch.") for dtype in dtypes]
            description = {"dtypes": names, "shapes": [list(shape) for shape in shapes], "by_token": by_token}
            self._database.execute("INSERT INTO layout VALUES (?, ?)", (layout, json.dumps(description)))
        return layout, _lengths(tuple(sizes)), addresses

    def _address(self, part: Any) -> int:
        """Where the file has a token or a tensor, a C-contiguous array. What is not there is put into a chunk."""
        digest = xxhash.xxh3_128_digest(part)
        address = self._parts.get(digest)
        if address is None:
            chunk = self._open.get(part.nbytes)
            if chunk is None:
                self._last_chunk += 1
                chunk = self._open[part.nbytes] = _Chunk(self._last_chunk)
            address = chunk.number << INDEX_BITS | chunk.parts
            chunk.parts += 1
            chunk.data += part.reshape(-1).view(np.uint8).data
            _remember(self._parts, digest, address)
            if len(chunk.data) >= _CHUNK_BYTES:
                self._write_chunk(part.nbytes)
        return address

    def _write_chunk(self, length: int) -> None:
        chunk = self._open.pop(length)
        row = (chunk.number, digest_of(chunk.data, chunk.number), chunk.data)
        self._database.execute("INSERT INTO chunk VALUES (?, ?, ?)", row)


@dataclass(slots=True)
class _Chunk:
    """Parts of one length, written in a row."""

    number: int
    parts: int = 0
    data: bytearray = field(default_factory=bytearray)


def _remember(known: OrderedDict[bytes, int], digest: bytes, identity: int) -> None:
    if len(known) >= _REMEMBERED:
        known.popitem(last=False)  # a plain dict's front would be searched for behind all that was there before
    known[digest] = identity


@lru_cache(maxsize=1024)
def _lengths(sizes: tuple[Any, ...]) -> str:
    return json.dumps([int(size) for size in sizes])


def _outcome(answer: Answer) -> str:
    if answer.error is not None:
        return f"error {answer.error}"
    if answer.fingerprint is None:
        return "miss"
    return f"hit {answer.source}" if answer.source else "hit"


def _pool(pool: PoolId) -> tuple[str, int | None]:
    return pool.family[0], None if pool.env is None else int(pool.env)


def _signed(key: int) -> int:
    key = int(key)
    if not 0 <= key < 1 << 64:
        raise ValueError(f"key {key} is outside [0, 2**64)")
    return key - (1 << 64) if key >= 1 << 63 else key


def _real(number: float | None) -> float | str | None:
    """SQLite turns a NaN into NULL and -0.0 into 0, but keeps texts that are numbers to Python and none to itself."""
    if number is None:
        return None
    if math.isnan(number):
        return "nan"
    return "-0_0" if number == 0 and math.copysign(1, number) < 0 else float(number)
