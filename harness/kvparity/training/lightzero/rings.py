"""The caches of LightZero 0.2.0: for each pool a dict from key to slot and a list of slots, attributes of the model."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, MutableMapping, MutableSequence
from typing import Any

from kvparity.caches.protocol import CacheSpec
from kvparity.operations import RECUR, Checkout, Clear, Get, PoolId, Set, init
from kvparity.training.lightzero.tap import OwnOutcome, StandIn, Tap, number_of, own_outcome

ATTRIBUTES = (
    "past_kv_cache_init_infer_envs", "past_kv_cache_recurrent_infer", "shared_pool_init_infer",
    "shared_pool_recur_infer", "shared_pool_size", "shared_pool_size_init", "env_num",
)  # fmt: skip
_SEARCH = "retrieve_or_generate_kvcache"  # in this method a search looks a key up; root inference does it elsewhere


class RingTap(Tap):
    """Listens to a model with dicts and slots.

    A search asks the init dict, and after a miss the recur dict. Together that is one checkout. Listeners hear of it
    when the model asks the first dict.

    Args:
        model: a world model with `ATTRIBUTES`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model, spec_of_rings(model))
        self._init: list[dict[Any, Any]] = model.past_kv_cache_init_infer_envs
        self._recur: dict[Any, Any] = model.past_kv_cache_recurrent_infer
        self._init_slots: list[list[Any]] = model.shared_pool_init_infer
        self._recur_slots: list[Any] = model.shared_pool_recur_infer
        self._missed: set[int] = set()  # threads whose search got a served miss and asks the recur dict next

    @property
    def empty(self) -> bool:
        """Whether the model's dicts hold nothing."""
        return not (self._recur or any(self._init))

    def stand_ins(self) -> dict[str, Any]:
        """What takes the place of the dicts and of the slots."""
        return {
            "past_kv_cache_init_infer_envs": [_DictStandIn(own, self, init(env)) for env, own in enumerate(self._init)],
            "past_kv_cache_recurrent_infer": _DictStandIn(self._recur, self, RECUR),
            "shared_pool_init_infer": [_SlotsStandIn(own) for own in self._init_slots],
            "shared_pool_recur_infer": _SlotsStandIn(self._recur_slots),
        }

    def look_up(self, own: dict[Any, Any], pool: PoolId, key: Any, default: Any, *, searching: bool) -> Any:
        """The model asks a dict for `key`.

        Args:
            own: the model's dict.
            pool: the dict's pool.
            key: the model's key.
            default: what a miss returns.
            searching: whether a search asks, and not root inference.

        Returns:
            The slot's index, or a `ServedSlot` if a listener serves the answer.
        """
        with self.lock:
            if searching and pool == RECUR:
                return self._look_up_in_recur(key, default)
            if searching:
                assert pool.env is not None
                found = self._checkout(pool.env, key)
                served = self.tell(Checkout(env=pool.env, key=number_of(key)), found)
            else:
                index = own.get(key)
                found = OwnOutcome() if index is None else own_outcome(lambda: self._slots(pool)[index])
                served = self.tell(Get(pool=pool, key=number_of(key)), found)
            if served is None:
                return own.get(key, default)
            if served.value is not None:
                return ServedSlot(served.value)
            if searching:
                self._missed.add(threading.get_ident())
            return default

    def report_set(self, pool: PoolId, key: Any, index: Any) -> None:
        """The model copied a value into slot `index` and put the index into its dict under `key`."""
        try:
            value = self._slots(pool)[index]
        except (IndexError, TypeError):
            value = None
        self.tell(Set(pool=pool, key=number_of(key), value=value), OwnOutcome(value))

    # ------------------------------------------------------------------ inside

    def _look_up_in_recur(self, key: Any, default: Any) -> Any:
        """A search asks the second dict. Listeners have heard of this checkout already."""
        thread = threading.get_ident()
        if thread not in self._missed:
            return self._recur.get(key, default)
        self._missed.discard(thread)
        return ServedSlot(None)  # LightZero 0.2.0 indexes its slots with the answer: None there would be a TypeError

    def _checkout(self, env: int, key: Any) -> OwnOutcome:
        try:
            index = self._init[env].get(key)
            value = None if index is None else self._init_slots[env][index]
            if value is not None:
                return OwnOutcome(value, None, "init")
            value = self._recur_slots[self._recur.get(key)]  # type: ignore[index]  # a miss raises, as in the model
        except (IndexError, TypeError) as error:  # the model raises the same when it reads the slot
            return OwnOutcome(error=error)
        return OwnOutcome() if value is None else OwnOutcome(value, None, "recur")

    def _slots(self, pool: PoolId) -> list[Any]:
        return self._recur_slots if pool.env is None else self._init_slots[pool.env]


def spec_of_rings(model: Any) -> CacheSpec:
    """The sizes of the pools."""
    return CacheSpec(
        env_num=model.env_num,
        init_pool_size=model.shared_pool_size_init,
        num_simulations=model.shared_pool_size // model.env_num,
    )


class ServedSlot:
    """Takes the place of a slot's index where a listener serves the value, which lies in no slot."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class _DictStandIn(StandIn, MutableMapping[Any, Any]):
    """Takes the place of the model's dict, and tells the tap what is done to it."""

    def __init__(self, own: dict[Any, Any], tap: RingTap, pool: PoolId) -> None:
        super().__init__(own)
        self._tap = tap
        self._pool = pool

    def get(self, key: Any, default: Any = None) -> Any:
        """Like `dict`."""
        if self._tap.silent:
            return self._own.get(key, default)
        searching = sys._getframe(1).f_code.co_name == _SEARCH
        return self._tap.look_up(self._own, self._pool, key, default, searching=searching)

    def clear(self) -> None:
        """Like `dict`."""
        if self._tap.silent:
            self._own.clear()
            return
        with self._tap.lock:
            self._own.clear()
            self._tap.tell(Clear(pool=self._pool), OwnOutcome())

    def __setitem__(self, key: Any, index: Any) -> None:
        if self._tap.silent:
            self._own[key] = index
            return
        with self._tap.lock:
            self._own[key] = index
            self._tap.report_set(self._pool, key, index)

    def __getitem__(self, key: Any) -> Any:
        return self._own[key]

    def __delitem__(self, key: Any) -> None:
        del self._own[key]

    def __contains__(self, key: object) -> bool:
        return key in self._own

    def __iter__(self) -> Iterator[Any]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)


class _SlotsStandIn(StandIn, MutableSequence[Any]):
    """Takes the place of the model's slots. Indexed with a `ServedSlot`, it returns the served value."""

    def __getitem__(self, index: Any) -> Any:
        return index.value if type(index) is ServedSlot else self._own[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._own[index] = value

    def __delitem__(self, index: Any) -> None:
        del self._own[index]

    def __len__(self) -> int:
        return len(self._own)

    def insert(self, index: int, value: Any) -> None:
        """Like `list`."""
        self._own.insert(index, value)
