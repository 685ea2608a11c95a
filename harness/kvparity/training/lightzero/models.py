"""LightZero's policies and world models, recognised by their structure. LightZero itself is never imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xxhash

from kvparity.errors import UnusableCacheError
from kvparity.training.lightzero.managers import ATTRIBUTE, ManagerTap, has_manager
from kvparity.training.lightzero.rings import ATTRIBUTES, RingTap
from kvparity.training.lightzero.tap import Tap
from kvparity.values.fingerprints import raw_bytes

if TYPE_CHECKING:
    from kvparity.caches.protocol import CacheSpec

_ROLES = ("learn", "collect", "eval", "target")


def world_models_of(policy: Any) -> dict[str, Any]:
    """The distinct world models of a policy, each named by the roles that share it: `learn+collect+eval`, `target`.

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
        expected = [f"._{role}_model.world_model" for role in _ROLES]
        raise UnusableCacheError(f"{type(policy).__name__} has no world model: expected one of {', '.join(expected)}")
    return {"+".join(roles[identity]): model for identity, model in models.items()}


def world_models_in(target: Any) -> dict[str, Any]:
    """The world models of a policy, see `world_models_of`. Anything else is taken for a world model itself."""
    if any(hasattr(target, f"_{role}_model") for role in _ROLES):
        return world_models_of(target)
    return {"world model": target}


def tap_of(world_model: Any) -> Tap:
    """The tap that listens to a world model: the one that it has, or a new one.

    Raises:
        UnusableCacheError: kvparity does not know such a world model.
    """
    for name in (ATTRIBUTE, "past_kv_cache_recurrent_infer"):
        tap = getattr(getattr(world_model, name, None), "_tap", None)
        if isinstance(tap, Tap) and not tap.silent:
            return tap
    if has_manager(world_model):
        return ManagerTap(world_model)
    lacks = [name for name in ATTRIBUTES if not hasattr(world_model, name)]
    if lacks:
        raise UnusableCacheError(
            f"{type(world_model).__name__} is not a world model that kvparity knows: for LightZero 0.2.0 it lacks"
            f" {', '.join(lacks)}; for a later LightZero it lacks a {ATTRIBUTE} with KVCacheManager's methods"
        )
    return RingTap(world_model)


def spec_of(world_model: Any) -> CacheSpec:
    """The sizes of a world model's pools.

    Raises:
        UnusableCacheError: kvparity does not know such a world model.
    """
    return tap_of(world_model).spec


def identity_of(world_model: Any) -> str:
    """A digest of a model's weights: xxh3-128 over names and raw bytes."""
    digest = xxhash.xxh3_128()
    for name, tensor in world_model.state_dict().items():
        digest.update(name.encode())
        digest.update(raw_bytes(tensor))
    return digest.hexdigest()
