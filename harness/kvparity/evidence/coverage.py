"""What a workload exercised: a claim of parity is worth as much as was tried."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Exercised:
    """What was exercised in the pools of one family.

    Attributes:
        pools: that there are.
        used: of these, the ones in which something was set.
        wrapped: of these, the ones that were filled beyond their slots, so that a ring comes round.
        sets: in all.
        resets: of these, the ones of a key that was held.
        hits: lookups that an ideal of the reference's strategy answers; `misses` likewise.
        evictions: by side, of an ideal of its strategy.
        clears: of a pool that held something.
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
    """What was exercised in all.

    Attributes:
        families: by family of pools: `init`, `recur`, `wm`.
        strategies: by side and family, the eviction strategies that were declared.
        environments: that there were.
        environments_seen: of these, the ones with a set or a lookup in their own pool.
        kinds: what entries looked like: layers, shape, dtype, device; without their sizes.
        kind_changes: how often an entry was of another kind than the one before it.
        working_copies: that were checked out.
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
