"""The contract as users run it: which cache it tests, what it finds, and what its failures say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from kvparity.contract import CacheContract
from kvparity.operations import ALL_INIT, WM, PoolId, init
from kvparity.registry import CACHES, installed
from kvparity.values.entry import KeysValues, clone, read
from kvparity_scenarios.correct_cache import CorrectCache, Pool
from kvparity_scenarios.faults import FAULTS

if TYPE_CHECKING:
    from types import SimpleNamespace

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("loaded")

THREE_LINES = "from kvparity.contract import SPEC, CacheContract\n\nclass TestMine(CacheContract):\n    {body}\n"
PROMISES = [name for name in dir(CacheContract) if name.startswith("test_")]


def outcome(pytester: pytest.Pytester, body: str = "pass", *options: str) -> pytest.RunResult:
    """What pytest reports for a contract class with this body."""
    pytester.makepyfile(THREE_LINES.format(body=body))
    return pytester.runpytest_inprocess("-q", *options)


def failed(result: pytest.RunResult) -> set[str]:
    """The names of the failed tests."""
    lines = [line for line in result.outlines if line.startswith("FAILED")]
    return {line.partition("TestMine::")[2].partition("[")[0].partition(" ")[0] for line in lines}


@pytest.mark.parametrize("name", sorted({*installed(CACHES)} - {"legacy-released"}))
def test_every_cache_of_ours_keeps_it(pytester: pytest.Pytester, name: str) -> None:
    """All caches of kvparity pass, except the released generation, which is known to fail."""
    result = outcome(pytester, "pass", f"--kv-candidate={name}")
    counts = result.parseoutcomes()
    assert set(counts) == {"passed"}
    assert counts["passed"] > len(PROMISES)


def test_the_example_of_adding_a_cache_keeps_it(pytester: pytest.Pytester) -> None:
    """The example in docs/adding-a-cache.md passes."""
    page = (Path(__file__).parents[2] / "docs" / "adding-a-cache.md").read_text()
    [example, *_] = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (pytester.path / "example.py").write_text(example)
    assert set(outcome(pytester, "cache = 'example:TwoLineCache'").parseoutcomes()) == {"passed", "skipped"}


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        ("by-reference", "test_a_producer_may_put_other_tensors_into_its_object"),
        ("forgets-v", "test_gives_back_what_was_set"),
        ("writes-into-source", "test_a_set_leaves_its_source_alone"),
        ("keeps-old-dtype", "test_takes_a_value_of_another_kind"),
        ("keys-lose-upper-half", "test_keys_have_64_bits"),
        ("shares-init-pools", "test_environments_do_not_share_entries"),
        ("mixes-init-and-recur", "test_pools_do_not_share_entries"),
        ("working-copy-is-entry", "test_writing_into_a_working_copy_changes_no_entry"),
        ("raises-now-and-then", "test_a_hit_is_what_was_set_last"),
        ("counts-updates-as-evictions", "test_a_key_that_is_set_again_is_no_eviction"),
    ],
)
def test_a_faulty_cache_breaks_the_promise_that_it_should(pytester: pytest.Pytester, fault: str, promise: str) -> None:
    """The name of a failing test says what is wrong."""
    assert fault in FAULTS
    assert promise in failed(outcome(pytester, f"cache = 'fault:{fault}'"))


# ---------------------------------------------------------------------- faults of init pools only


class SpoilsInit(CorrectCache):
    """Changes what an init pool has just stored; `spoilt` says how."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        """Store correctly, then change the stored entry."""
        super().set(pool, key, value, priority=priority)
        if pool.family == "init":
            held = self.pool(pool)
            slot = held.held[key]
            held.slots[slot] = self.spoilt(value, held.slots[slot])

    def spoilt(self, value: Any, stored: Any) -> Any:
        """What is stored instead."""
        raise NotImplementedError


class KeepsWhatRequiresGrad(SpoilsInit):
    """Stores tensors that require grad by reference."""

    def spoilt(self, value: Any, stored: Any) -> Any:
        return KeysValues(*read(value)) if read(value)[0][0].requires_grad else stored


class AdoptsItsWorkingCopy(SpoilsInit):
    """Stores a working copy by reference if it is set as a value."""

    def spoilt(self, value: Any, stored: Any) -> Any:
        return value if any(value is slot for slot in self.pools[WM].slots) else stored


class GivesVTheShapeOfK(SpoilsInit):
    """Stores V with the shape of K, filled with one number."""

    def spoilt(self, value: Any, stored: Any) -> Any:
        for layer in stored._keys_values:
            k, v = layer._k_cache._cache, layer._v_cache._cache
            if k.shape != v.shape:
                layer._v_cache._cache = v.flatten()[0].expand(k.shape).clone()
        return stored


class ReadsInTheOrderOfMemory(SpoilsInit):
    """Copies the memory of a tensor and ignores its strides."""

    def spoilt(self, value: Any, stored: Any) -> Any:
        for source, target in zip(read(value)[0], read(stored)[0], strict=True):
            if not source.is_contiguous() and source.untyped_storage().nbytes() >= target.nbytes:
                target.copy_(source.detach().as_strided(target.shape, target.stride(), 0))
        return stored


class TakesAnything(CorrectCache):
    """Accepts any value in init pools, and does not raise."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        if pool.family != "init" or isinstance(value, KeysValues):
            super().set(pool, key, value, priority=priority)


