"""A small correct cache, made of steps. A faulty cache overrides one step.

It is written to be read, not to be fast: plain dicts, and under PRIORITY a search through all keys for the lowest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from kvparity.caches.protocol import CacheSpec, PoolStats
from kvparity.operations import RECUR, WM, PoolId, covered, init
from kvparity.values.entry import KeysValues, check, clone, copy_into, size_bytes

if TYPE_CHECKING:
    from types import SimpleNamespace


class Pool:
    """Slots, and which key is in which slot.

    Args:
        slots: the number of slots.

    Attributes:
        slots: the entry in each slot; None before its first use.
        free: the slots without a key; the last one is used next.
        held: key -> slot, in the order in which keys leave (PRIORITY: among keys of equal priority).
        priorities: the priority of each held key.
        hits: lookups that found their key; `misses` lookups that did not; `evictions` keys that were evicted.
    """

    def __init__(self, slots: int) -> None:
        self.slots: list[KeysValues | None] = [None] * slots
        self.free = list(reversed(range(slots)))
        self.held: dict[int, int] = {}
        self.priorities: dict[int, float] = {}
        self.hits = self.misses = self.evictions = 0


class CorrectCache:
    """A correct `kvparity.caches.protocol.Cache`.

    Args:
        config: an init pool has `init_pool_size` slots, recur `num_simulations * env_num`. Without it, `CacheSpec()`'s.
        env_num: the number of environments, and of slots for working copies.

    Attributes:
        eviction: `fifo`, `lru` or `priority`.
    """

    eviction: ClassVar[str] = "fifo"

    def __init__(self, config: SimpleNamespace | None = None, env_num: int = 8) -> None:
        config = CacheSpec(env_num=env_num).config() if config is None else config
        self.env_num = env_num
        self.checkouts = 0
        slots = {"init": config.init_pool_size, "recur": config.num_simulations * env_num, "wm": env_num}
        names = (*(init(env) for env in range(env_num)), RECUR, WM)
        self.pools = {name: Pool(self.slots_of(name, slots[name.family])) for name in names}

    # ------------------------------------------------------------------ what every cache has

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Copy `value` under `key`: into the key's own slot, else a free one, else the slot of an evicted key.

        Raises:
            NotKeysValuesError: `value` is not a key/value object. Nothing has changed.
            ValueError: the pool does not exist.
        """
        check(value)
        held = self.pool(pool)
        slot = self.take_slot(held, self.key(key), priority)
        held.slots[slot] = self.copy(value, held.slots[slot])

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Lend the slot's own object: read only, and valid until the next `set` or `clear` of that pool.

        Raises:
            ValueError: the pool does not exist.
        """
        found = self.look_up(self.pool(pool), self.key(key))
        return None if found is None else self.lend(found)

    def checkout(self, env: int, key: int) -> Any | None:
        """Look in `init[env]`, then in recur; lend a copy, which is the caller's until `env_num` further checkouts.

        Raises:
            ValueError: the environment does not exist.
        """
        found = self.look_up(self.pool(init(env)), self.key(key))
        if found is None:
            found = self.look_up(self.pool(RECUR), self.key(key))
        return None if found is None else self.working_copy(found)

    def clear(self, pool: PoolId) -> None:
        """Forget the keys of `pool`, of every init pool (`ALL_INIT`) or of every pool (`ALL`).

        Raises:
            ValueError: the pool does not exist.
        """
        for each in covered(pool, self.pools):
            self.forget(self.pool(each))

    def stats(self, pool: PoolId) -> PoolStats:
        """What happened in `pool` since the cache was built.

        Raises:
            ValueError: the pool does not exist.
        """
        held = self.pool(pool)
        allocated = sum(size_bytes(value) for value in held.slots if value is not None)
        return PoolStats(
            hits=held.hits,
            misses=held.misses,
            evictions=held.evictions,
            length=len(held.held),
            size_bytes=allocated,
        )

    def strategy(self, pool: PoolId) -> str:  # noqa: ARG002 - one for all pools
        """`fifo`, `lru` or `priority`."""
        return self.eviction

    # ------------------------------------------------------------------ the steps

    def slots_of(self, pool: PoolId, slots: int) -> int:  # noqa: ARG002 - faults use it
        """The number of slots of `pool`, for which the config says `slots`."""
        return slots

    def pool(self, name: PoolId) -> Pool:
        """The pool of that name.

        Raises:
            ValueError: the pool does not exist.
        """
        if name not in self.pools:
            if name.family == "init" and name.env is not None:
                limit = self.env_num
                raise ValueError(
                    f"env_id {name.env} is outside [0, {limit}): this cache was built with env_num={limit}"
                )
            raise ValueError(f"{name} is not a single pool: expected init[env], recur or wm")
        return self.pools[name]

    def key(self, key: int) -> int:
        """The key under which a pool stores `key`."""
        return key

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """What `pool` holds under `key`. Counts the lookup, and notes it under LRU."""
        slot = pool.held.get(key)
        if slot is None:
            pool.misses += 1
            return None
        pool.hits += 1
        self.use(pool, key)
        return pool.slots[slot]

    def use(self, pool: Pool, key: int) -> None:
        """Note that `key` was found or set again."""
        if self.eviction == "lru":
            pool.held[key] = pool.held.pop(key)

    def take_slot(self, pool: Pool, key: int, priority: float | None = None) -> int:
        """The slot of `key` from now on. A priority of None is 0 for a new key, and no change for a held one."""
        slot = pool.held.get(key)
        if slot is None:
            slot = pool.held[key] = self.make_room(pool)
            pool.priorities[key] = 0.0 if priority is None else priority
        else:
            self.use(pool, key)
            if priority is not None:
                pool.priorities[key] = priority
        return slot

    def make_room(self, pool: Pool) -> int:
        """A slot without a key; evicts one if all are used."""
        if pool.free:
            return pool.free.pop()
        key = self.victim(pool)
        pool.evictions += 1
        del pool.priorities[key]
        return pool.held.pop(key)

    def victim(self, pool: Pool) -> int:
        """The key that a full pool evicts next."""
        if self.eviction == "priority":
            return min(pool.held, key=lambda key: pool.priorities[key])
        return next(iter(pool.held))

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """A copy of `value`, in `target` (the slot's old entry) if it fits."""
        return clone(value) if value is target else copy_into(value, target)

    def lend(self, found: KeysValues) -> Any:
        """What a `get` returns for the entry `found`."""
        return found

    def working_copy(self, found: KeysValues) -> Any:
        """A copy of the entry `found`, in the wm pool under a key that no workload uses."""
        self.checkouts += 1
        wm = self.pools[WM]
        slot = self.take_slot(wm, -self.checkouts)
        copied = wm.slots[slot] = copy_into(found, wm.slots[slot])
        return copied

    def forget(self, pool: Pool) -> None:
        """Clear one pool. Slots and statistics stay."""
        pool.held.clear()
        pool.priorities.clear()
        pool.free = list(reversed(range(len(pool.slots))))


class CorrectLru(CorrectCache):
    """A `CorrectCache` under LRU."""

    eviction = "lru"


class CorrectPriority(CorrectCache):
    """A `CorrectCache` under PRIORITY."""

    eviction = "priority"
