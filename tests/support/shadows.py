"""A candidate in the shadow of a correct cache, small entries, and what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvparity import (
    CacheSpec,
    Divergence,
    KeysValues,
    ShadowCache,
)
from kvparity_scenarios.correct_cache import CorrectCache
from kvparity_scenarios.faults import FAULTS

if TYPE_CHECKING:
    from kvparity import Cache

SPEC = CacheSpec(env_num=2, init_pool_size=2, num_simulations=2)
ROOMY = CacheSpec(env_num=2, init_pool_size=50, num_simulations=50)


def value(number: float, *, tokens: int = 2) -> KeysValues:
    """An entry `[1, 1, tokens, 2]` x 2 of that number."""
    entry = KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=tokens, head_dim=2, size=1)
    for layer in entry._keys_values:
        layer._k_cache._cache.fill_(number)
        layer._v_cache._cache.fill_(-number)
    return entry


def shadow(candidate: Cache, reference: Cache | None = None, spec: CacheSpec = ROOMY, **options: Any) -> ShadowCache:
    """`candidate` in the shadow of a correct cache."""
    return ShadowCache(reference=reference or correct(spec), candidate=candidate, spec=spec, **options)


def fault(name: str, spec: CacheSpec = ROOMY) -> Cache:
    """A cache of the gallery, of these sizes."""
    return FAULTS[name](spec.config(), spec.env_num)


def correct(spec: CacheSpec = ROOMY) -> Cache:
    """A cache without a fault, which evicts first in, first out."""
    return CorrectCache(spec.config(), spec.env_num)


def only(cache: ShadowCache) -> Divergence:
    """The one divergence that there is."""
    assert cache.log.total == 1, cache.log.kept
    return cache.log.kept[0]


def found(cache: ShadowCache) -> tuple[str, str, str]:
    """Kind, severity and side of the one divergence that there is."""
    divergence = only(cache)
    return divergence.kind, divergence.severity, divergence.wrong
