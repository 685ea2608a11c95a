"""Recording what LightZero 0.2.0 does with its caches while it trains, without changing its code.

A UniZero `WorldModel` keeps, per pool, a dict from key to slot and a list of slots. The recorder puts dicts in the
place of those dicts that do the same and tell what happens; everything else stays as it is. LightZero itself is
never imported here: its models are recognised by their structure.
"""

from __future__ import annotations

import sys
import warnings
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import xxhash

from harness.caches import CacheSpec
from harness.errors import UnusableCacheError
from harness.operations import RECUR, Checkout, Clear, Get, PoolId, Set, init
from harness.trace import Answer
from harness.values import fingerprint, raw_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.operations import Operation
    from harness.recording import TraceWriter

_ATTRIBUTES = (
    "past_kv_cache_init_infer_envs", "past_kv_cache_recurrent_infer", "shared_pool_init_infer",
    "shared_pool_recur_infer", "shared_pool_size", "shared_pool_size_init", "env_num",
)  # fmt: skip
_ROLES = ("learn", "collect", "eval", "target")
_SEARCH = "retrieve_or_generate_kvcache"  # the method in which a search looks up; root inference does elsewhere


def world_models_of(policy: Any) -> dict[str, Any]:
    """The distinct world models of a policy, named by the roles that share each: `learn+collect+eval`, `target`.

    Raises:
        UnusableCacheError: the policy has none.
    """
    roles: dict[int, list[str]] = {}
    models: dict[int, Any] = {}
    for role in _ROLES:
        model = getattr(getattr(policy, f"_{role}_model", None), "world_model", None)
        if model is not None:
            roles.setdefault(id(model), []).append(role)
            models[id(model)] = model
    if not models:
        raise UnusableCacheError(
            f"{type(policy).__name__} has no world model: expected ._collect_model.world_model or the like"
        )
    return {"+".join(roles[identity]): model for identity, model in models.items()}


def spec_of(world_model: Any) -> CacheSpec:
    """The sizes of a world model's pools.

    Raises:
        UnusableCacheError: it is no world model of LightZero 0.2.0.
    """
    lacks = [name for name in _ATTRIBUTES if not hasattr(world_model, name)]
    if lacks:
        raise UnusableCacheError(
            f"{type(world_model).__name__} is no world model of LightZero 0.2.0: it lacks {', '.join(lacks)}"
        )
    return CacheSpec(
        env_num=world_model.env_num,
        init_pool_size=world_model.shared_pool_size_init,
        num_simulations=world_model.shared_pool_size // world_model.env_num,
    )


def identity_of(world_model: Any) -> str:
    """A digest of a model's weights: xxh3-128 over names and raw bytes."""
    digest = xxhash.xxh3_128()
    for name, tensor in world_model.state_dict().items():
        digest.update(name.encode())
        digest.update(raw_bytes(tensor))
    return digest.hexdigest()


class Recording:
    """Records several world models into one trace, until detached. Also a context manager.

    A model is recorded from the moment at which all its pools are empty, since a replay begins with empty caches;
    where its ring pointers stand then changes slot numbers only. A failure to record stops the recording with a
    warning and never reaches the model.

    Args:
        world_models: by name, see `world_models_of`.
        writer: takes the operations.
        limit: stop at the first search after that many operations of one model; None for no limit.

    Attributes:
        operations: recorded so far.

    Raises:
        UnusableCacheError: one of them is no world model of LightZero 0.2.0.
    """

    def __init__(self, world_models: Mapping[str, Any], writer: TraceWriter, *, limit: int | None = None) -> None:
        specs = {name: spec_of(model) for name, model in world_models.items()}
        self._taps = [
            _Tap(model, writer, stream=writer.stream(name, specs[name]), limit=limit)
            for name, model in world_models.items()
        ]

    @property
    def operations(self) -> int:
        """Operations recorded so far."""
        return sum(tap.operations for tap in self._taps)

    def detach(self) -> None:
        """Give every model its own dicts back, with what they hold now."""
        for tap in self._taps:
            tap.detach()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()