class EmptiesTheSlotFirst(CorrectCache):
    """Clears a held entry before it copies, even if that entry is the value, in init pools."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        if pool.family == "init" and any(value is slot for slot in self.pool(pool).slots):
            for tensor in read(value)[0]:
                tensor.zero_()
        super().set(pool, key, value, priority=priority)


# ---------------------------------------------------------------------- faults of every pool


class EmptiesTheVictimFirst(CorrectCache):
    """Clears the evicted entry before it copies, even if that entry is the value."""

    def make_room(self, pool: Pool) -> int:
        slot = super().make_room(pool)
        if pool.slots[slot] is not None:
            for tensor in read(pool.slots[slot])[0]:
                tensor.zero_()
        return slot


class TakesZerosForAMiss(CorrectCache):
    """Treats an entry of zeros as an empty slot."""

    def look_up(self, pool: Pool, key: int) -> KeysValues | None:
        found = super().look_up(pool, key)
        return found if found is not None and any(tensor.any() for tensor in read(found)[0]) else None


class LeavesWhatIsEqual(CorrectCache):
    """Does not copy a value that compares equal to the held one, as -0.0 does to 0.0."""

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        (tensors, sizes), (others, lengths) = read(value), read(target or KeysValues([], []))
        alike = sizes == lengths and all(map(torch.equal, tensors, others))
        return target if target is not None and alike else super().copy(value, target)


class SpoilsKinds(CorrectCache):
    """Stores clones, but changes tensors of some kind; `spoilt` says which."""

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        """Copy correctly, then change the copy."""
        copied = clone(value)
        return KeysValues([self.spoilt(tensor, target) for tensor in read(copied)[0]], read(copied)[1])

    def spoilt(self, tensor: torch.Tensor, target: KeysValues | None) -> torch.Tensor:
        """What is stored instead."""
        raise NotImplementedError


class RepeatsTheFirstSample(SpoilsKinds):
    """Stores the first sample for all samples."""

    def spoilt(self, tensor: torch.Tensor, target: KeysValues | None) -> torch.Tensor:
        del target
        return tensor[:1].expand(tensor.shape).clone()


class FlattensTheEmpty(SpoilsKinds):
    """Stores empty tensors with one dimension."""

    def spoilt(self, tensor: torch.Tensor, target: KeysValues | None) -> torch.Tensor:
        del target
        return tensor if tensor.numel() else tensor.flatten()


class KeepsTheRealPart(SpoilsKinds):
    """Stores only the real part of complex numbers."""

    def spoilt(self, tensor: torch.Tensor, target: KeysValues | None) -> torch.Tensor:
        del target
        return tensor.real.to(tensor.dtype)


class RoundsIntegers(SpoilsKinds):
    """Stores integers as floats, which rounds them."""

    def spoilt(self, tensor: torch.Tensor, target: KeysValues | None) -> torch.Tensor:
        del target
        return tensor.float().to(tensor.dtype) if tensor.dtype == torch.int64 else tensor


class CastsToTheOtherHalf(SpoilsKinds):
    """Stores bfloat16 as float16 if the slot held float16."""

    def spoilt(self, tensor: torch.Tensor, target: KeysValues | None) -> torch.Tensor:
        was_half = target is not None and read(target)[0][0].dtype == torch.float16
        return tensor.half() if was_half and tensor.dtype == torch.bfloat16 else tensor


class KeepsTheLongerShape(SpoilsKinds):
    """Keeps the old shape if a key is set again with fewer tokens."""

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        self.again = key in self.pool(pool).held
        super().set(pool, key, value, priority=priority)

    def spoilt(self, tensor: torch.Tensor, target: KeysValues | None) -> torch.Tensor:
        was = tensor if target is None or not self.again else read(target)[0][0]
        surplus = was.shape[2] - tensor.shape[2]
        return torch.nn.functional.pad(tensor, (0, 0, 0, surplus)) if surplus > 0 else tensor


class CountsTokensInAByte(CorrectCache):
    """Stores sizes in a signed byte."""

    def copy(self, value: Any, target: KeysValues | None) -> KeysValues:
        del target
        tensors, sizes = read(clone(value))
        return KeysValues(tensors, [(size + 128) % 256 - 128 for size in sizes])


class HashesKeys(CorrectCache):
    """Stores keys by their Python hash: modulo 2**61 - 1."""

    def key(self, key: int) -> int:
        return hash(key)


class HasFourEnvironments(CorrectCache):
    """Has four environments, and uses the first for the fifth."""

    def __init__(self, config: SimpleNamespace, env_num: int) -> None:
        super().__init__(config, env_num)
        self.pools.update({init(env): self.pools[init(env % 4)] for env in range(4, env_num)})


class ForgetsToClearTheLast(CorrectCache):
    """Does not clear the last of more than two init pools."""

    def clear(self, pool: PoolId) -> None:
        several = pool == ALL_INIT and self.env_num > 2
        for each in [init(env) for env in range(self.env_num - 1)] if several else [pool]:
            super().clear(each)


class UndoesAClear(CorrectCache):
    """Restores the keys of a cleared pool at the next clear."""

    def forget(self, pool: Pool) -> None:
        kept = getattr(self, "kept", {})
        if not pool.held and id(pool) in kept:
            pool.held, pool.priorities, pool.free = kept.pop(id(pool))
        else:
            self.kept = {**kept, id(pool): (pool.held.copy(), pool.priorities.copy(), pool.free)}
            super().forget(pool)


class RemembersTheLastCheckout(CorrectCache):
    """Answers a repeated checkout from memory, until a key of recur is set."""

    last: tuple[int, int] | None = None

    def set(self, pool: PoolId, key: int, value: Any, *, priority: float | None = None) -> None:
        if pool.family != "init":
            self.last = None
        super().set(pool, key, value, priority=priority)

    def checkout(self, env: int, key: int) -> Any | None:
        if self.last != (env, key):
            self.last, self.found = (env, key), clone(found) if (found := super().checkout(env, key)) else None
        return self.found and self.working_copy(self.found)


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        (KeepsWhatRequiresGrad, "test_takes_a_source_that_requires_grad"),
        (AdoptsItsWorkingCopy, "test_takes_back_a_working_copy"),
        (GivesVTheShapeOfK, "test_takes_tensors_that_differ_in_kind_within_one_value"),
        (ReadsInTheOrderOfMemory, "test_takes_views_that_are_not_contiguous"),
        (TakesAnything, "test_rubbish_is_refused"),
        (EmptiesTheSlotFirst, "test_takes_what_it_lent"),
        (EmptiesTheVictimFirst, "test_takes_what_it_lent_under_another_key"),
        (TakesZerosForAMiss, "test_zeros_keep_their_sign"),
        (LeavesWhatIsEqual, "test_zeros_keep_their_sign"),
        (RepeatsTheFirstSample, "test_takes_a_value_of_another_kind"),
        (FlattensTheEmpty, "test_takes_a_value_of_another_kind"),
        (KeepsTheRealPart, "test_takes_a_value_of_another_kind"),
        (RoundsIntegers, "test_takes_a_value_of_another_kind"),
        (CountsTokensInAByte, "test_takes_a_value_of_another_kind"),
        (CastsToTheOtherHalf, "test_a_key_may_change_its_kind"),
        (KeepsTheLongerShape, "test_a_key_may_change_its_kind"),
        (HashesKeys, "test_keys_have_64_bits"),
        (HasFourEnvironments, "test_environments_do_not_share_entries"),
        (ForgetsToClearTheLast, "test_a_clear_of_all_init_pools_spares_the_others"),
        (UndoesAClear, "test_a_clear_forgets_every_key"),
        (RemembersTheLastCheckout, "test_a_checkout_gives_what_was_set"),
    ],
)
def test_a_rare_fault_breaks_a_promise_too(pytester: pytest.Pytester, fault: type[CorrectCache], promise: str) -> None:
    """The contract finds faults of one pool only, and of values, keys and numbers that are rare in workloads."""
    assert promise in failed(outcome(pytester, f"cache = '{__name__}:{fault.__name__}'", "-k", promise))


def test_a_failure_says_what_differs(pytester: pytest.Pytester) -> None:
    """A failing test shows the first difference, as a comparison does."""
    result = outcome(pytester, "cache = 'fault:forgets-sizes'", "-x")
    result.stdout.fnmatch_lines(
        ["E *Error: the cache's answer is not the value that was set last (expected != returned): *, K: the sizes *"]
    )


def test_an_assertion_of_the_contract_shows_its_values(pytester: pytest.Pytester) -> None:
    """Assertions show their values, as in a test file: the plugin lets pytest rewrite them."""
    pytester.makepyfile(
        counting="""
        from kvparity import PoolStats
        from kvparity_scenarios.correct_cache import CorrectCache

        class Lies(CorrectCache):
            def stats(self, pool):
                return PoolStats(hits=7)
        """
    )
    result = outcome(pytester, "cache = 'counting:Lies'", "-k", "counts_hits")
    result.stdout.fnmatch_lines(["E *AssertionError: the statistics of * do not count what happened", "E *'hits': 7*"])


@pytest.mark.parametrize(
    "body",
    [
        "cache = 'kvparity_scenarios.correct_cache:CorrectCache'",
        "from kvparity_scenarios.correct_cache import CorrectCache as cache",
        "from kvparity_scenarios.correct_cache import CorrectCache as One; cache = lambda *sizes: TestMine.One(*sizes)",
        "from kvparity_scenarios import correct_cache as m; build = lambda _: TestMine.m.CorrectLru(SPEC.config(), 5)",
    ],
    ids=["name", "class", "factory", "build"],
)
def test_a_cache_is_a_name_a_class_a_factory_or_built(pytester: pytest.Pytester, body: str) -> None:
    """All four ways test the same cache, whatever the options say."""
    result = outcome(pytester, body, "--kv-candidate=fault:forgets-v", "-k", "test_gives_back_what_was_set")
    result.assert_outcomes(passed=3, deselected=result.parseoutcomes()["deselected"])


def test_without_a_cache_it_is_the_ini_files_candidate(pytester: pytest.Pytester) -> None:
    """The candidate of the ini file is tested, unless an option names another."""
    pytester.makeini("[pytest]\nkv_candidate = fault:forgets-v\n")
    selected = ("-k", "test_gives_back_what_was_set")
    assert outcome(pytester, "pass", *selected).parseoutcomes()["failed"] == 3
    assert outcome(pytester, "pass", *selected, "--kv-candidate=refactored-lru").parseoutcomes()["passed"] == 3


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("cache = 'nonsense'", "there is no cache 'nonsense': did you mean *"),
        ("cache = dict", "dict cannot be built with (config, env_num=5): TypeError: dict expected at most 1 argument*"),
        ("cache = 3", "3 is not a cache: it is a int, expected a class or factory called with (config, env_num)"),
    ],
)
def test_a_cache_that_cannot_be_built_is_one_line(pytester: pytest.Pytester, body: str, line: str) -> None:
    """Each test fails with one line and without a traceback."""
    result = outcome(pytester, body, "-k", "of_an_unknown_key_misses")
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*of_an_unknown_key_misses*", line, "*short test summary info*"], consecutive=True)


@pytest.mark.parametrize(
    ("refusal", "counted"),
    [("raise IndexError(env)", {"passed": 2}), ("env %= self.env_num", {"failed": 2})],
    ids=["raises", "wraps"],
)
def test_an_environment_that_does_not_exist_may_raise_anything(
    pytester: pytest.Pytester, refusal: str, counted: dict[str, int]
) -> None:
    """Any exception is fine; an answer from another environment's pool is not."""
    pytester.makepyfile(
        ranges=f"""
        from kvparity.operations import init
        from kvparity_scenarios.correct_cache import CorrectCache

        class Mine(CorrectCache):
            def pool(self, name):
                env = name.env
                if env is not None and not 0 <= env < self.env_num:
                    {refusal}
                return super().pool(name if env is None else init(env))
        """
    )
    counts = outcome(pytester, "cache = 'ranges:Mine'", "-k", "does_not_exist_raises").parseoutcomes()
    assert {name: count for name, count in counts.items() if name != "deselected"} == counted


