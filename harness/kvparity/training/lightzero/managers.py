"""The caches of a later LightZero: the model's `kv_cache_manager`, an object with `KVCacheManager`'s methods."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from kvparity.caches.adapter import MANAGER_METHODS, ManagerCache
from kvparity.caches.protocol import CacheSpec
from kvparity.errors import UnusableCacheError
from kvparity.operations import ALL, ALL_INIT, RECUR, WM, Checkout, Clear, Get, Operation, PoolId, Set, init
from kvparity.training.lightzero.tap import StandIn, Tap, number_of, own_outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.caches.protocol import DeclaresStrategy

ATTRIBUTE = "kv_cache_manager"


class ManagerTap(Tap):
    """Listens to a model with a manager. Nobody hears of the pool of working copies, which only the model uses.

    Args:
        model: a world model for which `has_manager` is true.
    """

    def __init__(self, model: Any) -> None:
        self._manager = getattr(model, ATTRIBUTE)
        super().__init__(model, spec_of_manager(self._manager))

    @property
    def strategies(self) -> DeclaresStrategy:
        """What the manager's pools say."""
        return _ManagerStrategies(self._manager)

    @property
    def empty(self) -> bool:
        """Whether the manager's pools hold nothing."""
        return not any(len(pool) for pool in (*self._manager.init_pools, self._manager.recur_pool))

    def stand_ins(self) -> dict[str, Any]:
        """What takes the place of the manager."""
        return {ATTRIBUTE: _ManagerStandIn(self._manager, self)}

    def call(
        self, method: Callable[..., Any], operation: Callable[..., Operation], *arguments: Any, **options: Any
    ) -> Any:
        """Let the manager do its part, tell the listeners, and return what the model gets.

        Args:
            method: the manager's own.
            operation: makes an operation of the same arguments.
            arguments: of the call.
            options: of the call.

        Raises:
            Exception: what the manager raised, unless a listener serves an answer.
        """
        with self.lock:
            own = own_outcome(lambda: method(*arguments, **options))
            try:
                what = operation(*arguments, **options)
            except Exception as error:  # noqa: BLE001  kvparity does not know such a call; the model must not notice
                self.report_unknown_call(error)
                served = None
            else:
                served = self.tell(what, own)
        if served is not None:
            return served.value
        if own.error is not None:
            raise own.error
        return own.value


class _ManagerStrategies:
    """The strategies of a manager. For working copies, which nobody hears of, any strategy will do."""

    def __init__(self, manager: Any) -> None:
        self._manager = ManagerCache(manager)

    def strategy(self, pool: PoolId) -> str:
        return "fifo" if pool == WM else self._manager.strategy(pool)


def has_manager(model: Any) -> bool:
    """Whether a world model keeps its caches in a manager."""
    manager = getattr(model, ATTRIBUTE, None)
    return bool(getattr(model, "use_new_cache_manager", True)) and all(
        callable(getattr(manager, method, None)) for method in MANAGER_METHODS
    )


def spec_of_manager(manager: Any) -> CacheSpec:
    """The sizes of the pools.

    Raises:
        UnusableCacheError: the manager's pools do not say.
    """
    try:
        env_num = len(manager.init_pools)
        for pool in (*manager.init_pools, manager.recur_pool):
            len(pool)
        return CacheSpec(
            env_num=env_num,
            init_pool_size=manager.init_pools[0].pool_size,
            num_simulations=manager.recur_pool.pool_size // env_num,
        )
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise UnusableCacheError(
            f"the pool sizes of {type(manager).__name__} cannot be read: expected .init_pools and .recur_pool,"
            f" each pool with a length and a .pool_size ({error})"
        ) from None


class _ManagerStandIn(StandIn):
    """Takes the place of the model's manager; its methods tell the tap what they did."""

    def __init__(self, own: Any, tap: ManagerTap) -> None:
        super().__init__(own)
        self._tap = tap

    def __getattr__(self, name: str) -> Any:
        own = super().__getattr__(name)
        if self._tap.silent:
            return own
        if name in _MANAGER_METHODS:
            return partial(self._tap.call, own, _MANAGER_METHODS[name])
        if name == "init_pools":
            return _PoolsStandIn(own, self._tap)
        return _PoolStandIn(own, self._tap, RECUR) if name == "recur_pool" else own


class _PoolsStandIn(StandIn, Sequence[Any]):
    """Takes the place of the manager's init pools."""

    def __init__(self, own: Any, tap: ManagerTap) -> None:
        super().__init__(own)
        self._tap = tap

    def __getitem__(self, index: Any) -> Any:
        found = self._own[index]
        if isinstance(index, slice):
            return [self[each] for each in range(len(self._own))[index]]
        return _PoolStandIn(found, self._tap, init(range(len(self._own))[index]))

    def __len__(self) -> int:
        return len(self._own)


class _PoolStandIn(StandIn):
    """Takes the place of one of the manager's pools: some callers use a pool and not the manager."""

    def __init__(self, own: Any, tap: ManagerTap, pool: PoolId) -> None:
        super().__init__(own)
        self._tap = tap
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        own = super().__getattr__(name)
        if name not in _POOL_METHODS or self._tap.silent:
            return own
        return partial(self._tap.call, own, partial(_POOL_METHODS[name], self._pool))

    def __len__(self) -> int:
        return len(self._own)

    def __contains__(self, key: object) -> bool:
        return key in self._own


def _set(pool: PoolId, cache_key: Any, kv_cache: Any, priority: float | None = None) -> Set:
    return Set(pool=pool, key=number_of(cache_key), value=kv_cache, priority=priority)


# The operation that each of KVCacheManager's methods does, made of the arguments of its call.
_MANAGER_METHODS: dict[str, Callable[..., Operation]] = {
    "get_init_cache": lambda env_id, cache_key: Get(pool=init(env_id), key=number_of(cache_key)),
    "get_recur_cache": lambda cache_key: Get(pool=RECUR, key=number_of(cache_key)),
    "hierarchical_get": lambda env_id, cache_key: Checkout(env=env_id, key=number_of(cache_key)),
    "set_init_cache": lambda env_id, *arguments, **options: _set(init(env_id), *arguments, **options),
    "set_recur_cache": lambda *arguments, **options: _set(RECUR, *arguments, **options),
    "clear_recur_cache": lambda: Clear(pool=RECUR),
    "clear_init_caches": lambda: Clear(pool=ALL_INIT),
    "clear_all": lambda: Clear(pool=ALL),
}

# The same for the methods of one of its pools, which comes first.
_POOL_METHODS: dict[str, Callable[..., Operation]] = {
    "get": lambda pool, cache_key: Get(pool=pool, key=number_of(cache_key)),
    "set": _set,
    "clear": lambda pool: Clear(pool=pool),
}