class _Tap:
    """Listens to one world model."""

    def __init__(self, model: Any, writer: TraceWriter, *, stream: int, limit: int | None) -> None:
        self.operations = 0
        self._model = model
        self._writer = writer
        self._stream = stream
        self._limit = limit
        self._recording = False
        self._over = False
        self._missed_init: int | None = None
        self._own_init = model.past_kv_cache_init_infer_envs
        self._own_recur = model.past_kv_cache_recurrent_infer
        model.past_kv_cache_init_infer_envs = [
            _TellingDict(own, self, init(env)) for env, own in enumerate(self._own_init)
        ]
        model.past_kv_cache_recurrent_infer = _TellingDict(self._own_recur, self, RECUR)
        self._begin_if_empty()

    def detach(self) -> None:
        """Hand the model's own dicts back."""
        model = self._model
        for own, telling in zip(self._own_init, model.past_kv_cache_init_infer_envs, strict=True):
            _refill(own, telling)
        _refill(self._own_recur, model.past_kv_cache_recurrent_infer)
        model.past_kv_cache_init_infer_envs = self._own_init
        model.past_kv_cache_recurrent_infer = self._own_recur
        self._over = True

    def found(self, pool: PoolId, key: str, index: int | None, *, searching: bool) -> None:
        """The model looked `key` up, and its dict said `index`."""
        if not self._recording:
            return
        self._guarded(lambda: self._record_lookup(pool, key, index, searching=searching))

    def stored(self, pool: PoolId, key: str, index: int) -> None:
        """The model copied a value into slot `index` and entered it under `key`."""
        if not self._recording:
            return
        self._guarded(lambda: self._emit(Set(pool=pool, key=int(key, 16), value=self._slot(pool, index))))

    def cleared(self, pool: PoolId) -> None:
        """The model emptied a dict."""
        if not self._recording:
            self._begin_if_empty()
            return
        if pool == RECUR and self._limit is not None and self.operations >= self._limit:
            self._recording, self._over = False, True
            return
        self._guarded(lambda: self._emit(Clear(pool=pool)))

    # ------------------------------------------------------------------ inside

    def _record_lookup(self, pool: PoolId, key: str, index: int | None, *, searching: bool) -> None:
        answer = Answer() if index is None else Answer(fingerprint=fingerprint(self._slot(pool, index)))
        if not searching:
            self._emit(Get(pool=pool, key=int(key, 16)), answer)
        elif pool != RECUR and index is None:
            self._missed_init = pool.env  # the search goes on to recur, and that tells the rest
        elif pool != RECUR:
            assert pool.env is not None
            answer = Answer(fingerprint=answer.fingerprint, source="init")
            self._emit(Checkout(env=pool.env, key=int(key, 16)), answer)
        else:
            assert self._missed_init is not None
            # LightZero 0.2.0 indexes its list of slots with what it got: a miss raises TypeError there.
            answer = (
                Answer(error="TypeError") if index is None else Answer(fingerprint=answer.fingerprint, source="recur")
            )
            self._emit(Checkout(env=self._missed_init, key=int(key, 16)), answer)

    def _emit(self, operation: Operation, answer: Answer | None = None) -> None:
        self._writer.record(self._stream, operation, answer)
        self.operations += 1

    def _slot(self, pool: PoolId, index: int) -> Any:
        if pool == RECUR:
            return self._model.shared_pool_recur_infer[index]
        return self._model.shared_pool_init_infer[pool.env][index]

    def _begin_if_empty(self) -> None:
        dicts = (*self._model.past_kv_cache_init_infer_envs, self._model.past_kv_cache_recurrent_infer)
        self._recording = not self._over and not any(dicts)

    def _guarded(self, record: Callable[[], None]) -> None:
        try:
            record()
        except Exception as error:  # noqa: BLE001  the training goes on, whatever happens to its recording
            self._recording, self._over = False, True
            warnings.warn(f"recording stopped: {type(error).__name__}: {error}", stacklevel=4)


class _TellingDict(defaultdict[str, Any]):
    """LightZero's dict from key to slot, which tells its tap what is done to it. A copy of it tells nothing."""

    def __init__(self, own: dict[str, Any], tap: _Tap, pool: PoolId) -> None:
        super().__init__(dict, own)
        self._tap = tap
        self._pool = pool

    def get(self, key: str, default: Any = None) -> Any:
        """As a dict's, and tell."""
        index = super().get(key, default)
        self._tap.found(self._pool, key, index, searching=sys._getframe(1).f_code.co_name == _SEARCH)
        return index

    def __setitem__(self, key: str, index: Any) -> None:
        super().__setitem__(key, index)
        self._tap.stored(self._pool, key, index)

    def clear(self) -> None:
        """As a dict's, and tell."""
        super().clear()
        self._tap.cleared(self._pool)

    def __reduce__(self) -> tuple[Any, ...]:
        return defaultdict, (dict, dict(self))

    def __copy__(self) -> Any:
        return defaultdict(dict, self)


def _refill(own: dict[str, Any], telling: dict[str, Any]) -> None:
    own.clear()
    own.update(telling)
