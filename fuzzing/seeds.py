"""The first inputs of each target: valid ones, as small as possible. `python fuzzing/seeds.py` writes them."""

from __future__ import annotations

import json
import sqlite3
import struct
import tempfile
from contextlib import closing
from pathlib import Path

import torch
from readers import CORPUS

from kvparity.caches.protocol import CacheSpec
from kvparity.driving.comparison import Comparison
from kvparity.operations import ALL, RECUR, Checkout, Clear, Get, Set, Write, init
from kvparity.traces.reader import Answer, Trace
from kvparity.traces.writer import TraceWriter
from kvparity.values.entry import KeysValues
from kvparity.values.fingerprints import fingerprint

_SETTINGS = """\
[[known]]
pattern = "presence init[3]: *"
side = "reference"
reason = "seen, and accepted"
until = 2030-01-01
corruption = false

[shadow]
candidate = "refactored-lru"
compare-every = 4
max-share = 0.1

[verdict]
require = ["corruption", "speed"]
time-ratio = 1.1
operations = 500
"""


def main() -> None:
    """Write them all."""
    with tempfile.TemporaryDirectory() as folder:
        for tensors in ("full", "fingerprint"):
            whole = _trace(Path(folder) / f"{tensors}.kvtrace", tensors)
            (CORPUS / "trace" / tensors).write_bytes(whole.read_bytes())
        with Trace(Path(folder) / "full.kvtrace") as trace:
            result = Comparison("legacy-released", "refactored-fifo").trace(trace, workload="t")
        (CORPUS / "result" / "replay").write_text(json.dumps(result.as_dict()))
    (CORPUS / "settings" / "all").write_text(_SETTINGS)
    for at, (table, column, row, kind, value) in enumerate(_changes()):
        (CORPUS / "rows" / f"change-{at}").write_bytes(bytes([table, column, row, kind, len(value)]) + value)


def _trace(path: Path, tensors: str) -> Path:
    value = KeysValues.from_row(torch.arange(16.0).reshape(2, 1, 1, 4, 2), [2, 2])
    other = KeysValues([torch.ones(1, 1, 2, 2), torch.ones(1, 1, 3, 2)], [1, 2])
    spec = CacheSpec(env_num=2, init_pool_size=2, num_simulations=2)
    with TraceWriter(path, served_by="seed", seed=7, tensors="full" if tensors == "full" else "fingerprint") as writer:
        writer._header.versions.clear()
        stream = writer.stream("only", spec)
        for key in range(6):
            writer.record(stream, Set(pool=init(key % 2), key=key, value=value if key % 2 else other))
            writer.record(stream, Set(pool=RECUR, key=key, value=other, priority=0.5))
            writer.record(stream, Get(pool=init(0), key=key), Answer(fingerprint=fingerprint(value)))
            writer.record(stream, Checkout(env=1, key=key), Answer())
            writer.record(stream, Write(env=1, fill=2.5))
        writer.record(stream, Get(pool=RECUR, key=99), Answer(error="KeyError"))
        writer.record(stream, Clear(pool=ALL))
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA page_size = 512")
        database.execute("VACUUM")
    return path


def _changes() -> list[tuple[int, int, int, int, bytes]]:
    layout = {"dtypes": ["float32"] * 2, "shapes": [[1, 1, 4, 2]] * 2, "by_token": True}
    return [
        (0, 1, 0, 3, b"true"),
        (1, 2, 0, 3, b'{"env_num": 3}'),
        (2, 1, 0, 3, json.dumps(layout).encode()),
        (2, 1, 1, 3, json.dumps({**layout, "by_token": False}).encode()),
        (3, 2, 0, 4, bytes(16)),
        (4, 3, 0, 3, b"[1, 1]"),
        (4, 4, 0, 4, struct.pack("<4q", 1, 2, 3, 4)),
        (5, 2, 3, 3, b"C"),
        (5, 5, 0, 1, struct.pack("<q", -1)),
        (5, 7, 1, 2, struct.pack("<d", float("inf"))),
        (5, 8, 2, 3, b"hit recur"),
    ]


if __name__ == "__main__":
    main()
