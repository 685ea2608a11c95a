"""The contract's promises about storing: a set takes a copy, whole and exact, and the newest one counts."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import torch

from harness.contract.entries import SPEC, assert_same, assert_same_or_miss, each_pool, entry, raises, same
from harness.contract.subject import OnTrial
from harness.operations import RECUR, PoolId, init
from harness.values import KeysValues, read

if TYPE_CHECKING:
    from harness.caches import Cache


class Storing(OnTrial):
    """What is stored is a copy of what was set last, byte by byte."""

    @each_pool
    def test_gives_back_what_was_set(self, pool: PoolId) -> None:
        """A get after a set has every layer, K and V, sizes and padding of what was set."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        assert_same(cache.get(pool, 1), entry(1))

    @each_pool
    def test_a_producer_may_overwrite_its_tensors(self, pool: PoolId) -> None:
        """What is stored does not follow the producer's tensors when they are written to."""
        cache, producer = self.build(), entry(1)
        cache.set(pool, 1, producer)
        for tensor in read(producer)[0]:
            tensor.fill_(7)
        assert_same(cache.get(pool, 1), entry(1))

    @each_pool
    def test_a_producer_may_put_other_tensors_into_its_object(self, pool: PoolId) -> None:
        """What is stored does not follow the producer's object when its tensors and sizes are replaced."""
        cache, producer = self.build(), entry(1)
        cache.set(pool, 1, producer)
        producer._keys_values = entry(2)._keys_values
        assert_same(cache.get(pool, 1), entry(1))

    @each_pool
    def test_one_reused_object_makes_different_entries(self, pool: PoolId) -> None:
        """Two keys set from one reused object hold what it held at each set."""
        cache, producer = self.build(), entry(1)
        cache.set(pool, 1, producer)
        producer._keys_values = entry(2)._keys_values
        cache.set(pool, 2, producer)
        assert_same(cache.get(pool, 1), entry(1))
        assert_same(cache.get(pool, 2), entry(2))

    @each_pool
    def test_a_set_leaves_its_source_alone(self, pool: PoolId) -> None:
        """The producer's object is only read: it is what it was after each set, into new slots and used ones."""
        cache, producer = self.build(), entry(1)
        for key in range(2 * SPEC.slots(pool)):
            cache.set(pool, key, producer)
            assert_same(producer, entry(1), what="the object that was set")

    @each_pool
    def test_the_newest_value_of_a_key_counts(self, pool: PoolId) -> None:
        """A key that is set again gives the newer value, in an empty pool and in one that has come round."""
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
        """In a long random mix of operations, a key is what was set last or a miss, and held right after a set."""
        choose, cache = random.Random(seed), self.build()  # noqa: S311  seeded on purpose
        truth: dict[tuple[PoolId, int], KeysValues] = {}
        for number in range(1500):
            pool, key, env = choose.choice(SPEC.pools), choose.randrange(12), choose.randrange(SPEC.env_num)
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

    @each_pool
    @pytest.mark.parametrize(
        "second",
        [
            entry(2, shape=(1, 2, 8, 6)),
            entry(2, shape=(1, 2, 1, 4)),
            entry(2, dtype=torch.float64),
            entry(2, dtype=torch.bfloat16),
            entry(2, dtype=torch.float16),
            entry(2, layers=1),
            entry(2, layers=3),
        ],
        ids=["shape", "broadcastable", "float64", "bfloat16", "float16", "fewer-layers", "more-layers"],
    )
    def test_takes_a_value_of_another_kind(self, pool: PoolId, second: KeysValues) -> None:
        """A slot that held one kind of value holds another kind exactly, and the first kind again."""
        cache = self.build()
        for key in range(SPEC.slots(pool)):
            cache.set(pool, key, entry(key))
        for key in range(100, 100 + SPEC.slots(pool)):
            cache.set(pool, key, second)
            assert_same(cache.get(pool, key), second)
        cache.set(pool, 200, entry(1))
        assert_same(cache.get(pool, 200), entry(1))

    def test_takes_tensors_that_differ_in_kind_within_one_value(self) -> None:
        """K and V of different shapes and dtypes are kept as they are, twice over."""
        cache = self.build()
        odd = KeysValues([_numbers(1, 2, 8, 4), _numbers(1, 2, 6, 4).double()], [3, 4])
        for key in range(2 * SPEC.recur_pool_size):
            cache.set(RECUR, key, odd)
        assert_same(cache.get(RECUR, key), odd)

    def test_takes_views_that_are_not_contiguous(self) -> None:
        """Transposed, strided and expanded sources are copied by value."""
        base = _numbers(1, 4, 8, 2)
        tensors = [
            base.transpose(1, 3),
            _numbers(1, 2, 16, 4)[:, :, ::2],
            _numbers(1, 2, 1, 4).expand(1, 2, 8, 4),
            _numbers(3, 2, 8, 4)[1:2],
        ]
        cache, value = self.build(), KeysValues(tensors, [1, 2, 3, 4])
        for key in range(2 * SPEC.recur_pool_size):
            cache.set(RECUR, key, value)
        assert_same(cache.get(RECUR, key), value)

    def test_takes_a_source_that_requires_grad(self) -> None:
        """Tensors that belong to a graph are stored by value, again and again into the same slots."""
        cache = self.build()
        for key in range(2 * SPEC.recur_pool_size):
            value = entry(key)
            for tensor in read(value)[0]:
                tensor.requires_grad_()
            cache.set(RECUR, key, value)
            assert_same(cache.get(RECUR, key), entry(key))

    def test_keeps_every_bit(self) -> None:
        """Not-a-number, infinities, negative zero and denormals come back bit by bit."""
        numbers = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, 0.0, 1e-42, -1e-42, 3e38])
        value = KeysValues([numbers.reshape(1, 1, 2, 4), -numbers.reshape(1, 1, 2, 4)], [0, 2])
        cache = self.build()
        for key in range(2 * SPEC.recur_pool_size):
            cache.set(RECUR, key, value)
        assert_same(cache.get(RECUR, key), value)

    def test_rubbish_is_refused(self) -> None:
        """What is no key/value object raises and is not stored."""
        cache = self.build()
        assert raises(lambda: cache.set(RECUR, 1, "rubbish")), "a string was set as an entry without complaint"
        assert cache.get(RECUR, 1) is None


def _numbers(*shape: int) -> torch.Tensor:
    """Random numbers of that shape, the same each time, which leave torch's own generator alone."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _check_out(cache: Cache, env: int, key: int, truth: dict[tuple[PoolId, int], KeysValues], *, what: str) -> None:
    """A working copy is one of the two pools' entries; then write into it, as a consumer does."""
    __tracebackhide__ = True
    copy = cache.checkout(env, key)
    if copy is None:
        return
    possible = [truth[pool, key] for pool in (init(env), RECUR) if (pool, key) in truth]
    if len(possible) == 0 or not same(copy, possible[-1]):  # of recur, where init evicted the key
        assert_same_or_miss(copy, possible[0] if possible else None, what=what)
    for tensor in read(copy)[0]:
        tensor.fill_(-1)
