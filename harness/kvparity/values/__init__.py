"""Values, the entries of a cache: reading any key/value object by its structure, copying it, comparing it.

- `entry`: `KeysValues`, our own entry; reading and copying anything with its structure
- `fingerprints`: 16 bytes that differ if two entries differ, taken on the CPU
- `checksums`, `device_fingerprints`: the same on a GPU, read back in batches
- `difference`: the first difference between two entries, in the words of `torch.testing`
"""
