"""Why a key was there or not, and whose bytes were returned: the operation behind a divergence, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

    from kvparity.judging.oracle import Contents, Ideal, LastSet, Truth
    from kvparity.judging.side_record import SeenDrop, SideRecord
    from kvparity.operations import PoolId

NO_TRUTH = "what is right is not known: the key was set before watching began, or too long ago"


class Whereabouts(NamedTuple):
    """One side's part in a difference of presence.

    Attributes:
        record: of the side.
        ideal: the pool that follows the side's declared strategy.
        holds: whether the side has the key.
    """

    record: SideRecord
    ideal: Ideal
    holds: bool


def presence(sides: list[Whereabouts], contents: Contents, pool: PoolId, key: int) -> str:
    """Why one side has `key` and the other does not: the sides that left their strategy, or both by design."""
    strayed = [side for side in sides if side.holds != (key in side.ideal)]
    if strayed:
        return "; ".join(_strayed(side, contents, pool, key) for side in strayed)
    return "by design: " + "; ".join(_by_design(side, pool, key) for side in sides)


def wrong_bytes(
    record: SideRecord, truth: Truth, pools: tuple[PoolId, ...], key: int, fingerprint: bytes | None
) -> str:
    """Whose bytes a side returned for `key`, and what was right."""
    whose, source = _whose(truth, pools, key, fingerprint)
    returned = f"{record.name} returned {whose}"
    lasts = [(pool, truth.pools[pool].last_set.get(key)) for pool in pools]
    right = [f"operation {last.number} in {pool}" for pool, last in lasts if last]
    if right:
        return f"{returned}; this key was last set by {' and '.join(right)}"
    clears = [truth.pools[pool].cleared for pool in ((source,) if source else pools)]
    cleared = [f"operation {number}" for number in clears if number is not None]
    if cleared:
        return f"{returned}, for a key that was cleared at {' and '.join(cleared)} and not set again"
    return f"{returned}, for a key that was never set"


def _whose(truth: Truth, pools: tuple[PoolId, ...], key: int, fingerprint: bytes | None) -> tuple[str, PoolId | None]:
    """Whose bytes these are: this key's from before, with its pool, or another key's, or nobody's."""
    if fingerprint is not None:
        for pool in pools:
            earlier = truth.pools[pool].earlier(key, fingerprint)
            if earlier is not None:
                return f"old data, which operation {earlier.number} set under this key in {pool}", pool
        owner = truth.find(fingerprint, pools[-1])
        if owner is not None:
            pool, other, last = owner
            return f"the value that operation {last.number} set under key {other:#018x} in {pool}", None
    return "data that no key holds now", None


def wrong_device(record: SideRecord, device: torch.device | None) -> str:
    """The bytes are right, but elsewhere."""
    return f"{record.name} returned the right bytes, but on {device or 'several devices'}, where they were not set"


def _strayed(side: Whereabouts, contents: Contents, pool: PoolId, key: int) -> str:
    record = side.record
    if side.holds:
        return f"{record.name} still holds a key that {_removal(side, pool, key)}"
    last = contents.last_set.get(key)
    dropped = record.last_drop(pool, key)
    if dropped is not None and last is not None and dropped.number > last.number:
        when = f"at operation {dropped.number}, while it set key {dropped.for_key:#018x}"
        origin = _origin(side, last, contents.cleared, dropped, pool)
        return f"{record.name} dropped this live key {when}: {dropped.drop.reason}{origin}"
    which = f", which operation {last.number} set" if last else ""
    return f"{record.name} lost this key{which}; {_strategy(side, pool)} still holds it"


def _origin(side: Whereabouts, last: LastSet, cleared: int | None, dropped: SeenDrop, pool: PoolId) -> str:
    if not dropped.drop.spurious:
        return f"; {_strategy(side, pool)} would still hold it"
    if last.resets:
        return f"; the key was set again at operation {last.number}"
    if cleared is not None:
        return f"; the slot named it from before the clear at operation {cleared}"
    return ""


def _by_design(side: Whereabouts, pool: PoolId, key: int) -> str:
    if side.holds:
        return f"{side.record.name} holds the key, as {_strategy(side, pool)} does"
    return f"{side.record.name} does not hold the key, which {_removal(side, pool, key)}"


def _removal(side: Whereabouts, pool: PoolId, key: int) -> str:
    strategy = _strategy(side, pool)
    removal = side.ideal.evicted.get(key)
    if removal is None:
        return f"{strategy} evicted long ago"
    if removal.for_key < 0:
        return f"{strategy} evicted to make room for a working copy"
    return f"{strategy} evicted at operation {removal.number} to make room for key {removal.for_key:#018x}"


def _strategy(side: Whereabouts, pool: PoolId) -> str:
    return f"{side.record.strategies[pool]} with {side.record.spec.slots(pool)} slots"
