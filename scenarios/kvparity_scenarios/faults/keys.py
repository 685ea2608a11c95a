"""Faults of keys and pools: what is looked up is not what was stored, or not where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvparity.operations import RECUR, PoolId, init
from kvparity.results.divergence import BEHAVIOUR
from kvparity_scenarios.faults.fault import Fault

if TYPE_CHECKING:
    from kvparity.values.entry import KeysValues
    from kvparity_scenarios.correct_cache import Pool


class KeysLoseUpperHalf(Fault):
    """Keeps the low 32 bits of a key.

    Likely where keys pass through an `int32` array or a C extension.
    """

    methods = ("numeric-edge",)

    def key(self, key: int) -> int:
        """The lower half."""
        return key & 0xFFFF_FFFF


class KeysLoseSign(Fault):
    """Masks the sign of a key away.

    Likely where unsigned keys have to fit torch's or SQLite's signed 64-bit integers.
    """

    methods = ("numeric-edge",)

    def key(self, key: int) -> int:
        """All but the highest bit."""
        return key & (2**63 - 1)


class KeysAsFloats(Fault):
    """Keeps keys as floating-point numbers, which have 53 bits for 64.

    Likely where keys pass through JSON or a DataFrame.
    """

    methods = ("numeric-edge",)

    def key(self, key: int) -> int:
        """To the nearest double."""
        return int(float(key))


class ComparesShortHashes(Fault):
    """Finds a key by 10 bits of it and does not compare the rest.

    Likely in a hash table of one's own that stores hashes and not keys.
    """

    def key(self, key: int) -> int:
        """The bucket."""
        return key % 1024


class UnsignedKeysMiss(Fault):
    """Stores keys as signed and looks them up as unsigned integers, so half of all keys are never found.

    Likely where set and get convert keys at different places.
    """

    severity = BEHAVIOUR

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Signed."""
        super().set(pool, key - 2**64 if key >= 2**63 else key, value, priority=priority)


class KeyZeroIsNoKey(Fault):
    """Takes key 0 for no key.

    Likely from `if not key`.
    """

    severity = BEHAVIOUR
    methods = ("numeric-edge",)

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Truth instead of identity."""
        return super().look_up(pool, key or -1)


class SlotZeroIsNoSlot(Fault):
    """Takes slot 0 for no slot.

    Likely from `if not slot` or `slot or ...` after `dict.get`: LightZero's lookups are written that way.
    """

    severity = BEHAVIOUR

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Truth instead of identity."""
        return super().look_up(pool, key if pool.held.get(key) else -1)


class EmptyEntriesMiss(Fault):
    """Takes an entry without valid tokens for a miss.

    Likely from `if not entry`, which asks for a length.
    """

    severity = BEHAVIOUR
    methods = ("numeric-edge",)

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """Truth instead of identity."""
        found = super().look_up(pool, key)
        return found if found is None or found.size else None


class UnknownKeysHitSlotZero(Fault):
    """Gives out slot 0 for a key that it does not hold.

    Likely from `dict.get(key, 0)`: released LightZero indexes a list with what it found, and None raises there.
    """

    methods = ("numeric-edge", "mcts")

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        """A default that is a slot."""
        found = super().look_up(pool, key)
        return pool.slots[0] if found is None else found


class SharesInitPools(Fault):
    """Has one init pool for all environments.

    Likely from `[pool] * env_num`, which is one pool `env_num` times.
    """

    methods = ("revisit",)

    def pool(self, name: PoolId) -> Pool:
        """Environment 0's for all."""
        return super().pool(init(0) if name.family == "init" and name in self.pools else name)


class MixesInitAndRecur(Fault):
    """Keeps what a search writes in an init pool.

    Likely where one function serves both pools and a flag goes wrong.
    """

    methods = ("revisit",)

    def pool(self, name: PoolId) -> Pool:
        """Environment 0's init pool is recur."""
        return super().pool(init(0) if name == RECUR else name)


class ReadsNextEnvironment(Fault):
    """Looks a search's keys up in the next environment's init pool.

    Likely from an index that starts at 1. Mostly it misses; a latent that environments share gets another's context.
    """

    methods = ("revisit",)

    def checkout(self, env: int, key: int) -> Any | None:
        """One too far."""
        return super().checkout((env + 1) % self.env_num, key)


class PositionForEnvironment(Fault):
    """Takes an environment's position in the batch for its number.

    UniZero's environments finish at different times, and the ready ones shrink to a batch; with all ready it is right.
    """

    severity = BEHAVIOUR
    methods = ("async-envs",)

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        self.position = 0

    def checkout(self, env: int, key: int) -> Any | None:
        """Counts the checkouts of a batch."""
        env, self.position = self.position, (self.position + 1) % self.env_num
        return super().checkout(env, key)

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """A batch of checkouts ends with the first set."""
        self.position = 0
        super().set(pool, key, value, priority=priority)


class CheckoutSkipsInit(Fault):
    """Looks a search's keys up in recur only.

    Likely where a two-level lookup is split in two functions: every search then starts without its history.
    """

    severity = BEHAVIOUR

    def checkout(self, env: int, key: int) -> Any | None:  # noqa: ARG002 - that is the fault
        """One level."""
        found = self.look_up(self.pool(RECUR), self.key(key))
        return None if found is None else self.working_copy(found)


class CheckoutSkipsRecur(Fault):
    """Looks a search's keys up in the init pool only.

    Likely for the same reason.
    """

    severity = BEHAVIOUR

    def checkout(self, env: int, key: int) -> Any | None:
        """The other level."""
        found = self.look_up(self.pool(init(env)), self.key(key))
        return None if found is None else self.working_copy(found)


class CheckoutPrefersRecur(Fault):
    """Looks in recur first.

    Likely as an optimisation, since most hits are there: a root met again in the tree then gets the tree's context.
    """

    severity = BEHAVIOUR
    methods = ("revisit",)

    def checkout(self, env: int, key: int) -> Any | None:
        """The wrong order."""
        found = self.look_up(self.pool(RECUR), self.key(key))
        if found is None:
            found = self.look_up(self.pool(init(env)), self.key(key))
        return None if found is None else self.working_copy(found)


class PromotesHits(Fault):
    """Stores what a search found in recur in the environment's init pool too.

    Likely as an optimisation of a two-level cache: the init pool then outlives what recur is cleared of.
    """

    methods = ("revisit",)

    def checkout(self, env: int, key: int) -> Any | None:
        """A hit is a set."""
        found = self.look_up(self.pool(init(env)), self.key(key))
        if found is None:
            found = self.look_up(self.pool(RECUR), self.key(key))
            if found is not None:
                self.set(init(env), key, found)
        return None if found is None else self.working_copy(found)