def test_a_cache_without_statistics_promises_none(pytester: pytest.Pytester) -> None:
    """The tests of statistics are skipped, and say so."""
    pytester.makepyfile(
        silent="""
        from kvparity_scenarios.correct_cache import CorrectCache

        class Mine(CorrectCache):
            stats = None
        """
    )
    result = outcome(pytester, "cache = 'silent:Mine'", "-rs", "-k", "Mine and counts")
    counts = result.parseoutcomes()
    assert "failed" not in counts
    assert counts["skipped"] == 5
    result.stdout.fnmatch_lines(["SKIPPED*the cache has no statistics"])


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("None", "returned None, *: a NoneType has no statistics: *"),
        ("{'hits': 0}", "returned {'hits': 0}, *: a dict has no statistics: *"),
        ("PoolStats(hits='many', misses=0)", "returned PoolStats(*, *: hits is a str, expected an integer"),
    ],
)
def test_what_is_no_statistics_is_one_sentence(pytester: pytest.Pytester, said: str, reason: str) -> None:
    """It says what was returned, what was expected, and that None stands for a missing counter."""
    pytester.makepyfile(
        odd=f"""
        from kvparity import PoolStats
        from kvparity_scenarios.correct_cache import CorrectCache

        class Says(CorrectCache):
            def stats(self, pool):
                return {said}
        """
    )
    result = outcome(pytester, "cache = 'odd:Says'", "-k", "counts_hits")
    result.stdout.fnmatch_lines([f"E *AssertionError: stats(init[[]0]) {reason}"])
    result.stdout.fnmatch_lines(["E * expected a kvparity.PoolStats, with None for what the cache does not count: *"])


def test_statistics_may_lack_a_counter(pytester: pytest.Pytester) -> None:
    """Missing counters are not tested, the others are."""
    pytester.makepyfile(
        few="""
        from types import SimpleNamespace
        from kvparity_scenarios.correct_cache import CorrectCache

        class Few(CorrectCache):
            def stats(self, pool):
                return SimpleNamespace(hits=super().stats(pool).hits)
        """
    )
    counts = outcome(pytester, "cache = 'few:Few'", "-k", "counts or counters").parseoutcomes()
    assert "failed" not in counts
    assert counts["skipped"] == 2  # those of keys and evictions
