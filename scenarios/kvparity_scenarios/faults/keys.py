"""Faults of keys and pools: a lookup uses another key or another pool than the set did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvparity.operations import RECUR, PoolId, init
from kvparity.results.divergence import BEHAVIOUR
from kvparity_scenarios.faults.fault import Fault

if TYPE_CHECKING:
    from kvparity.values.entry import KeysValues
    from kvparity_scenarios.correct_cache import Pool


class KeysLoseUpperHalf(Fault):
    """Uses only the low 32 bits of a key.

    Likely if keys pass through an `int32` array or a C extension.
    """

    methods = ("numeric-edge",)

    def key(self, key: int) -> int:
        """The low 32 bits."""
        return key & 0xFFFF_FFFF


class KeysLoseSign(Fault):
    """Ignores the highest bit of a key.

    Likely if unsigned keys must fit into the signed 64-bit integers of torch or SQLite.
    """

    methods = ("numeric-edge",)

    def key(self, key: int) -> int:
        """The low 63 bits."""
        return key & (2**63 - 1)


class KeysAsFloats(Fault):
    """Stores keys as floating-point numbers, which hold 53 of their 64 bits.

    Likely if keys pass through JSON or a DataFrame.
    """

    methods = ("numeric-edge",)

    def key(self, key: int) -> int:
        """The nearest double."""
        return int(float(key))


class ComparesShortHashes(Fault):
    """Compares only 10 bits of a key.

    Likely in a home-made hash table that stores hashes instead of keys.
    """

    def key(self, key: int) -> int:
        """The number of the bucket."""
        return key % 1024


class UnsignedKeysMiss(Fault):
    """Sets keys as signed and looks them up as unsigned integers, so half of all keys always miss.

    Likely if set and get convert keys in different places.
    """

    severity = BEHAVIOUR

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Convert the key to a signed integer."""
        super().set(pool, key - 2**64 if key >= 2**63 else key, value, priority=priority)


class KeyZeroIsNoKey(Fault):
    """Treats key 0 as no key.

    Likely from `if not key`.
    """

    severity = BEHAVIOUR
    methods = ("numeric-edge",)

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Test whether it is true instead of whether it is None."""
        return super().look_up(pool, key or -1)


class SlotZeroIsNoSlot(Fault):
    """Treats slot 0 as no slot.

    Likely from `if not slot` or `slot or ...` after `dict.get`: LightZero's lookups are written in this way.
    """

    severity = BEHAVIOUR

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Test whether it is true instead of whether it is None."""
        return super().look_up(pool, key if pool.held.get(key) else -1)


class EmptyEntriesMiss(Fault):
    """Misses if an entry has no valid tokens.

    Likely from `if not entry`, which tests the length.
    """

    severity = BEHAVIOUR
    methods = ("numeric-edge",)

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Test whether it is true instead of whether it is None."""
        found = super().look_up(pool, key)
        return found if found is None or found.size else None


class UnknownKeysHitSlotZero(Fault):
    """Returns the entry of slot 0 for a key that it does not hold.

    Likely from `dict.get(key, 0)`: in LightZero 0.2.0 the result is a list index, and None would raise.
    """

    methods = ("numeric-edge", "mcts")

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Slot 0 instead of a miss."""
        found = super().look_up(pool, key)
        return pool.slots[0] if found is None else found


class SharesInitPools(Fault):
    """Uses one init pool for all environments.

    Likely from `[pool] * env_num`, which is the same pool `env_num` times.
    """

    methods = ("revisit",)

    def pool(self, name: PoolId) -> Pool:
        """The init pool of environment 0."""
        return super().pool(init(0) if name.family == "init" and name in self.pools else name)


class MixesInitAndRecur(Fault):
    """Stores the entries of recur in an init pool.

    Likely if one function serves both pools and a flag is wrong.
    """

    methods = ("revisit",)

    def pool(self, name: PoolId) -> Pool:
        """The init pool of environment 0 instead of recur."""
        return super().pool(init(0) if name == RECUR else name)


class ReadsNextEnvironment(Fault):
    """Uses the init pool of the next environment in a checkout.

    Likely from an index that starts at 1. It mostly misses. A latent that environments share gets another's context.
    """

    methods = ("revisit",)

    def checkout(self, env: int, key: int) -> Any | None:
        """Use the next environment."""
        return super().checkout((env + 1) % self.env_num, key)


class PositionForEnvironment(Fault):
    """Uses an environment's position in the batch as its number.

    UniZero's environments finish at different times, and a batch has only the ready ones. If all are ready, it works.
    """

    severity = BEHAVIOUR
    methods = ("async-envs",)

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.position = 0

    def checkout(self, env: int, key: int) -> Any | None:
        """Use the position of the checkout in its batch."""
        env, self.position = self.position, (self.position + 1) % self.env_num
        return super().checkout(env, key)

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Set, which ends a batch of checkouts."""
        self.position = 0
        super().set(pool, key, value, priority=priority)


class CheckoutSkipsInit(Fault):
    """Looks only in recur in a checkout, not in the init pool.

    Likely if the two-level lookup is split into two functions. Then every search starts without its history.
    """

    severity = BEHAVIOUR

    def checkout(self, env: int, key: int) -> Any | None:  # noqa: ARG002 - that is the fault
        """Look in recur only."""
        found = self.look_up(self.pool(RECUR), self.key(key))
        return None if found is None else self.working_copy(found)


class CheckoutSkipsRecur(Fault):
    """Looks only in the init pool in a checkout, not in recur.

    Likely for the same reason.
    """

    severity = BEHAVIOUR

    def checkout(self, env: int, key: int) -> Any | None:
        """Look in the init pool only."""
        found = self.look_up(self.pool(init(env)), self.key(key))
        return None if found is None else self.working_copy(found)


class CheckoutPrefersRecur(Fault):
    """Looks in recur before the init pool in a checkout.

    Likely as an optimisation, because most hits are there. A root that comes again in the tree gets the tree's context.
    """

    severity = BEHAVIOUR
    methods = ("revisit",)

    def checkout(self, env: int, key: int) -> Any | None:
        """Look in recur first."""
        found = self.look_up(self.pool(RECUR), self.key(key))
        if found is None:
            found = self.look_up(self.pool(init(env)), self.key(key))
        return None if found is None else self.working_copy(found)


class PromotesHits(Fault):
    """Copies what a checkout finds in recur into the environment's init pool.

    Likely as an optimisation of a two-level cache. The entry then stays when recur is cleared.
    """

    methods = ("revisit",)

    def checkout(self, env: int, key: int) -> Any | None:
        """Set what recur held."""
        found = self.look_up(self.pool(init(env)), self.key(key))
        if found is None:
            found = self.look_up(self.pool(RECUR), self.key(key))
            if found is not None:
                self.set(init(env), key, found)
        return None if found is None else self.working_copy(found)
