"""What a set and a lookup consist of: each part alone in a loop, with everything in the processor's caches.

Microseconds, the least of many loops, because disturbances only ever add time. An entry has four tensors. Those that
are set lie apart, as a producer's do; those of a slot are the slices of one row.

Example:
    python benchmarks/lines/parts.py
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
import xxhash
from entries import LARGE, SMALL, Producer

from kvparity.operations import RECUR
from kvparity.values.entry import clone, expose, read
from kvparity.values.fingerprints import HostFingerprints
from kvparity_legacy.evicting import EvictingRing
from kvparity_refactored.pool import KVCachePool
from kvparity_refactored.slots import Slot

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMES, _LOOPS, _SLOTS = 1_000, 60, 50


def least(work: Callable[[], object]) -> float:
    """Microseconds of `work`, the least of many loops."""
    taken = []
    for _ in range(_LOOPS):
        began = time.thread_time()
        for _ in range(_TIMES):
            work()
        taken.append((time.thread_time() - began) / _TIMES * 1e6)
    return min(taken)


def parts(entry: str) -> dict[str, float]:
    """Microseconds of each part, for entries of one size."""
    value, (tensors, _) = Producer(entry).value, read(Producer(entry).value)
    row, other = clone(value), clone(value)
    whole, slot, look = row._row, Slot(), HostFingerprints().look
    assert whole is not None
    assert other._row is not None
    octets, others, source = expose(row), expose(other), other._row
    assert octets is not None
    assert others is not None
    slot.store(value)
    dtype, (start, end) = whole.dtype, (whole.data_ptr(), whole.data_ptr() + whole.nbytes)
    ring, pool, keys = EvictingRing(RECUR, _SLOTS), KVCachePool(_SLOTS), iter(range(10**9))

    def checked() -> bool:
        return any([tensor.dtype is not dtype or start <= tensor.data_ptr() < end for tensor in tensors])

    def memmove() -> None:
        octets[:] = others

    for seen in (value, row) * 3:  # an entry that is hashed again gets a view of its memory
        look(seen)
    return {
        "the original's set": least(lambda: ring.set(next(keys), value)),
        "the refactored pool's set": least(lambda: pool.set(next(keys), value)),
        "of that, what its slot does": least(lambda: slot.store(value)),
        "torch.stack(out=row)": least(lambda: torch.stack(tensors, out=whole)),
        "read": least(lambda: read(value)),
        "dtype and address of each tensor": least(checked),
        "a row copied by torch": least(lambda: whole.copy_(source)),
        "a row copied by one memmove": least(memmove),
        "xxh3-128 of a row": least(lambda: xxhash.xxh3_128_digest(octets)),
        "a fingerprint, tensors apart": least(lambda: look(value)),
        "a fingerprint, one row": least(lambda: look(row)),
    }


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    with torch.no_grad():
        small, large = parts(SMALL), parts(LARGE)
    print(f"{'us':<34}{SMALL:>8}{LARGE:>8}")
    for name, taken in small.items():
        print(f"{name:<34}{taken:>8.2f}{large[name]:>8.2f}")


if __name__ == "__main__":
    main()
