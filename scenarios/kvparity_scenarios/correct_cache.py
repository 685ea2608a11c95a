"""A small cache that keeps the contract, made of steps that a faulty cache overrides one at a time.

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
    """Slots, and which key is in which.

    Args:
        slots: how many.

    Attributes:
        slots: what each holds; None before its first use.
        free: the slots that hold no key, the next one last.
        held: key -> slot, in the order in which keys leave (PRIORITY: among keys of equal priority).
        priorities: of the keys held.
        hits: lookups that found their key; `misses` those that did not, and `evictions` keys that made room.
    """

    def __init__(self, slots: int) -> None:
        self.slots: list[KeysValues | None] = [None] * slots
        self.free = list(reversed(range(slots)))
        self.held: dict[int, int] = {}
        self.priorities: dict[int, float] = {}
        self.hits = self.misses = self.evictions = 0


class CorrectCache:
    """A `kvparity.caches.protocol.Cache` that is right.

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
        """Copy `value` under `key`: in place where the key is held, else into a free slot or a victim's.

        Raises:
            NotKeysValuesError: `value` is not a key/value object. Nothing has changed.
            ValueError: there is no such pool.
        """
        check(value)
        held = self.pool(pool)
        slot = self.take_slot(held, self.key(key), priority)
        held.slots[slot] = self.copy(value, held.slots[slot])

    def get(self, pool: PoolId, key: int) -> Any | None:
        """Lend the slot's own object: read only, good until the next `set` or `clear` of that pool.

        Raises:
            ValueError: there is no such pool.
        """
        found = self.look_up(self.pool(pool), self.key(key))
        return None if found is None else self.lend(found)

    def checkout(self, env: int, key: int) -> Any | None:
        """Look in `init[env]`, then in recur; lend a copy, the caller's until `env_num` further checkouts.

        Raises:
            ValueError: there is no such environment.
        """
        found = self.look_up(self.pool(init(env)), self.key(key))
        if found is None:
            found = self.look_up(self.pool(RECUR), self.key(key))
        return None if found is None else self.working_copy(found)

    def clear(self, pool: PoolId) -> None:
        """Forget the keys of `pool`, of every init pool (`ALL_INIT`) or of every pool (`ALL`).

        Raises:
            ValueError: there is no such pool.
        """
        for each in covered(pool, self.pools):
            self.forget(self.pool(each))

    def stats(self, pool: PoolId) -> PoolStats:
        """What happened in `pool` since the cache was built.

        Raises:
            ValueError: there is no such pool.
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

    def slots_of(self, pool: PoolId, slots: int) -> int:  # noqa: ARG002 - faults look at it
        """How many slots `pool` gets, of which the config says `slots`."""
        return slots

    def pool(self, name: PoolId) -> Pool:
        """The pool of that name.

        Raises:
            ValueError: there is none.
        """
        if name not in self.pools:
            if name.family == "init" and name.env is not None:
                limit = self.env_num
                raise ValueError(
                    f"env_id {name.env} is outside [0, {limit}): this cache was built with env_num={limit}"
                )
            raise ValueError(f"{name} is not one pool of a cache: expected init[env], recur or wm")
        return self.pools[name]

    def key(self, key: int) -> int:
        """The key that a pool knows `key` by."""
        return key

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """What `pool` holds under `key`; counts, and under LRU is a use."""
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
        """The slot that `key` is in from now on; under PRIORITY None means 0, or what the key already has."""
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
        """A slot that holds no key."""
        if pool.free:
            return pool.free.pop()
        key = self.victim(pool)
        pool.evictions += 1
        del pool.priorities[key]
        return pool.held.pop(key)

    def victim(self, pool: Pool) -> int:
        """The key that leaves a full pool."""
        if self.eviction == "priority":
            return min(pool.held, key=lambda key: pool.priorities[key])
        return next(iter(pool.held))

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """A copy of `value`, in `target` (what the slot held before) where it fits."""
        return clone(value) if value is target else copy_into(value, target)

    def lend(self, found: KeysValues) -> Any:
        """What a `get` gives out for the entry `found`."""
        return found

    def working_copy(self, found: KeysValues) -> Any:
        """A copy of the entry `found` in the wm pool, under a key that no workload uses."""
        self.checkouts += 1
        wm = self.pools[WM]
        slot = self.take_slot(wm, -self.checkouts)
        copied = wm.slots[slot] = copy_into(found, wm.slots[slot])
        return copied

    def forget(self, pool: Pool) -> None:
        """Clear one pool; slots and statistics stay."""
        pool.held.clear()
        pool.priorities.clear()
        pool.free = list(reversed(range(len(pool.slots))))


class CorrectLru(CorrectCache):
    """The same under LRU."""

    eviction = "lru"


class CorrectPriority(CorrectCache):
    """The same under PRIORITY."""

    eviction = "priority"
