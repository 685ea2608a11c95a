"""Doubles of LightZero's world models: what the taps read of them, and the same habits with it."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import torch

from kvparity import CacheSpec, KeysValues
from kvparity.values.entry import copy_into
from kvparity_refactored import KVCacheManager

ENVIRONMENTS = 2
INIT_SLOTS = 2
RECUR_SLOTS = 8
SPEC = CacheSpec(env_num=ENVIRONMENTS, init_pool_size=INIT_SLOTS, num_simulations=RECUR_SLOTS // ENVIRONMENTS)


def key(number: int) -> str:
    """A key as LightZero spells it."""
    return f"{number:016x}"


def entry(number: float) -> KeysValues:
    """A small entry that is like no other number's."""
    value = KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=2, head_dim=2, size=1)
    for layer in value._keys_values:
        layer._k_cache._cache.fill_(number)
        layer._v_cache._cache.fill_(-number)
    return value


class ReleasedModel:
    """LightZero 0.2.0's: dicts from key to slot, ring pools of slots, one reused producer, own working copies."""

    def __init__(self) -> None:
        self.env_num = ENVIRONMENTS
        self.shared_pool_size = RECUR_SLOTS
        self.shared_pool_size_init = INIT_SLOTS
        self.past_kv_cache_init_infer_envs: list[dict[str, Any]] = [defaultdict(dict) for _ in range(ENVIRONMENTS)]
        self.past_kv_cache_recurrent_infer: dict[str, Any] = defaultdict(dict)
        self.shared_pool_init_infer: list[list[Any]] = [[None] * INIT_SLOTS for _ in range(ENVIRONMENTS)]
        self.shared_pool_recur_infer: list[Any] = [None] * RECUR_SLOTS
        self.shared_pool_index = 0
        self.shared_pool_index_init_envs = [0] * ENVIRONMENTS
        self.produced = entry(0)

    def set_init(self, env: int, number: int, content: float) -> None:
        index = self.custom_copy_kv_cache_to_shared_init_envs(self._produce(content), env)
        self.past_kv_cache_init_infer_envs[env][key(number)] = index

    def set_recur(self, number: int, content: float) -> None:
        index = self.custom_copy_kv_cache_to_shared_recur(self._produce(content))
        self.past_kv_cache_recurrent_infer[key(number)] = index

    def custom_copy_kv_cache_to_shared_init_envs(self, src_kv: Any, env_id: int) -> int:
        slots, slot = self.shared_pool_init_infer[env_id], self.shared_pool_index_init_envs[env_id]
        self.shared_pool_index_init_envs[env_id] = (slot + 1) % INIT_SLOTS
        slots[slot] = copy_into(src_kv, slots[slot])
        return slot

    def custom_copy_kv_cache_to_shared_recur(self, src_kv: Any) -> int:
        slot = self.shared_pool_index
        self.shared_pool_index = (slot + 1) % RECUR_SLOTS
        self.shared_pool_recur_infer[slot] = copy_into(src_kv, self.shared_pool_recur_infer[slot])
        return slot

    def custom_copy_kv_cache_to_shared_wm(self, src_kv: Any) -> KeysValues:
        return self._working_copy(src_kv)

    def root(self, env: int, number: int) -> Any:
        index = self.past_kv_cache_init_infer_envs[env].get(key(number))
        if index is None:
            return None
        return self.custom_copy_kv_cache_to_shared_wm(self.shared_pool_init_infer[env][index])

    def retrieve_or_generate_kvcache(self, env: int, number: int) -> Any:
        matched = None
        index = self.past_kv_cache_init_infer_envs[env].get(key(number))
        if index is not None:
            matched = self.shared_pool_init_infer[env][index]
        if matched is None:
            matched = self.shared_pool_recur_infer[self.past_kv_cache_recurrent_infer.get(key(number))]
        return None if matched is None else self.custom_copy_kv_cache_to_shared_wm(matched)

    search = retrieve_or_generate_kvcache

    def clear_caches(self) -> None:
        for each in self.past_kv_cache_init_infer_envs:
            each.clear()
        self.past_kv_cache_recurrent_infer.clear()

    def _produce(self, content: float) -> KeysValues:
        for layer in self.produced._keys_values:
            layer._k_cache._cache.fill_(content)
            layer._v_cache._cache.fill_(-content)
        self.produced._keys_values[0]._k_cache._size = 1
        self.produced._keys_values[0]._v_cache._size = 1
        return self.produced

    @staticmethod
    def _working_copy(matched: Any) -> KeysValues:
        copied = entry(0)
        for mine, its in zip(copied._keys_values, matched._keys_values, strict=True):
            mine._k_cache._cache.copy_(its._k_cache._cache)
            mine._v_cache._cache.copy_(its._v_cache._cache)
        return copied


class ManagedModel:
    """A later LightZero's: all of it behind a manager. Keys are numbers there."""

    def __init__(self) -> None:
        self.use_new_cache_manager = True
        self.kv_cache_manager = KVCacheManager(SPEC.config(), ENVIRONMENTS)
        self.produced = entry(0)

    def set_init(self, env: int, number: int, content: float) -> None:
        self.kv_cache_manager.set_init_cache(env, number, self._produce(content))

    def set_recur(self, number: int, content: float) -> None:
        self.kv_cache_manager.set_recur_cache(number, kv_cache=self._produce(content))

    def root(self, env: int, number: int) -> Any:
        found = self.kv_cache_manager.get_init_cache(env_id=env, cache_key=number)
        return None if found is None else ReleasedModel._working_copy(found)

    def search(self, env: int, number: int) -> Any:
        found = self.kv_cache_manager.hierarchical_get(env, number)
        return None if found is None else ReleasedModel._working_copy(found)

    def clear_caches(self) -> None:
        self.kv_cache_manager.clear_all()

    def _produce(self, content: float) -> KeysValues:
        for layer in self.produced._keys_values:
            layer._k_cache._cache.fill_(content)
            layer._v_cache._cache.fill_(-content)
        return self.produced


def policy_of(shared: Any, target: Any) -> SimpleNamespace:
    """A policy whose collector, learner and evaluator share one world model, and whose target has its own."""
    role = SimpleNamespace(world_model=shared)
    return SimpleNamespace(
        _learn_model=role, _collect_model=role, _eval_model=role, _target_model=SimpleNamespace(world_model=target)
    )


def play(model: Any, rounds: int = 6) -> list[torch.Tensor | None]:
    """Some searches, as training does them; the numbers that the model was given to work with."""
    given: list[torch.Tensor | None] = []

    def work_on(value: Any) -> None:
        given.append(None if value is None else value._keys_values[0]._k_cache._cache.clone())

    for number in range(rounds):
        if number % 3 == 0:
            model.clear_caches()
        for env in range(ENVIRONMENTS):
            work_on(model.root(env, 100 * env + number - 1))
            model.set_init(env, 100 * env + number, number + 0.5 * env)
        for step in range(RECUR_SLOTS // 2):
            model.set_recur(1000 + 10 * number + step, 7.0 * number + step)
            work_on(model.search(step % ENVIRONMENTS, 1000 + 10 * number + step // 2))
            work_on(model.search(step % ENVIRONMENTS, 100 * (step % ENVIRONMENTS) + number))
    return given


def same(one: list[torch.Tensor | None], other: list[torch.Tensor | None]) -> bool:
    """Whether two models were given the same, bit for bit."""
    return len(one) == len(other) and all(
        (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b))
        for a, b in zip(one, other, strict=True)
    )
