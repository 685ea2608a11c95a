"""Fingerprints of entries on a GPU: they stay there and are read in batches, one transfer for hundreds of lookups."""

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
    """What takes fingerprints of entries on `device`; None stands for several devices."""
    return DeviceFingerprints(device) if device is not None and device.type == "cuda" else HostFingerprints()


class Pending:
    """The fingerprint of an entry on a device, before and after its batch is read.

    Shapes, dtypes and devices are known at once, the checksums once the batch is read. `compare` accepts it as an
    entry, with a `Remembered` in the place of each tensor.

    Args:
        tensors: the `2 * L` tensors `[N, H, T, D]` of the entry; they are not kept.
        sizes: the `2 * L` valid lengths.
        places: for each tensor the index of its checksum in the batch, or the checksum itself if it is known.
    """

    __slots__ = ("_checksums", "_kinds", "_sizes")

    def __init__(self, tensors: list[torch.Tensor], sizes: Sequence[int], places: list[int | bytes]) -> None:
        self._kinds = [(tensor.dtype, tensor.shape, tensor.device) for tensor in tensors]
        self._sizes = tuple(sizes)
        self._checksums = places

    def read(self, batch: bytes) -> None:
        """Take the checksums out of `batch`."""
        self._checksums = [
            batch[place * _CHECKSUM_BYTES : (place + 1) * _CHECKSUM_BYTES] if isinstance(place, int) else place
            for place in self._checksums
        ]

    @property
    def fingerprint(self) -> bytes:
        """16 bytes: xxh3-128 over dtype, shape and size of each tensor and all checksums. Call `read` before."""
        dtypes, shapes, _ = zip(*self._kinds, strict=True)
        digest = xxhash.xxh3_128(headers(dtypes, shapes)[self._sizes])
        for checksum in self._checksums:
            assert isinstance(checksum, bytes)
            digest.update(checksum)
        return digest.digest()

    @property
    def _keys_values(self) -> Any:
        """The structure that `compare` reads. Call `read` before."""
        remembered = [
            Remembered(shape=shape, dtype=dtype, device=device, checksum=cast("bytes", checksum))
            for (dtype, shape, device), checksum in zip(self._kinds, self._checksums, strict=True)
        ]
        return KeysValues(cast("list[torch.Tensor]", remembered), self._sizes)._keys_values


class DeviceFingerprints:
    """Takes fingerprints on a device and reads them in batches; until then each is a `Pending`.

    Args:
        device: where entries are expected. Tensors elsewhere get the same checksum from the CPU at once.
        batch: how many fingerprints are read at once.

    Attributes:
        pending: fingerprints that were not read yet.
    """

    def __init__(self, device: torch.device, *, batch: int = BATCH) -> None:
        self.pending: list[Pending] = []
        self.batch = batch
        self._device = device
        self._buffer = _empty(0, _CPU)
        self._used = 0

    def look(self, value: Any) -> Look:
        """See `Fingerprints`; the fingerprint is a `Pending`."""
        tensors, sizes = read(value)
        here = [tensor for tensor in tensors if tensor.device == self._device]
        with torch.no_grad():
            if len(here) == len(tensors) and len({(tensor.dtype, tensor.shape) for tensor in tensors}) == 1:
                return self._seen(tensors, sizes, [torch.stack(tensors)])
            return self._seen(tensors, sizes, [tensor[None] for tensor in tensors])

    def look_at_row(self, row: torch.Tensor, sizes: Sequence[int]) -> Look:
        """See `Fingerprints`; the fingerprint is a `Pending`."""
        with torch.no_grad():
            return self._seen(list(row.unbind(0)), sizes, [row])

    def read(self) -> None:
        """Read all pending fingerprints. Only here the CPU waits for the device."""
        pending, self.pending = self.pending, []
        used, self._used = self._used, 0
        if not pending:
            return
        batch = self._fetch(self._buffer[:used]) if used else b""
        for each in pending:
            each.read(batch)

    # ------------------------------------------------------------------ inside

    def _seen(self, tensors: list[torch.Tensor], sizes: Sequence[int], rows: list[torch.Tensor]) -> Look:
        """Take the checksums of `rows`, each `[k, N, H, T, D]`; together they are the tensors of an entry."""
        if not tensors:
            raise ValueError("an entry with no layers has no fingerprint")
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
        # The queue of examinations replaces it by bytes before anything reads it.
        return cast("bytes", pending), devices.pop() if len(devices) == 1 else None

    def _make_room(self, tensors: int) -> None:
        """Make room for so many checksums: an entry may have more layers than all before it."""
        if self._used + tensors > len(self._buffer):
            self.read()
            self._buffer = _empty(max(len(self._buffer), 2 * self.batch * tensors), self._device)

    def _fetch(self, checksums: torch.Tensor) -> bytes:
        """The bytes of `checksums` `[tensors, 2]` int64, in one transfer."""
        if checksums.is_cuda:
            torch.cuda.synchronize(checksums.device)  # several streams may have computed them
        return checksums.to("cpu", copy=True).numpy().tobytes()


def _empty(tensors: int, device: torch.device) -> torch.Tensor:
    with torch.inference_mode(mode=False):
        return torch.empty(tensors, _CHECKSUM, dtype=torch.int64, device=device)


def _checksums_on_the_cpu(row: torch.Tensor) -> list[bytes]:
    array = torch.from_numpy(raw_bytes(row)).reshape(row.shape)
    out = _empty(len(row), _CPU)
    checksums(array, out)
    return [each.tobytes() for each in out.numpy()]
