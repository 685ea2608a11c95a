"""Checksums of tensors, taken on the device that the tensors are on: nothing is read back, and nobody waits.

A checksum is two sums, modulo 2^64, of all 32-bit words of a tensor, each word times a weight of its own. With random
weights a difference in one word always shows, whatever else is equal, and two tensors that differ in several have the
same two sums once in 2^64. A plain sum would not see that words changed places, an exclusive or would not see it
either, and with equal weights the sign bits of two numbers, flipped together, would cancel out.
"""

from __future__ import annotations

import torch

_SEED = 0x6B767072
_BLOCK = 1 << 16  # words that have weights of their own; what is longer is summed block by block
_STEP = -7046029254386353131  # an odd number, as different from its own powers as can be: 2^64 by the golden ratio
_WORD_BYTES = 4

_WEIGHTS: dict[torch.device, torch.Tensor] = {}


def checksums(rows: torch.Tensor, out: torch.Tensor) -> None:
    """The checksum of each of `rows` `[k, ...]`, of any dtype, into `out` `[k, 2]` int64 on the same device."""
    if not rows.numel():
        out.zero_()
        return
    words = _words(rows)
    weights = _weights(rows.device)
    for start in range(0, words.shape[1], _BLOCK):
        block = words[:, None, start : start + _BLOCK]
        products = block * weights[:, : block.shape[2]]  # [k, 2, words] int64: four times the size of the block
        if start == 0:
            torch.sum(products, dim=2, out=out)
        else:
            out.mul_(_STEP).add_(products.sum(dim=2))


def _words(rows: torch.Tensor) -> torch.Tensor:
    """`[k, words]` int32 of what is in `rows`; the last word of each filled up with zeros."""
    rows = rows.detach().resolve_conj().resolve_neg().contiguous()
    octets = rows.reshape(len(rows), rows[0].numel()).view(torch.uint8)
    missing = -octets.shape[1] % _WORD_BYTES
    if missing:
        octets = torch.nn.functional.pad(octets, (0, missing))
    elif octets.storage_offset() % _WORD_BYTES:
        octets = octets.clone()
    return octets.view(torch.int32)


def _weights(device: torch.device) -> torch.Tensor:
    """`[2, _BLOCK]` odd int64, the same on every device; of a generator of their own, not of the run's random state."""
    weights = _WEIGHTS.get(device)
    if weights is None:
        with torch.inference_mode(mode=False):
            generator = torch.Generator().manual_seed(_SEED)
            drawn = torch.randint(
                -(1 << 63), (1 << 63) - 1, (2, _BLOCK), dtype=torch.int64, device="cpu", generator=generator
            )
            weights = _WEIGHTS[device] = (drawn | 1).to(device)
    return weights
