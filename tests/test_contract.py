"""The contract as users get it: which cache it is about, what it finds, and in which words it fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.contract import CacheContract
from harness.loading import CACHES, installed
from scenarios.faults import FAULTS

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("loaded")

THREE_LINES = "from harness.contract import SPEC, CacheContract\n\nclass TestMine(CacheContract):\n    {body}\n"
PROMISES = [name for name in dir(CacheContract) if name.startswith("test_")]


def outcome(pytester: pytest.Pytester, body: str = "pass", *options: str) -> pytest.RunResult:
    """How a class of that body fares."""
    pytester.makepyfile(THREE_LINES.format(body=body))
    return pytester.runpytest_inprocess("-q", *options)


def failed(result: pytest.RunResult) -> set[str]:
    """The promises that were not kept."""
    lines = [line for line in result.outlines if line.startswith("FAILED")]
    return {line.partition("TestMine::")[2].partition("[")[0].partition(" ")[0] for line in lines}


@pytest.mark.parametrize("name", sorted({*installed(CACHES)} - {"legacy-released"}))
def test_every_cache_of_ours_keeps_it(pytester: pytest.Pytester, name: str) -> None:
    """But for the released generation, which is known not to."""
    result = outcome(pytester, "pass", f"--kv-candidate={name}")
    counts = result.parseoutcomes()
    assert set(counts) == {"passed"}
    assert counts["passed"] > len(PROMISES)


def test_the_example_of_adding_a_cache_keeps_it(pytester: pytest.Pytester) -> None:
    """What docs/adding-a-cache.md shows is a cache to begin with."""
    page = (Path(__file__).parent.parent / "docs" / "adding-a-cache.md").read_text()
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
    """The test that fails is named after what is wrong."""
    assert fault in FAULTS
    assert promise in failed(outcome(pytester, f"cache = 'fault:{fault}'"))


def test_a_failure_says_what_differs(pytester: pytest.Pytester) -> None:
    """In the words of the comparison."""
    result = outcome(pytester, "cache = 'fault:forgets-sizes'", "-x")
    result.stdout.fnmatch_lines(
        ["E *Error: the cache's answer is not what was set last (expected != given): layer 0, K: the sizes do not *"]
    )


def test_an_assertion_of_the_contract_shows_its_values(pytester: pytest.Pytester) -> None:
    """As one in a test file would: the plugin has pytest rewrite them."""
    pytester.makepyfile(
        counting="""
        from harness import PoolStats
        from scenarios.sound import SoundCache

        class Lies(SoundCache):
            def stats(self, pool):
                return PoolStats(hits=7)
        """
    )
    result = outcome(pytester, "cache = 'counting:Lies'", "-k", "counts_hits")
    result.stdout.fnmatch_lines(["E *AssertionError: the statistics of * are not what happened", "E *'hits': 7*"])


@pytest.mark.parametrize(
    "body",
    [
        "cache = 'scenarios.sound:SoundCache'",
        "from scenarios.sound import SoundCache as cache",
        "from scenarios.sound import SoundCache; cache = lambda config, env_num: TestMine.SoundCache(config, env_num)",
        "from scenarios import sound; build = lambda self: TestMine.sound.SoundCache(SPEC.config(), SPEC.env_num)",
    ],
    ids=["name", "class", "factory", "build"],
)
def test_a_cache_is_a_name_a_class_a_factory_or_built(pytester: pytest.Pytester, body: str) -> None:
    """Each is the same cache, whatever the options say."""
    result = outcome(pytester, body, "--kv-candidate=fault:forgets-v", "-k", "test_gives_back_what_was_set")
    result.assert_outcomes(passed=3, deselected=result.parseoutcomes()["deselected"])


def test_without_a_cache_it_is_the_ini_files_candidate(pytester: pytest.Pytester) -> None:
    """Where no option names another."""
    pytester.makeini("[pytest]\nkv_candidate = fault:forgets-v\n")
    selected = ("-k", "test_gives_back_what_was_set")
    assert outcome(pytester, "pass", *selected).parseoutcomes()["failed"] == 3
    assert outcome(pytester, "pass", *selected, "--kv-candidate=refactored-lru").parseoutcomes()["passed"] == 3


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("cache = 'nonsense'", "there is no cache 'nonsense': did you mean *"),
        ("cache = dict", "dict cannot be built with (config, env_num=2): TypeError: dict expected at most 1 argument*"),
        ("cache = 3", "3 is not a cache: it is a int, expected a class or factory called with (config, env_num)"),
    ],
)
def test_a_cache_that_cannot_be_built_is_one_line(pytester: pytest.Pytester, body: str, line: str) -> None:
    """In each test, without a traceback."""
    result = outcome(pytester, body, "-k", "a_get_repeats")
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*test_a_get_repeats*", line, "*short test summary info*"], consecutive=True)


@pytest.mark.parametrize(
    ("refusal", "counted"),
    [("raise IndexError(env)", {"passed": 2}), ("env %= self.env_num", {"failed": 2})],
    ids=["raises", "wraps"],
)
def test_an_environment_that_there_is_not_may_be_refused_in_any_way(
    pytester: pytest.Pytester, refusal: str, counted: dict[str, int]
) -> None:
    """With whatever exception; answering from another environment's pool is no refusal."""
    pytester.makepyfile(
        ranges=f"""
        from harness.operations import init
        from scenarios.sound import SoundCache

        class Mine(SoundCache):
            def pool(self, name):
                env = name.env
                if env is not None and not 0 <= env < self.env_num:
                    {refusal}
                return super().pool(name if env is None else init(env))
        """
    )
    counts = outcome(pytester, "cache = 'ranges:Mine'", "-k", "there_is_not_is_refused").parseoutcomes()
    assert {name: count for name, count in counts.items() if name != "deselected"} == counted


def test_a_cache_without_statistics_promises_none(pytester: pytest.Pytester) -> None:
    """Its tests of them are skipped, and say so."""
    pytester.makepyfile(
        silent="""
        from scenarios.sound import SoundCache

        class Mine(SoundCache):
            stats = None
        """
    )
    result = outcome(pytester, "cache = 'silent:Mine'", "-rs", "-k", "Mine and counts")
    counts = result.parseoutcomes()
    assert "failed" not in counts
    assert counts["skipped"] == 5
    result.stdout.fnmatch_lines(["SKIPPED*the cache has no statistics"])
