"""A Hypothesis state machine over two caches: any operations in any order, each of them judged."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from hypothesis import strategies as st
from hypothesis import target
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kvparity.driving.comparison import Comparison
from kvparity.operations import ALL, ALL_INIT, RECUR, WM, Checkout, Clear, Get, PoolId, Set, Write, init
from kvparity.search.trial import Trial
from kvparity_scenarios.hypothesis_strategies import (
    MOST_SLOTS,
    entries,
    envs,
    keys,
    pieces,
    pools,
    priorities,
    specs,
    within,
)

if TYPE_CHECKING:
    from kvparity.caches.protocol import CacheSpec
    from kvparity.operations import Operation
    from kvparity.values.entry import KeysValues

_FRESH_KEYS = 1 << 20


class CacheMachine(RuleBasedStateMachine):
    """Does to two caches what a search does, and also what a search hardly ever does. Fails at the first divergence.

    A rule is one operation, or a few that belong together. A subclass sets the `comparison`; its `TestCase` is a test
    for pytest. The draws do not depend on the answers of the caches, so that an example can be repeated.
    """

    comparison: ClassVar[Comparison] = Comparison("legacy-evicting", "refactored-fifo")

    def new_trial(self, spec: CacheSpec) -> Trial:
        """A new trial, which does the operations of one example."""
        return Trial(self.comparison, spec)

    @initialize(spec=specs(), piece=pieces())
    def begin(self, spec: CacheSpec, piece: tuple[Operation, ...]) -> None:
        """Build both caches, and perhaps first do some operations of a real training."""
        self._spec = spec
        self._held: dict[PoolId, Counter[int]] = {pool: Counter() for pool in spec.pools}
        self._lent: deque[int] = deque(maxlen=spec.env_num)  # environments that still own a working copy
        self.trial = self.new_trial(spec)
        for operation in piece:
            self._do(operation)

    @rule(pool=pools(), key=keys(), value=entries(), priority=priorities())
    def set(self, pool: PoolId, key: int, value: KeysValues, priority: float | None) -> None:
        """Set an entry."""
        self._do(Set(pool=pool, key=key, value=value, priority=priority))

    @rule(pool=pools(), key=keys())
    def get(self, pool: PoolId, key: int) -> None:
        """Look up in one pool."""
        self._do(Get(pool=pool, key=key))

    @rule(env=envs(), key=keys())
    def checkout(self, env: int, key: int) -> None:
        """Check out a working copy, as a search does."""
        self._do(Checkout(env=env, key=key))

    @rule(env=envs(), fill=st.sampled_from((1.5, float("nan"))))
    def write(self, env: int, fill: float) -> None:
        """Write into a working copy that its environment still owns."""
        self._do(Write(env=env, fill=fill))

    @rule(env=envs(), parent=keys(), child=keys(), value=entries())
    def expand(self, env: int, parent: int, child: int, value: KeysValues) -> None:
        """Expand a node, as a search does: check it out, write into the copy, set the child, check that out."""
        self._do(Checkout(env=env, key=parent))
        self._do(Write(env=env, fill=0.5))
        self._do(Set(pool=RECUR, key=child, value=value))
        self._do(Checkout(env=env, key=child))

    @rule(pool=pools(), first=keys(), second=keys(), values=st.tuples(entries(), entries()))
    def reuse_producer(self, pool: PoolId, first: int, second: int, values: tuple[KeysValues, KeysValues]) -> None:
        """Set two keys from the producer's one object, and look the first up."""
        self._do(Set(pool=pool, key=first, value=values[0]))
        self._do(Set(pool=pool, key=second, value=values[1]))
        self._do(Get(pool=pool, key=first))

    @rule(pool=pools(), fresh=st.integers(0, 9), more=st.integers(0, MOST_SLOTS), value=entries())
    def overflow(self, pool: PoolId, fresh: int, more: int, value: KeysValues) -> None:
        """Set as many other keys as a small pool has slots, and a few more."""
        for key in range(_FRESH_KEYS + 100 * fresh, _FRESH_KEYS + 100 * fresh + MOST_SLOTS + more):
            self._do(Set(pool=pool, key=key, value=value))

    @rule(pool=pools() | st.sampled_from((ALL_INIT, ALL)))
    def clear(self, pool: PoolId) -> None:
        """Clear one pool, the init pools, or everything."""
        self._do(Clear(pool=pool))

    @rule(env=envs())
    def end_episode(self, env: int) -> None:
        """End an episode: clear the init pool of the environment, and recur."""
        self._do(Clear(pool=init(env)))
        self._do(Clear(pool=RECUR))

    @invariant()
    def statistics_are_right(self) -> None:
        """Check hits, misses, evictions and length."""
        self.trial.check_stats()

    def teardown(self) -> None:
        """Guide Hypothesis towards rings that wrap around, and towards keys that are set again."""
        if hasattr(self, "_held"):
            resets = sum(times - 1 for pool in self._held.values() for times in pool.values())
            beyond = sum(max(len(keys) - self._spec.slots(pool), 0) for pool, keys in self._held.items())
            target(float(resets), label="re-sets")
            target(float(beyond), label="wrap-arounds")

    def _do(self, operation: Operation) -> None:
        operation = within(operation, self._spec)
        if isinstance(operation, Set) and operation.pool == WM:
            # Under PRIORITY, a key with a priority would keep a slot that working copies need.
            operation = replace(operation, priority=None)
        match operation:
            case Set(pool=pool, key=key):
                self._held[pool][key] += 1
            case Checkout(env=env):
                self._lent.append(env)
            case Write(env=env) if env not in self._lent:
                return
        if isinstance(operation, Set | Clear) and operation.pool in (WM, ALL):
            self._lent.clear()  # the operation may take the slots of the working copies
        self.trial.apply(operation)
