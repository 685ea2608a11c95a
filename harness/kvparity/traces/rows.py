"""How recorded operations become rows of a `.kvtrace` file: each value once, cut into parts, each part once."""

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
_CHUNK_BYTES = 1 << 20  # of a full chunk: even parts of one byte do not run out of indices


class Row(NamedTuple):
    """A copy of an entry with equal tensors, as one row: making a `KeysValues` of it would take longer than the copy.

    Attributes:
        row: `[2 * L, N, H, T, D]`.
        sizes: the `2 * L` valid lengths.
    """

    row: torch.Tensor
    sizes: Sequence[int]


class Copies:
    """Copies values into rows that are reused.

    Writing into new memory takes several times as long as writing into memory that the process has written before. One
    thread may copy while another gives back.
    """

    def __init__(self) -> None:
        self._spare: list[torch.Tensor] = []  # `append` and `pop` are atomic

    def of(self, value: Any) -> Row | KeysValues:
        """A copy of `value`, as one row if its tensors have one shape, dtype and device."""
        tensors, sizes = read(value)
        dtype = getattr(tensors[0], "dtype", None) if tensors else None
        for tensor in tensors:
            if getattr(tensor, "dtype", None) is not dtype:  # torch would cast
                return clone(value)
        try:
            row = torch.stack(tensors, out=self._spare_like(tensors))
        except (RuntimeError, TypeError):  # no tensors, several shapes or devices, or a gradient to record
            return clone(value)
        return Row(row.detach() if row.requires_grad else row, sizes)

    def give_back(self, row: torch.Tensor) -> None:
        """Take back a copy that nobody reads any more."""
        if row.is_cpu:
            self._spare.append(row)

    def _spare_like(self, tensors: list[torch.Tensor]) -> torch.Tensor | None:
        if not (self._spare and tensors):
            return None
        spare, first = self._spare.pop(), tensors[0]
        fits = spare.dtype is first.dtype and len(spare) == len(tensors) and spare.shape[1:] == first.shape
        return spare if fits and isinstance(first, torch.Tensor) and first.is_cpu else None


class Store:
    """Writes operations as rows. It runs in the writing thread.

    Its Python code makes the recorded program wait, since only one thread runs Python at a time. So it is short, and
    does nothing twice.
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
        self._scratch = torch.empty(0)

    def add(self, item: tuple[Any, ...]) -> None:
        """Add a stream or an operation, as `TraceWriter` puts it into its queue."""
        if item[0] == "stream":
            self._database.execute("INSERT INTO stream VALUES (?, ?, ?)", item[1:])
            return
        _, number, stream, operation, content, answer = item
        self._operations.append((number, stream, *self._columns(operation, content, answer)))
        if isinstance(content, Row):
            self._copies.give_back(content.row)

    def finish_batch(self) -> None:
        """Write everything that is not written yet, also chunks that are not full: rows in the file refer to them."""
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
        """The fingerprint of the value that was set, and its tensors if they are stored."""
        if isinstance(content, bytes):
            return content, None
        if isinstance(content, KeysValues):
            return fingerprint(content), content
        row = content.row.cpu()
        if row.dtype is self._scratch.dtype and row.shape == self._scratch.shape:
            self._scratch.copy_(row)  # looking at the same row each time is so fast that the copy pays
        else:
            self._scratch = row.clone()
        return self._fingerprints.look_at_row(self._scratch, content.sizes)[0], Row(row, content.sizes)

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
        # A positive number: the tensors are stored, too.
        _remember(self._values, digest, -identity if value is None and not has_tensors else identity)
        return identity

    def _stored(self, digest: bytes) -> tuple[int, bool]:
        """The id of the value with that fingerprint, 0 if it is new, and whether its tensors are stored."""
        if len(self._values) == self._last_value:  # nothing was forgotten
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
        """The address of a part, a C-contiguous array. A new part is put into a chunk."""
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
    """Parts of one length, written one after the other."""

    number: int
    parts: int = 0
    data: bytearray = field(default_factory=bytearray)


def _remember(known: OrderedDict[bytes, int], digest: bytes, identity: int) -> None:
    if len(known) >= _REMEMBERED:
        known.popitem(last=False)  # a plain dict would search for its first item past all removed ones
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
    """A number for SQLite, which would turn a NaN into NULL and -0.0 into 0: these become texts that Python reads."""
    if number is None:
        return None
    if math.isnan(number):
        return "nan"
    return "-0_0" if number == 0 and math.copysign(1, number) < 0 else float(number)
