"""Checksums of tensors, computed on the device of the tensors: nothing is read back, and the CPU does not wait.

A checksum is two sums, modulo 2^64, of all 32-bit words of a tensor, each word times a weight of its own. The weights
are random and odd. So a difference in one word always changes the sums, and two tensors that differ in several words
have equal sums once in 2^64. A plain sum, or an exclusive or, would not notice that two words were swapped. With equal
weights the sign bits of two numbers, both flipped, would cancel out.
"""

from __future__ import annotations

import torch

_SEED = 0x6B767072
_BLOCK = 1 << 16  # words with weights of their own; longer tensors are summed block by block
_STEP = -7046029254386353131  # 2^64 divided by the golden ratio, odd: its powers spread well over all numbers
_WORD_BYTES = 4

_WEIGHTS: dict[torch.device, torch.Tensor] = {}


def checksums(rows: torch.Tensor, out: torch.Tensor) -> None:
    """Write the checksum of each of `rows` `[k, ...]`, any dtype, into `out` `[k, 2]` int64 on the same device."""
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
    """The bytes of `rows` as `[k, words]` int32; the last word of each row is filled up with zeros."""
    rows = rows.detach().resolve_conj().resolve_neg().contiguous()
    octets = rows.reshape(len(rows), rows[0].numel()).view(torch.uint8)
    missing = -octets.shape[1] % _WORD_BYTES
    if missing:
        octets = torch.nn.functional.pad(octets, (0, missing))
    elif octets.storage_offset() % _WORD_BYTES:
        octets = octets.clone()
    return octets.view(torch.int32)


def _weights(device: torch.device) -> torch.Tensor:
    """`[2, _BLOCK]` odd int64, the same on every device. Their own generator leaves the run's random state alone."""
    weights = _WEIGHTS.get(device)
    if weights is None:
        with torch.inference_mode(mode=False):
            generator = torch.Generator().manual_seed(_SEED)
            drawn = torch.randint(
                -(1 << 63), (1 << 63) - 1, (2, _BLOCK), dtype=torch.int64, device="cpu", generator=generator
            )
            weights = _WEIGHTS[device] = (drawn | 1).to(device)
    return weights
