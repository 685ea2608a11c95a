"""Why a key was there or not, and whose bytes they are: the operation behind a divergence, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kvparity.caches.exceptions import describe_failure

if TYPE_CHECKING:
    from kvparity.judging.oracle import Contents, Ideal, Truth
    from kvparity.operations import PoolId
    from kvparity.shadow.side import Side


class Whereabouts(NamedTuple):
    """One side's part in a difference of presence.

    Attributes:
        side: the side.
        ideal: the pool that follows the side's declared strategy.
        holds: whether the side held the key.
    """

    side: Side
    ideal: Ideal
    holds: bool


def presence(sides: list[Whereabouts], contents: Contents, pool: PoolId, key: int) -> str:
    """Why one side has `key` and the other has not; the sides that left their strategy, or both by design."""
    strayed = [where for where in sides if where.holds != (key in where.ideal)]
    if strayed:
        return "; ".join(_strayed(where, contents, pool, key) for where in strayed)
    return "by design: " + "; ".join(_by_design(where, pool, key) for where in sides)


def _strayed(where: Whereabouts, contents: Contents, pool: PoolId, key: int) -> str:
    side, strategy = where.side, where.side.strategy(pool)
    slots = side.spec.slots(pool)
    last = contents.last_set.get(key)
    if where.holds:
        return f"{side.name} still holds it, though {_removal(where, pool, key)}"
    dropped = side.last_drop(pool, key)
    if dropped is not None and last is not None and dropped.number > last.number:
        origin = ""
        if not dropped.drop.spurious:
            origin = f", sooner than {strategy} over {slots} slots would"
        elif last.resets:
            origin = f" since the re-set at operation {last.number}"
        elif contents.cleared is not None:
            origin = f" from before the clear at operation {contents.cleared}"
        return (
            f"dropped from {side.name} by the set of key {dropped.for_key:#018x} at operation {dropped.number}:"
            f" {dropped.drop.reason}{origin}"
        )
    since = f" since operation {last.number}, which set it" if last else ""
    return f"{side.name} lost it{since}, though {strategy} over {slots} slots still holds it"


def _by_design(where: Whereabouts, pool: PoolId, key: int) -> str:
    strategy, slots = where.side.strategy(pool), where.side.spec.slots(pool)
    if where.holds:
        return f"{where.side.name} holds it, as {strategy} over {slots} slots does"
    return f"{where.side.name} has dropped it: {_removal(where, pool, key)}"


def _removal(where: Whereabouts, pool: PoolId, key: int) -> str:
    ideal = f"{where.side.strategy(pool)} over {where.side.spec.slots(pool)} slots"
    removal = where.ideal.evicted.get(key)
    if removal is None:
        return f"{ideal} dropped it long ago"
    if removal.for_key < 0:
        return f"{ideal} evicted it to make room for a working copy"
    return f"{ideal} evicted it at operation {removal.number} to make room for key {removal.for_key:#018x}"


def wrong_bytes(side: Side, truth: Truth, pools: tuple[PoolId, ...], key: int, fingerprint: bytes | None) -> str:
    """Whose bytes `side` returned for `key`, as far as they are still known."""
    owner = truth.find(fingerprint, pools[-1]) if fingerprint else None
    if owner:
        pool, other, last = owner
        whose = f"{side.name} returned the value that operation {last.number} set in {pool} under key {other:#018x}"
    else:
        whose = f"{side.name} returned bytes that are no key's last value"
    lasts = [(pool, truth.pools[pool].last_set.get(key)) for pool in pools]
    known = [f"operation {last.number} set other bytes under it in {pool}" for pool, last in lasts if last]
    if known:
        return f"{whose}; {' and '.join(known)}"
    cleared = [(pool, truth.pools[pool].cleared) for pool in pools if truth.pools[pool].cleared is not None]
    if cleared:
        return f"{whose}, for a key that was not set since " + " and ".join(
            f"the clear of {pool} at operation {number}" for pool, number in cleared
        )
    return f"{whose}, for a key that was never set there"


def raised(errors: list[tuple[str, BaseException | None]]) -> str:
    """Which sides raised, or returned what is no entry."""
    return "; ".join(f"{name} {describe_failure(error)}" for name, error in errors if error is not None)
