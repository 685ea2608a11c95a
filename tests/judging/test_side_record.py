"""What is remembered of a side."""

from __future__ import annotations

from kvparity import ALL, RECUR, CacheSpec, Drop, PoolId, init
from kvparity.judging import side_record
from kvparity.judging.side_record import SeenDrop, SideRecord

SPEC = CacheSpec(env_num=2, init_pool_size=2, num_simulations=2)


def record() -> SideRecord:
    """A new one."""
    return SideRecord("candidate", "new", SPEC, dict.fromkeys(SPEC.pools, "fifo"))


def drop(number: int, key: int, pool: PoolId = RECUR) -> SeenDrop:
    """That key was dropped in operation `number`."""
    return SeenDrop(number, 99, Drop(pool=pool, key=key, slot=0, reason="so it is"))


def test_the_last_drop_of_a_key_is_known_until_its_pool_is_cleared() -> None:
    """A later one takes the place of an earlier one; a clear of all pools is one of each."""
    mine = record()
    mine.note_drop(drop(1, 7))
    mine.note_drop(drop(2, 7))
    mine.note_drop(drop(3, 7, init(0)))
    assert mine.last_drop(RECUR, 7) == drop(2, 7)
    mine.forget_drops(RECUR)
    assert (mine.last_drop(RECUR, 7), mine.last_drop(init(0), 7)) == (None, drop(3, 7, init(0)))
    mine.forget_drops(ALL)
    assert mine.last_drop(init(0), 7) is None


def test_drops_are_bounded_and_the_oldest_are_forgotten() -> None:
    """A key that was dropped again counts as young."""
    mine, most = record(), side_record._REMEMBERED_DROPS
    for key in range(most):
        mine.note_drop(drop(key, key))
    mine.note_drop(drop(most, 0))
    assert mine.last_drop(RECUR, 1) is not None
    mine.note_drop(drop(most + 1, most))
    assert [mine.last_drop(RECUR, key) is not None for key in (0, 1, 2, most)] == [True, False, True, True]


def test_a_checkout_is_a_lookup_of_both_pools_unless_the_first_answers() -> None:
    """Hits and misses as a cache would count them."""
    mine = record()
    for source in (init(1), RECUR, None):
        mine.count_checkout(1, source)
    mine.count_get(init(0), hit=True)
    mine.count_get(init(0), hit=False)
    counts = {str(pool): (each.hits, each.misses) for pool, each in mine.counts.items()}
    assert counts == {"init[0]": (1, 1), "init[1]": (1, 2), "recur": (1, 1), "wm": (0, 0)}
