"""`KeysValues`, one cache entry; and reading any key/value object by its structure.

Axes: `L` layers, `N` samples (1 in a cache), `H` heads, `T` tokens, `D` head dim.

An entry is, per layer, a K and a V tensor `[N, H, T, D]`, each with a `size`: how many of its `T` tokens are valid.
The tokens past `size` are padding. They may hold anything, and are copied and compared like the rest.

The structure is LightZero's (0.2.0, `lzero/model/unizero_world_models/kv_caching.py`):
`value._keys_values[layer]._k_cache._cache` is the tensor and `._size` the length, `._v_cache` likewise. Any object with
that structure can be read here, whatever its class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from kvparity.errors import NotKeysValuesError

if TYPE_CHECKING:
    from collections.abc import Sequence

_TENSOR, _INT = {torch.Tensor}, {int}


class TokenCache:
    """One tensor of tokens and the number of valid ones: LightZero's `Cache`, with its attribute names.

    Attributes:
        _cache: the tensor `[N, H, T, D]`; a consumer may write into it or replace it.
        _size: valid tokens, `0 <= _size <= T`.
    """

    __slots__ = ("_cache", "_size")

    def __init__(self, cache: torch.Tensor, size: int) -> None:
        self._cache = cache
        self._size = size

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(N, H, size, D)`: as in LightZero, the third number counts only valid tokens."""
        samples, heads, _, head_dim = self._cache.shape
        return samples, heads, self._size, head_dim

    def get(self) -> torch.Tensor:
        """The valid tokens `[N, H, size, D]`, a view."""
        return self._cache[:, :, : self._size, :]

    def update(self, x: torch.Tensor, tokens: int) -> None:
        """Append `tokens` tokens `[N, H, tokens, D]` in place, as the transformer does."""
        self._cache.data[:, :, self._size : self._size + tokens] = x
        self._size += tokens


class LayerCache:
    """The K and the V of one layer: LightZero's `KVCache`."""

    __slots__ = ("_k_cache", "_v_cache")

    def __init__(self, k_cache: TokenCache, v_cache: TokenCache) -> None:
        self._k_cache = k_cache
        self._v_cache = v_cache

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of K, see `TokenCache.shape`."""
        return self._k_cache.shape

    def get(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The valid tokens of K and of V, both views."""
        return self._k_cache.get(), self._v_cache.get()

    def update(self, k: torch.Tensor, v: torch.Tensor) -> None:
        """Append the tokens `k` and `v`, each `[N, H, new, D]`."""
        self._k_cache.update(k, k.size(2))
        self._v_cache.update(v, v.size(2))


