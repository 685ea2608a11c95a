"""The promises that every cache keeps, for `TestX(CacheContract)` classes that say how theirs is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from harness.caches import CacheSpec
from harness.errors import NotKeysValuesError
from harness.operations import ALL, ALL_INIT, RECUR, WM, PoolId, init
from harness.values import KeysValues, clone, fingerprint, read

if TYPE_CHECKING:
    from harness.caches import Cache

SPEC = CacheSpec(env_num=2, init_pool_size=3, num_simulations=4)
ONE_OF_EACH = [init(0), RECUR, WM]

each_pool = pytest.mark.parametrize("pool", ONE_OF_EACH, ids=str)


def entry(
    seed: int,
    *,
    layers: int = 2,
    shape: tuple[int, int, int, int] = (1, 2, 8, 4),
    dtype: torch.dtype = torch.float32,
) -> KeysValues:
    """An entry of separate random tensors `[N, H, T, D]`, padding included, each K and V with a size of its own."""
    generator = torch.Generator().manual_seed(seed)
    tensors = [torch.randn(shape, generator=generator).to(dtype) for _ in range(2 * layers)]
    return KeysValues(tensors, [(seed + i) % (shape[2] + 1) for i in range(2 * layers)])


def same(value: Any, expected: Any) -> bool:
    """Whether every dtype, shape, size and byte agrees; a miss agrees with nothing."""
    return value is not None and fingerprint(value) == fingerprint(expected)


class CacheContract:
    """Bind it by a subclass whose `build` gives a new cache of `SPEC`."""

    def build(self) -> Cache:
        """A new, empty cache."""
        raise NotImplementedError

    @each_pool
    def test_gives_back_what_was_set(self, pool: PoolId) -> None:
        """A get after a set has every layer, K and V, sizes and padding of what was set."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        assert same(cache.get(pool, 1), entry(1))

    @each_pool
    def test_a_key_never_set_misses(self, pool: PoolId) -> None:
        """A key that was never set is a miss, next to one that was."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        assert cache.get(pool, 2) is None

    @each_pool
    def test_a_producer_may_overwrite_its_tensors(self, pool: PoolId) -> None:
        """What is stored does not follow the producer's tensors when they are written to."""
        cache, producer = self.build(), entry(1)
        cache.set(pool, 1, producer)
        for tensor in read(producer)[0]:
            tensor.fill_(7)
        assert same(cache.get(pool, 1), entry(1))

    @each_pool
    def test_a_producer_may_put_other_tensors_into_its_object(self, pool: PoolId) -> None:
        """What is stored does not follow the producer's object when its tensors and sizes are replaced."""
        cache, producer = self.build(), entry(1)
        cache.set(pool, 1, producer)
        producer._keys_values = entry(2)._keys_values
        assert same(cache.get(pool, 1), entry(1))

    @each_pool
    def test_one_reused_object_makes_different_entries(self, pool: PoolId) -> None:
        """Two keys set from one reused object hold what it held at each set."""
        cache, producer = self.build(), entry(1)
        cache.set(pool, 1, producer)
        producer._keys_values = entry(2)._keys_values
        cache.set(pool, 2, producer)
        assert same(cache.get(pool, 1), entry(1))
        assert same(cache.get(pool, 2), entry(2))

    def test_the_newest_value_of_a_key_counts(self) -> None:
        """A key that is set again gives the newer value."""
        cache = self.build()
        cache.set(RECUR, 1, entry(1))
        cache.set(RECUR, 1, entry(2))
        assert same(cache.get(RECUR, 1), entry(2))

    def test_a_get_repeats(self) -> None:
        """Looking a key up changes nothing about what it gives."""
        cache = self.build()
        cache.set(RECUR, 1, entry(1))
        cache.get(RECUR, 1)
        assert same(cache.get(RECUR, 1), entry(1))

    @pytest.mark.parametrize("pool", [init(0), init(1), RECUR, WM], ids=str)
    def test_a_clear_forgets_one_pool_only(self, pool: PoolId) -> None:
        """A cleared pool misses and every other one still holds its entry."""
        cache = self.build()
        for number, other in enumerate(SPEC.pools):
            cache.set(other, 1, entry(number))
        cache.clear(pool)
        for number, other in enumerate(SPEC.pools):
            expected = None if other == pool else fingerprint(entry(number))
            held = cache.get(other, 1)
            assert (None if held is None else fingerprint(held)) == expected

    def test_a_clear_of_all_init_pools_spares_the_others(self) -> None:
        """`ALL_INIT` forgets every environment's keys and leaves recur and wm."""
        cache = self.build()
        for pool in SPEC.pools:
            cache.set(pool, 1, entry(1))
        cache.clear(ALL_INIT)
        assert [cache.get(pool, 1) is None for pool in SPEC.pools] == [True, True, False, False]

    def test_a_clear_of_all_forgets_everything(self) -> None:
        """`ALL` leaves no key in any pool."""
        cache = self.build()
        for pool in SPEC.pools:
            cache.set(pool, 1, entry(1))
        cache.clear(ALL)
        assert [cache.get(pool, 1) for pool in SPEC.pools] == [None] * 4

    def test_environments_do_not_share_entries(self) -> None:
        """One key in two environments is two entries."""
        cache = self.build()
        cache.set(init(0), 1, entry(1))
        cache.set(init(1), 1, entry(2))
        assert same(cache.get(init(0), 1), entry(1))
        assert same(cache.get(init(1), 1), entry(2))

    @each_pool
    def test_never_gives_another_keys_value(self, pool: PoolId) -> None:
        """After more sets than there are slots a key is its own value or a miss, and the newest is held."""
        cache, count = self.build(), 3 * SPEC.slots(pool) + 1
        for key in range(count):
            cache.set(pool, key, entry(key))
        assert same(cache.get(pool, count - 1), entry(count - 1))
        for key in range(count):
            held = cache.get(pool, key)
            assert held is None or same(held, entry(key))

    def test_a_checkout_prefers_the_init_pool(self) -> None:
        """A key in both pools comes from the environment's init pool."""
        cache = self.build()
        cache.set(init(0), 1, entry(1))
        cache.set(RECUR, 1, entry(2))
        assert same(cache.checkout(0, 1), entry(1))

    def test_a_checkout_falls_back_on_recur(self) -> None:
        """A key that only recur holds, or that only another environment's init pool holds too, comes from recur."""
        cache = self.build()
        cache.set(init(1), 1, entry(1))
        cache.set(RECUR, 1, entry(2))
        assert same(cache.checkout(0, 1), entry(2))

    def test_a_checkout_of_an_unknown_key_misses(self) -> None:
        """A key that neither pool holds is a miss."""
        assert self.build().checkout(0, 1) is None

    @pytest.mark.parametrize("pool", [init(0), RECUR], ids=str)
    def test_writing_into_a_working_copy_changes_no_entry(self, pool: PoolId) -> None:
        """The consumer may fill, resize and re-point what it checked out, and the entry stays."""
        cache = self.build()
        cache.set(pool, 1, entry(1))
        copy = cache.checkout(0, 1)
        assert copy is not None
        for layer in copy._keys_values:
            for token in (layer._k_cache, layer._v_cache):
                token._cache.fill_(9)
                token._size = 0
                token._cache = torch.zeros(1)
        assert same(cache.get(pool, 1), entry(1))
        assert same(cache.checkout(0, 1), entry(1))

    def test_a_working_copy_is_owned_for_env_num_checkouts(self) -> None:
        """Environments that check out the same key in turn each own what they write."""
        cache = self.build()
        cache.set(RECUR, 1, entry(1))
        copies = []
        for env in range(SPEC.env_num):
            copy = cache.checkout(env, 1)
            assert copy is not None
            copy._keys_values[0]._k_cache._cache.fill_(env)
            copies.append(copy)
        firsts = [copy._keys_values[0]._k_cache._cache.unique().tolist() for copy in copies]
        assert firsts == [[float(env)] for env in range(SPEC.env_num)]

    def test_takes_back_a_working_copy(self) -> None:
        """A working copy that was written into can be set as an entry."""
        cache = self.build()
        cache.set(RECUR, 1, entry(1))
        copy = cache.checkout(0, 1)
        assert copy is not None
        copy._keys_values[0]._k_cache._cache.fill_(5)
        expected = clone(copy)
        cache.set(RECUR, 2, copy)
        copy._keys_values[0]._k_cache._cache.fill_(6)
        assert same(cache.get(RECUR, 2), expected)

    def test_takes_what_it_lent(self) -> None:
        """Setting under the same key what a get lent changes nothing."""
        cache = self.build()
        cache.set(RECUR, 1, entry(1))
        cache.set(RECUR, 1, cache.get(RECUR, 1))
        assert same(cache.get(RECUR, 1), entry(1))

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
            assert same(cache.get(pool, key), second)
        cache.set(pool, 200, entry(1))
        assert same(cache.get(pool, 200), entry(1))

    def test_takes_tensors_that_differ_in_kind_within_one_value(self) -> None:
        """K and V of different shapes and dtypes are kept as they are, twice over."""
        cache = self.build()
        odd = KeysValues([torch.randn(1, 2, 8, 4), torch.randn(1, 2, 6, 4, dtype=torch.float64)], [3, 4])
        for key in range(2 * SPEC.recur_pool_size):
            cache.set(RECUR, key, odd)
        assert same(cache.get(RECUR, key), odd)

    def test_takes_views_that_are_not_contiguous(self) -> None:
        """Transposed, strided and expanded sources are copied by value."""
        base = torch.randn(1, 4, 8, 2)
        tensors = [
            base.transpose(1, 3),
            torch.randn(1, 2, 16, 4)[:, :, ::2],
            torch.randn(1, 2, 1, 4).expand(1, 2, 8, 4),
            torch.randn(3, 2, 8, 4)[1:2],
        ]
        cache, value = self.build(), KeysValues(tensors, [1, 2, 3, 4])
        for key in range(2 * SPEC.recur_pool_size):
            cache.set(RECUR, key, value)
        assert same(cache.get(RECUR, key), value)

    def test_takes_a_source_that_requires_grad(self) -> None:
        """Tensors that belong to a graph are stored by value, again and again into the same slots."""
        cache = self.build()
        for key in range(2 * SPEC.recur_pool_size):
            value = entry(key)
            for tensor in read(value)[0]:
                tensor.requires_grad_()
            cache.set(RECUR, key, value)
            assert same(cache.get(RECUR, key), entry(key))

    def test_keeps_every_bit(self) -> None:
        """Not-a-number, infinities, negative zero and denormals come back bit by bit."""
        numbers = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, 0.0, 1e-42, -1e-42, 3e38])
        value = KeysValues([numbers.reshape(1, 1, 2, 4), -numbers.reshape(1, 1, 2, 4)], [0, 2])
        cache = self.build()
        for key in range(2 * SPEC.recur_pool_size):
            cache.set(RECUR, key, value)
        assert same(cache.get(RECUR, key), value)

    def test_an_environment_out_of_range_is_a_value_error(self) -> None:
        """An `env_id` beyond the last environment, or before the first, raises with the range in the text."""
        cache = self.build()
        for env in (-1, SPEC.env_num):
            for call in (
                lambda env=env: cache.get(init(env), 1),
                lambda env=env: cache.set(init(env), 1, entry(1)),
                lambda env=env: cache.checkout(env, 1),
            ):
                with pytest.raises(ValueError, match=rf"^env_id {env} is outside \[0, 2\): this .* env_num=2$"):
                    call()

    def test_rubbish_is_refused(self) -> None:
        """What is no key/value object raises and is not stored."""
        cache = self.build()
        with pytest.raises((NotKeysValuesError, AttributeError, TypeError)):
            cache.set(RECUR, 1, "rubbish")
        assert cache.get(RECUR, 1) is None
