"""Fingerprints of entries on a GPU: they stay there, and are read in batches, one transfer for hundreds of lookups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
import xxhash

from kvparity.values.checksums import checksums
from kvparity.values.difference import Remembered
from kvparity.values.entry import KeysValues, read
from kvparity.values.fingerprints import Fingerprints, HostFingerprints, headers, raw_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kvparity.values.fingerprints import Look


BATCH = 256  # fingerprints


_CHECKSUM = 2  # int64 words


_CHECKSUM_BYTES = 16


_CPU = torch.device("cpu")


def fingerprints_for(device: torch.device | None) -> Fingerprints:
    """What takes fingerprints of entries on that device."""
    return DeviceFingerprints(device) if device is not None and device.type == "cuda" else HostFingerprints()


class Pending:
    """An entry that was looked at on its device: what it is like is known, its fingerprint when the batch is read.

    It has the structure of an entry, as far as `compare` reads it; what is left of a tensor there is `Remembered`.

    Args:
        tensors: of the entry.
        sizes: valid lengths.
        places: of each tensor, where in the batch its checksum is; or the checksum, where that is known.
    """

    __slots__ = ("_checksums", "_kinds", "_sizes")

    def __init__(self, tensors: list[torch.Tensor], sizes: Sequence[int], places: list[int | bytes]) -> None:
        self._kinds = [(tensor.dtype, tensor.shape, tensor.device) for tensor in tensors]
        self._sizes = tuple(sizes)
        self._checksums = places

    def read(self, batch: bytes) -> None:
        """Take the checksums out of a batch that was read."""
        self._checksums = [
            batch[place * _CHECKSUM_BYTES : (place + 1) * _CHECKSUM_BYTES] if isinstance(place, int) else place
            for place in self._checksums
        ]

    @property
    def fingerprint(self) -> bytes:
        """16 bytes: xxh3-128 over dtype, shape and size of each tensor and all checksums. After `read` only."""
        dtypes, shapes, _ = zip(*self._kinds, strict=True)
        digest = xxhash.xxh3_128(headers(dtypes, shapes)[self._sizes])
        for checksum in self._checksums:
            assert isinstance(checksum, bytes)
            digest.update(checksum)
        return digest.digest()

    @property
    def _keys_values(self) -> Any:
        """After `read` only."""
        remembered = [
            Remembered(shape=shape, dtype=dtype, device=device, checksum=cast("bytes", checksum))
            for (dtype, shape, device), checksum in zip(self._kinds, self._checksums, strict=True)
        ]
        return KeysValues(cast("list[torch.Tensor]", remembered), self._sizes)._keys_values


class DeviceFingerprints:
    """Takes fingerprints on a device, and reads them in batches. `Pending` stands for each until then.

    Args:
        device: where entries are. One that is not there is hashed on the CPU, to the same fingerprint, at once.
        batch: how many fingerprints are read at once.

    Attributes:
        pending: fingerprints that are yet to be read.
    """

    def __init__(self, device: torch.device, *, batch: int = BATCH) -> None:
        self.pending: list[Pending] = []
        self.batch = batch
        self._device = device
        self._buffer = _empty(0, _CPU)
        self._used = 0

    def look(self, value: Any) -> Look:
        """See `Fingerprints`: what comes is `Pending`."""
        tensors, sizes = read(value)
        here = [tensor for tensor in tensors if tensor.device == self._device]
        with torch.no_grad():
            if len(here) == len(tensors) and len({(tensor.dtype, tensor.shape) for tensor in tensors}) == 1:
                return self._seen(tensors, sizes, [torch.stack(tensors)])
            return self._seen(tensors, sizes, [tensor[None] for tensor in tensors])

    def look_at_row(self, row: torch.Tensor, sizes: Sequence[int]) -> Look:
        """See `Fingerprints`: what comes is `Pending`."""
        with torch.no_grad():
            return self._seen(list(row.unbind(0)), sizes, [row])

    def read(self) -> None:
        """Read what is pending: the one moment at which the CPU waits for the device."""
        pending, self.pending = self.pending, []
        used, self._used = self._used, 0
        if not pending:
            return
        batch = self._fetch(self._buffer[:used]) if used else b""
        for each in pending:
            each.read(batch)

    # ------------------------------------------------------------------ inside

    def _seen(self, tensors: list[torch.Tensor], sizes: Sequence[int], rows: list[torch.Tensor]) -> Look:
        """Take the checksums of `rows`, each `[k, N, H, T, D]`, which are the tensors of an entry."""
        if not tensors:
            raise ValueError("an entry of no layers has no fingerprint")
        self._make_room(len(tensors))
        places: list[int | bytes] = []
        for row in rows:
            if row.device == self._device:
                places += range(self._used, self._used + len(row))
                checksums(row, self._buffer[self._used : self._used + len(row)])
                self._used += len(row)
            else:
                places += _checksums_on_the_cpu(row)
        pending = Pending(tensors, sizes, places)
        self.pending.append(pending)
        devices = {tensor.device for tensor in tensors}
        # Nobody looks into a fingerprint before the docket has put the bytes in its place.
        return cast("bytes", pending), devices.pop() if len(devices) == 1 else None

    def _make_room(self, tensors: int) -> None:
        """For the checksums of so many; entries may come that have more layers than those before them."""
        if self._used + tensors > len(self._buffer):
            self.read()
            self._buffer = _empty(max(len(self._buffer), 2 * self.batch * tensors), self._device)

    def _fetch(self, checksums: torch.Tensor) -> bytes:
        """Bring the checksums `[tensors, 2]` int64 over, in one transfer."""
        if checksums.is_cuda:
            torch.cuda.synchronize(checksums.device)  # they may have been taken on several streams
        return checksums.to("cpu", copy=True).numpy().tobytes()


def _empty(tensors: int, device: torch.device) -> torch.Tensor:
    with torch.inference_mode(mode=False):
        return torch.empty(tensors, _CHECKSUM, dtype=torch.int64, device=device)


def _checksums_on_the_cpu(row: torch.Tensor) -> list[bytes]:
    array = torch.from_numpy(raw_bytes(row)).reshape(row.shape)
    out = _empty(len(row), _CPU)
    checksums(array, out)
    return [each.tobytes() for each in out.numpy()]
