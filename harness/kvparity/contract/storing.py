"""The contract on storing: a set makes a complete and exact copy, and the newest set of a key counts."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import torch

from kvparity.contract.entries import (
    LAST_INIT,
    ONE_OF_EACH,
    OTHER_KINDS,
    SPEC,
    assert_same,
    assert_same_or_miss,
    each_pool,
    each_searched_pool,
    entry,
    raises,
    same,
)
from kvparity.contract.subject import CacheUnderTest
from kvparity.operations import RECUR, PoolId, init
from kvparity.values.entry import KeysValues, read

if TYPE_CHECKING:
    from kvparity.caches.protocol import Cache


class Storing(CacheUnderTest):
    """The stored entry is a copy of what was set last, byte by byte."""

    @each_pool
    def test_gives_back_what_was_set(self, pool: PoolId) -> None:
        """A get after a set returns every layer, K and V, sizes and padding of what was set."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        assert_same(cache.get(pool, 1), entry(1))

    @each_pool
    def test_a_producer_may_overwrite_its_tensors(self, pool: PoolId) -> None:
        """The stored entry does not change when the producer writes into its tensors."""
        cache, producer = self.build(), entry(1)
        cache.set(pool, 1, producer)
        for tensor in read(producer)[0]:
            tensor.fill_(7)
        assert_same(cache.get(pool, 1), entry(1))

    @each_pool
    def test_a_producer_may_put_other_tensors_into_its_object(self, pool: PoolId) -> None:
        """The stored entry does not change when the producer replaces the tensors and sizes of its object."""
        cache, producer = self.build(), entry(1)
        cache.set(pool, 1, producer)
        producer._keys_values = entry(2)._keys_values
        assert_same(cache.get(pool, 1), entry(1))

    @each_pool
    def test_one_reused_object_makes_different_entries(self, pool: PoolId) -> None:
        """Two keys that are set from one reused object keep what it held at each set."""
        cache, producer = self.build(), entry(1)
        cache.set(pool, 1, producer)
        producer._keys_values = entry(2)._keys_values
        cache.set(pool, 2, producer)
        assert_same(cache.get(pool, 1), entry(1))
        assert_same(cache.get(pool, 2), entry(2))

    @each_pool
    def test_a_set_leaves_its_source_alone(self, pool: PoolId) -> None:
        """A set only reads the producer's object, whether it goes into a new slot or a used one."""
        cache, producer = self.build(), entry(1)
        for key in range(2 * SPEC.slots(pool)):
            cache.set(pool, key, producer)
            assert_same(producer, entry(1), what="the object that was set")

    @each_pool
    def test_the_newest_value_of_a_key_counts(self, pool: PoolId) -> None:
        """A key that is set again gives the newer value, in an empty pool and in a full one."""
        cache = self.build()
        for seed in range(4):
            cache.set(pool, 1, entry(seed))
            assert_same(cache.get(pool, 1), entry(seed))
        for key in range(2, 2 + 2 * SPEC.slots(pool)):
            cache.set(pool, key, entry(key))
            cache.set(pool, key, entry(100 + key))
            assert_same(cache.get(pool, key), entry(100 + key))

    @pytest.mark.parametrize("seed", range(2))
    def test_a_hit_is_what_was_set_last(self, seed: int) -> None:
        """In many random operations, a key gives what was set last or misses, and never misses right after a set."""
        with torch.set_grad_enabled(seed == 0):
            _check_many(self.build(), random.Random(seed))  # noqa: S311  seeded on purpose

    @each_pool
    @pytest.mark.parametrize("second", OTHER_KINDS.values(), ids=OTHER_KINDS)
    def test_takes_a_value_of_another_kind(self, pool: PoolId, second: KeysValues) -> None:
        """A slot can hold a value of another kind than before, and then of the first kind again."""
        cache = self.build()
        for key in range(SPEC.slots(pool)):
            cache.set(pool, key, entry(key))
        for key in range(100, 100 + SPEC.slots(pool)):
            cache.set(pool, key, second)
            assert_same(cache.get(pool, key), second)
        cache.set(pool, 200, entry(1))
        assert_same(cache.get(pool, 200), entry(1))

    @each_pool
    def test_a_key_may_change_its_kind(self, pool: PoolId) -> None:
        """One key can hold values of all kinds one after another, in either order."""
        cache = self.build()
        for kind in (*OTHER_KINDS, *reversed(OTHER_KINDS)):
            cache.set(pool, 1, OTHER_KINDS[kind])
            assert_same(cache.get(pool, 1), OTHER_KINDS[kind])

    @each_pool
    def test_takes_tensors_that_differ_in_kind_within_one_value(self, pool: PoolId) -> None:
        """K and V of different shapes and dtypes are kept as they are, in new slots and used ones."""
        cache = self.build()
        odd = KeysValues([_numbers(1, 2, 8, 4), _numbers(1, 2, 6, 4).double()], [3, 4])
        for key in range(2 * SPEC.slots(pool)):
            cache.set(pool, key, odd)
            assert_same(cache.get(pool, key), odd)

    @each_pool
    def test_takes_views_that_are_not_contiguous(self, pool: PoolId) -> None:
        """Transposed, strided and expanded tensors are copied by value."""
        base = _numbers(1, 4, 8, 2)
        tensors = [
            base.transpose(1, 3),
            _numbers(1, 2, 16, 4)[:, :, ::2],
            _numbers(1, 2, 1, 4).expand(1, 2, 8, 4),
            _numbers(3, 2, 8, 4)[1:2],
        ]
        cache, value = self.build(), KeysValues(tensors, [1, 2, 3, 4])
        for key in range(2 * SPEC.slots(pool)):
            cache.set(pool, key, value)
            assert_same(cache.get(pool, key), value)

    @each_searched_pool
    def test_takes_tensors_in_another_order_of_memory(self, pool: PoolId) -> None:
        """Channels-last tensors are copied by value, into working copies too, under `no_grad`."""
        tensors = [tensor.contiguous(memory_format=torch.channels_last) for tensor in read(entry(1))[0]]
        cache, value = self.build(), KeysValues(tensors, read(entry(1))[1])
        with torch.no_grad():
            for key in range(2 * SPEC.slots(pool)):
                cache.set(pool, key, value)
                assert_same(cache.get(pool, key), entry(1))
                assert_same(cache.checkout(0, key), entry(1), what="the working copy")

    @each_pool
    def test_takes_a_source_that_requires_grad(self, pool: PoolId) -> None:
        """Tensors of a graph are copied by value, into new slots and used ones."""
        cache = self.build()
        for key in range(2 * SPEC.slots(pool)):
            value = entry(key)
            for tensor in read(value)[0]:
                tensor.requires_grad_()
            cache.set(pool, key, value)
            for tensor in read(value)[0]:
                tensor.detach().fill_(7)
            assert_same(cache.get(pool, key), entry(key))

    @each_pool
    def test_keeps_every_bit(self, pool: PoolId) -> None:
        """NaN, infinities, negative zero and denormals come back bit by bit."""
        numbers = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, 0.0, 1e-42, -1e-42, 3e38])
        value = KeysValues([numbers.reshape(1, 1, 2, 4), -numbers.reshape(1, 1, 2, 4)], [0, 2])
        cache = self.build()
        for key in range(2 * SPEC.slots(pool)):
            cache.set(pool, key, value)
            assert_same(cache.get(pool, key), value)

    @each_pool
    def test_zeros_keep_their_sign(self, pool: PoolId) -> None:
        """An entry of zeros is kept, and so are negative zeros that are set over it, though the two compare equal."""
        cache = self.build()
        for sign in (1, -1):
            value = KeysValues([sign * torch.zeros(1, 2, 8, 4) for _ in range(4)], [1, 2, 3, 4])
            cache.set(pool, 1, value)
            assert_same(cache.get(pool, 1), value)

    @each_pool
    def test_rubbish_is_refused(self, pool: PoolId) -> None:
        """A value that is not a key/value object raises and is not stored."""
        cache = self.build()
        assert raises(lambda: cache.set(pool, 1, "rubbish")), "`set` accepted a string as an entry and did not raise"
        assert cache.get(pool, 1) is None