class KeysValues:
    """One cache entry, in LightZero's structure, so that a cache written for LightZero takes it unchanged.

    Args:
        tensors: `2 * L` tensors `[N, H, T, D]`: K of layer 0, V of layer 0, K of layer 1, ... They are not copied.
        sizes: `2 * L` valid lengths, in the same order.
        row: one contiguous tensor `[2 * L, N, H, T, D]` whose slices are the tensors, or None. With it, copying and
            fingerprinting are one operation instead of `2 * L`.
    """

    __slots__ = ("__weakref__", "_keys_values", "_octets", "_row", "_slices")

    def __init__(
        self, tensors: Sequence[torch.Tensor], sizes: Sequence[int], *, row: torch.Tensor | None = None
    ) -> None:
        caches = [TokenCache(tensor, size) for tensor, size in zip(tensors, sizes, strict=True)]
        self._keys_values = tuple(LayerCache(k, v) for k, v in zip(caches[::2], caches[1::2], strict=True))
        self._row = row
        self._slices = tuple(tensors) if row is not None else ()
        self._octets: memoryview | None = None  # see `expose`

    @classmethod
    def from_row(cls, row: torch.Tensor, sizes: Sequence[int]) -> KeysValues:
        """An entry whose tensors are views of `row` `[2 * L, N, H, T, D]`; `row` must be contiguous."""
        return cls(row.unbind(0), sizes, row=row)

    @classmethod
    def zeros(
        cls,
        *,
        num_layers: int,
        num_heads: int,
        max_tokens: int,
        head_dim: int,
        num_samples: int = 1,
        size: int = 0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> KeysValues:
        """An entry of zeros, in one row."""
        shape = (2 * num_layers, num_samples, num_heads, max_tokens, head_dim)
        return cls.from_row(torch.zeros(shape, dtype=dtype, device=device), [size] * (2 * num_layers))

    @property
    def size(self) -> int:
        """Valid tokens of the K of layer 0, as LightZero's `size`."""
        return self._keys_values[0]._k_cache._size

    def __len__(self) -> int:
        """The number of layers."""
        return len(self._keys_values)

    def __getitem__(self, layer: int) -> LayerCache:
        return self._keys_values[layer]

    def __getstate__(self) -> tuple[torch.Tensor | None, list[torch.Tensor], list[int]]:
        """The row, or the tensors if they are not its slices; and the sizes.

        Not both: pickling does not keep memory shared, so each slice would contain the whole row again.
        """
        self._octets = None  # a pickle for another process moves the memory (`torch.multiprocessing`)
        row = row_of(self)
        tensors, sizes = read(self)
        return row, tensors if row is None else [], sizes

    def __setstate__(self, state: tuple[torch.Tensor | None, list[torch.Tensor], list[int]]) -> None:
        """Restore as `from_row` does if there is a row; layers and slices are new objects."""
        row, tensors, sizes = state
        KeysValues.__init__(self, tensors if row is None else row.unbind(0), sizes, row=row)

    def clone(self) -> KeysValues:
        """A copy that shares nothing with this entry."""
        return clone(self)

    def __repr__(self) -> str:
        return f"KeysValues({describe(self)})"


def read(value: Any) -> tuple[list[torch.Tensor], list[int]]:
    """The `2 * L` tensors and sizes of any key/value object: K and V of layer 0, of layer 1, ... No copies.

    Raises:
        NotKeysValuesError: `value` has another structure.
    """
    tensors: list[torch.Tensor] = []
    sizes: list[int] = []
    try:
        for layer in value._keys_values:
            k, v = layer._k_cache, layer._v_cache
            tensors += (k._cache, v._cache)
            sizes += (k._size, v._size)
    except (AttributeError, TypeError) as error:
        raise NotKeysValuesError(
            f"{type(value).__name__} is not a key/value cache entry: expected"
            f" ._keys_values[layer]._k_cache._cache and ._size, and ._v_cache likewise ({error})"
        ) from None
    return tensors, sizes


def check(value: Any) -> None:
    """Check the type of everything in `value`, not only its place.

    Raises:
        NotKeysValuesError: `value` has another structure, no layers, or something of a wrong type in it.
    """
    tensors, sizes = read(value)
    if {*map(type, tensors)} == _TENSOR and {*map(type, sizes)} == _INT:
        return
    if not tensors:
        raise NotKeysValuesError(f"{type(value).__name__} is not a key/value cache entry: it has no layers")
    for tensor, size in zip(tensors, sizes, strict=True):
        if not isinstance(tensor, torch.Tensor) or isinstance(size, bool) or not isinstance(size, int):
            raise NotKeysValuesError(
                f"{type(value).__name__} is not a key/value cache entry: expected a tensor and an int as"
                f" _cache and _size, found {type(tensor).__name__} and {type(size).__name__}"
            )


def row_of(value: Any) -> torch.Tensor | None:
    """The contiguous row behind `value`, or None if its tensors are not, or no longer, the slices of a row."""
    if type(value) is not KeysValues or value._row is None:
        return None
    slices = iter(value._slices)
    for layer in value._keys_values:
        if layer._k_cache._cache is not next(slices) or layer._v_cache._cache is not next(slices):
            return None
    return value._row


def expose(value: KeysValues) -> memoryview | None:
    """The memory of the row behind `value` as bytes; None if only torch may write it.

    A copy between two such entries is one memmove, which takes less than half the time of torch's copy at any size.
    """
    row = value._row
    if value._octets is None and row is not None and row.device.type == "cpu" and row.numel():
        if row.is_inference() or row.is_conj() or row.is_neg():
            return None
        octets: Any = row.detach().view(-1).view(torch.uint8).numpy()
        value._octets = memoryview(octets)
    return value._octets


def clone(value: Any) -> KeysValues:
    """A copy of any key/value object as a `KeysValues`; with a row if all tensors have one shape, dtype and device.

    Raises:
        NotKeysValuesError: `value` has another structure, no layers, or something else than tensors in it.
    """
    tensors, sizes = read(value)
    if not tensors or not all([isinstance(tensor, torch.Tensor) for tensor in tensors]):
        check(value)
    first = tensors[0]
    if all(t.shape == first.shape and t.dtype == first.dtype and t.device == first.device for t in tensors):
        row = torch.stack([t.detach() for t in tensors])
        return KeysValues.from_row(row.contiguous(), sizes)  # a stack of channels-last tensors is channels-last
    return KeysValues([t.detach().clone(memory_format=torch.contiguous_format) for t in tensors], sizes)


def copy_into(value: Any, target: KeysValues | None) -> KeysValues:
    """Copy `value` over `target` in place, if the row of `target` fits; otherwise into a new entry.

    The two must not share memory.

    Returns:
        `target`, whose tensors are the slices of its row again; or the new entry.

    Raises:
        NotKeysValuesError: as `clone`.
    """
    tensors, sizes = read(value)
    if target is None or target._row is None or not _overwrite(target._row, target._slices, tensors):
        return clone(value)
    slices, lengths = iter(target._slices), iter(sizes)
    for layer in target._keys_values:
        k, v = layer._k_cache, layer._v_cache
        k._cache, k._size = next(slices), next(lengths)
        v._cache, v._size = next(slices), next(lengths)
    return target


def _overwrite(row: torch.Tensor, slices: tuple[torch.Tensor, ...], tensors: list[torch.Tensor]) -> bool:
    """Copy `tensors` over `row`, which has these slices; False, and nothing changed, if they do not fit."""
    dtype = row.dtype
    for tensor in tensors:
        if getattr(tensor, "dtype", None) is not dtype:  # torch would cast; an object without a dtype is no tensor
            return False
    return stack_over(row, slices, tensors)


def stack_over(row: torch.Tensor, slices: tuple[torch.Tensor, ...], tensors: list[torch.Tensor]) -> bool:
    """Copy `tensors`, of the dtype of `row`, over it; False, and nothing changed, if their shapes do not fit."""
    first = slices[0]
    if len(tensors) != len(slices) or tensors[0].shape != first.shape or tensors[0].device != first.device:
        return False
    if torch.is_grad_enabled():
        tensors = [tensor.detach() for tensor in tensors]
    try:
        torch.stack(tensors, out=row)
    except RuntimeError:  # several shapes or devices, or a row made in inference mode; torch refuses before it writes
        return False
    return True


def write_token(cache: TokenCache, fill: float) -> None:
    """Append one token filled with `fill` in place, as a consumer does; overwrite the first one if there is no room.

    A tensor with `T = 0` is left alone.
    """
    tensor, size = cache._cache, cache._size
    tokens = tensor.shape[2]
    if not tokens:
        return
    tensor.detach().select(2, size % tokens).fill_(fill)
    cache._size = size % tokens + 1


def device_of(value: Any) -> torch.device | None:
    """The device of all tensors of the value; None if they are on several."""
    device: torch.device = value._keys_values[0]._k_cache._cache.device
    same = [x._k_cache._cache.device == device == x._v_cache._cache.device for x in value._keys_values]
    return device if all(same) else None


def describe(value: Any) -> str:
    """One line for people: `2 layers, [1, 2, 8, 32] float32, size 5`."""
    tensors, sizes = read(value)
    kinds = dict.fromkeys(f"{list(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in tensors)
    lengths = dict.fromkeys(str(size) for size in sizes)
    layers = len(tensors) // 2
    return f"{layers} layer{'s' * (layers != 1)}, {' / '.join(kinds)}, size {' / '.join(lengths)}"


def size_bytes(value: Any) -> int:
    """Bytes of all tensors, padding included."""
    return sum(tensor.nbytes for tensor in read(value)[0])


def kind_of(value: Any) -> str:
    """Layers, shapes, dtypes: `2 layers, [1, 2, 8, 32] float32`; and the device if it is not the CPU."""
    tensors, _ = read(value)
    kinds = dict.fromkeys(
        f"{list(t.shape)} {str(t.dtype).removeprefix('torch.')}{'' if t.device.type == 'cpu' else f' on {t.device}'}"
        for t in tensors
    )
    layers = len(tensors) // 2
    return f"{layers} layer{'s' * (layers != 1)}, {' / '.join(kinds)}"
