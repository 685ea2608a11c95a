"""What a workload exercised: parity is proved only for what was tried."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Exercised:
    """What was exercised in the pools of one family.

    Attributes:
        pools: the number of pools.
        used: pools in which something was set.
        wrapped: pools that got more keys than they have slots, so that a ring wraps around.
        sets: all sets.
        resets: sets of a key that the pool held.
        hits: lookups that hit in an ideal cache with the reference's strategy; `misses` likewise.
        evictions: by side, evictions in an ideal cache with the strategy of that side.
        clears: clears of a pool that held something.
    """

    pools: int = 0
    used: int = 0
    wrapped: int = 0
    sets: int = 0
    resets: int = 0
    hits: int = 0
    misses: int = 0
    evictions: dict[str, int] = field(default_factory=lambda: {"reference": 0, "candidate": 0})
    clears: int = 0

    def __iadd__(self, other: Exercised) -> Exercised:
        for name in ("pools", "used", "wrapped", "sets", "resets", "hits", "misses", "clears"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for side, count in other.evictions.items():
            self.evictions[side] = self.evictions.get(side, 0) + count
        return self


@dataclass(slots=True, kw_only=True)
class Coverage:
    """What was exercised in the whole run.

    Attributes:
        families: by family of pools: `init`, `recur`, `wm`.
        strategies: by side and family, the declared eviction strategies.
        environments: the number of environments.
        environments_seen: environments with a set or a lookup in their own pool.
        kinds: the kinds of entries: layers, shape, dtype, device; not their sizes.
        kind_changes: how often an entry had another kind than the entry before it.
        working_copies: checkouts that gave one.
    """

    families: dict[str, Exercised] = field(default_factory=dict)
    strategies: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    environments: int = 0
    environments_seen: int = 0
    kinds: list[str] = field(default_factory=list)
    kind_changes: int = 0
    working_copies: int = 0

    def __iadd__(self, other: Coverage) -> Coverage:
        for family, exercised in other.families.items():
            self.families.setdefault(family, Exercised())
            self.families[family] += exercised
        for side, families in other.strategies.items():
            for family, names in families.items():
                known = self.strategies.setdefault(side, {}).setdefault(family, [])
                known += [name for name in names if name not in known]
        self.kinds += [kind for kind in other.kinds if kind not in self.kinds]
        for name in ("environments", "environments_seen", "kind_changes", "working_copies"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self