def _numbers(*shape: int) -> torch.Tensor:
    """Random numbers of that shape, the same each time; the state of torch's generator does not change."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _check_many(cache: Cache, choose: random.Random) -> None:
    """Operations on a few keys in each kind of pool, and in the last environment's init pool."""
    __tracebackhide__ = True
    truth: dict[tuple[PoolId, int], KeysValues] = {}
    for number in range(1500):
        pool, key = choose.choice((*ONE_OF_EACH, LAST_INIT)), choose.randrange(12)
        env = choose.choice((0, SPEC.env_num - 1))
        kind = choose.choices(["set", "get", "checkout", "clear"], weights=[8, 8, 4, 0.2])[0]
        what = f"operation {number} ({kind}), key {key} in {pool}"
        if kind == "set":
            truth[pool, key] = entry(number)
            cache.set(pool, key, entry(number))
            assert_same(cache.get(pool, key), truth[pool, key], what=what)
        elif kind == "get":
            assert_same_or_miss(cache.get(pool, key), truth.get((pool, key)), what=what)
        elif kind == "clear":
            cache.clear(pool)
            truth = {at: value for at, value in truth.items() if at[0] != pool}
        else:
            _check_out(cache, env, key, truth, what=f"operation {number} (checkout), key {key} for env {env}")


def _check_out(cache: Cache, env: int, key: int, truth: dict[tuple[PoolId, int], KeysValues], *, what: str) -> None:
    """Check that a working copy is the entry of one of the two pools, and write into it, as a consumer does."""
    __tracebackhide__ = True
    copy = cache.checkout(env, key)
    if copy is None:
        return
    possible = [truth[pool, key] for pool in (init(env), RECUR) if (pool, key) in truth]
    if len(possible) == 0 or not same(copy, possible[-1]):  # recur's, if init evicted the key
        assert_same_or_miss(copy, possible[0] if possible else None, what=what)
    for tensor in read(copy)[0]:
        tensor.fill_(-1)
