"""What both generations share: rings of slots, and a cache made of rings.

Upstream has this code three times in its world model: for the init pools, the recur pool and the working copies. A
ring is a dict `key -> slot`, a list of slots and one write pointer that goes round. A `set` copies the value into the
slot at the pointer; a `get` lends the slot's own object; a `clear` empties the dict only.

Axes: `N` samples, `H` heads, `T` tokens, `D` head dim.
"""

from __future__ import annotations

from typing import Any, ClassVar

from kvparity.caches.protocol import PoolStats
from kvparity.operations import ALL, ALL_INIT, RECUR, WM, PoolId, init
from kvparity.values.entry import KeysValues, size_bytes

_DEFAULT_NUM_SIMULATIONS = 50  # of LightZero 0.2.0, if the config of a world model has none


class Ring:
    """One pool: a dict, slots, a write pointer. Each generation makes a slot ready for a value in its own way.

    Args:
        pool: which pool this is.
        slot_count: the number of slots.

    Attributes:
        hits, misses, evictions: for reports; the original does not count here.
        size_bytes: for reports: bytes of the tensors of every slot that was ever written; `clear` frees none.
    """

    __slots__ = ("_index", "_pointer", "_slots", "evictions", "hits", "misses", "pool", "size_bytes")
    evicts: ClassVar[bool] = True  # whether this generation removes a key when it overwrites the key's slot

    def __init__(self, pool: PoolId, slot_count: int) -> None:
        self.pool = pool
        self._slots: list[KeysValues | None] = [None] * slot_count
        self._index: dict[int, int] = {}
        self._pointer = 0
        self.hits = self.misses = self.evictions = self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._index)

    def get(self, key: int) -> KeysValues | None:
        """Lend the slot's own object, no copy; None on a miss."""
        slot = self._index.get(key)
        if slot is None:
            self.misses += 1
            return None
        self.hits += 1
        return self._slots[slot]

    def set(self, key: int, value: Any) -> None:
        """Copy `value` into the next slot, under `key`."""
        self._index[key] = self._store(value)

    def lend_copy(self, value: Any) -> KeysValues | None:
        """Copy `value` into the next slot, under no key, and lend the slot's object to write into."""
        return self._slots[self._store(value)]

    def clear(self) -> None:
        """Empty the dict; the slots and the pointer stay as they are."""
        self._index.clear()

    def _ready_slot(self, slot: int, value: Any) -> KeysValues:
        """The object in `slot` that `value` is copied into; allocates it if this generation does so now."""
        raise NotImplementedError

    def _allocate(self, slot: int, stored: KeysValues) -> None:
        """Put `stored` into `slot`."""
        earlier = self._slots[slot]
        self.size_bytes += size_bytes(stored) - (0 if earlier is None else size_bytes(earlier))
        self._slots[slot] = stored

    def _store(self, value: Any) -> int:
        slot = self._pointer
        stored = self._ready_slot(slot, value)
        # One copy for each tensor, as upstream: a refactoring is measured against this cost.
        # Quirk: the copy ends with the shorter of the two; further layers stay as they are
        # (test_released_drops_layers_beyond_the_first_values,
        # test_released_keeps_stale_layers_under_a_value_of_fewer).
        # Quirk: outside of no_grad, a source that requires grad makes the slot a part of its graph
        # (test_a_source_that_requires_grad_makes_the_slot_part_of_its_graph).
        for source, target in zip(value._keys_values, stored._keys_values, strict=False):
            target._k_cache._cache.copy_(source._k_cache._cache)
            target._v_cache._cache.copy_(source._v_cache._cache)
            target._k_cache._size = source._k_cache._size
            target._v_cache._size = source._v_cache._size
        # Quirk: a copy that raises halfway has overwritten the first layers, while the old key still points to the slot
        # and the pointer has not moved (test_released_a_failing_set_tears_the_slot_and_moves_nothing).
        self._pointer = (slot + 1) % len(self._slots)
        return slot


class RingCache:
    """A `Cache` of rings: one init ring for each environment, one recur ring, one of working copies.

    Args:
        config: an init ring has `init_pool_size` slots, or without that `game_segment_length`; recur has
            `num_simulations` (50 if absent) times `env_num`.
        env_num: the number of environments, and of slots for working copies.

    Raises:
        ValueError: one of these is not an integer of at least 1.
    """

    _ring_class: ClassVar[type[Ring]]
    _recur_ring_class: ClassVar[type[Ring]]

    def __init__(self, config: Any, env_num: int) -> None:
        self.env_num = _count("env_num", env_num)
        sized_by = "init_pool_size" if hasattr(config, "init_pool_size") else "game_segment_length"
        init_slots = _count(sized_by, getattr(config, sized_by, None))
        simulations = _count("num_simulations", getattr(config, "num_simulations", _DEFAULT_NUM_SIMULATIONS))
        self._init = [self._ring_class(init(env), init_slots) for env in range(env_num)]
        self._recur = self._recur_ring_class(RECUR, simulations * env_num)
        self._wm = self._ring_class(WM, env_num)
        self._rings = {ring.pool: ring for ring in (*self._init, self._recur, self._wm)}

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Copy `value` under `key`; the original has no priorities.

        Raises:
            ValueError: the pool does not exist.
        """
        del priority
        self._ring(pool).set(key, value)

    def get(self, pool: PoolId, key: int) -> KeysValues | None:
        """Lend the slot's own object: read only, and valid until the ring overwrites that slot.

        Raises:
            ValueError: the pool does not exist.
        """
        return self._ring(pool).get(key)

    def checkout(self, env: int, key: int) -> KeysValues | None:
        """Look in `init[env]`, then in recur; lend a copy, which is the caller's until `env_num` further checkouts.

        Raises:
            ValueError: the environment does not exist.
        """
        found = self._ring(init(env)).get(key)
        if found is None:
            found = self._recur.get(key)
            if found is None:
                return None
        return self._wm.lend_copy(found)

    def clear(self, pool: PoolId) -> None:
        """Forget the keys of one pool, of every init pool (`ALL_INIT`) or of every pool (`ALL`).

        Raises:
            ValueError: the pool does not exist.
        """
        if pool == ALL:
            rings = list(self._rings.values())
        elif pool == ALL_INIT:
            rings = self._init
        else:
            rings = [self._ring(pool)]
        for ring in rings:
            ring.clear()

    def stats(self, pool: PoolId) -> PoolStats:
        """What happened in `pool` since the cache was built.

        Raises:
            ValueError: the pool does not exist.
        """
        ring = self._ring(pool)
        return PoolStats(
            hits=ring.hits,
            misses=ring.misses,
            evictions=ring.evictions if ring.evicts else None,
            length=len(ring),
            size_bytes=ring.size_bytes,
        )

    def _ring(self, pool: PoolId) -> Ring:
        try:
            return self._rings[pool]
        except KeyError:
            raise self._no_such(pool) from None

    def _no_such(self, pool: PoolId) -> ValueError:
        if pool.family == "init" and pool.env is not None:
            return ValueError(
                f"env_id {pool.env} is outside [0, {self.env_num}): this cache was built with env_num={self.env_num}"
            )
        return ValueError(f"{pool} is not a single pool: expected init[env], recur or wm")


def _count(name: str, number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {number!r}")
    return number
