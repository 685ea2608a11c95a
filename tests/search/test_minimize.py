"""A failing stream is made small, and shows the same divergence still."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from kvparity import (
    RECUR,
    CacheSpec,
    Checkout,
    Clear,
    Comparison,
    Get,
    KnownDifference,
    Operation,
    Set,
    Trace,
    TraceWriter,
    UnusableCacheError,
    init,
    load_scenario,
)
from kvparity.cli import main
from kvparity.search.case import Case, Signature, first_divergence, plain
from kvparity.search.minimize import FlakyError, Minimal, Minimizer
from kvparity_refactored import KVCacheManager

if TYPE_CHECKING:
    from pathlib import Path

EVICTING_AGAINST_FIFO = Comparison("legacy-evicting", "refactored-fifo")


def minimal(comparison: Comparison, scenario: str, seed: int = 0, steps: int = 3000) -> tuple[Case, Minimal]:
    """The first divergence of a scenario, minimized."""
    found = load_scenario(scenario)
    case = Case(spec=found.spec, operations=tuple(islice(found.operations(seed), steps)))
    divergence = first_divergence(comparison, case.spec, case.operations)
    assert divergence is not None
    return case, Minimizer(comparison, case, Signature.of(divergence)).run()


@pytest.mark.parametrize("seed", range(5))
def test_the_reset_quirk_takes_four_operations(seed: int) -> None:
    """Set a key twice, set another, look the first one up."""
    _, found = minimal(EVICTING_AGAINST_FIFO, "revisit", seed)
    assert len(found.case) <= 5
    assert (found.divergence.kind, found.divergence.wrong) == ("presence", "reference")
    assert "the key was set again" in found.divergence.explanation


@pytest.mark.parametrize("seed", range(5))
def test_the_clear_quirk_takes_five_operations(seed: int) -> None:
    """Set a key, clear, set it again, set another, look the first one up."""
    _, found = minimal(EVICTING_AGAINST_FIFO, "clear-storm", seed)
    assert len(found.case) <= 6
    assert any(isinstance(operation, Clear) for operation in found.case.operations)
    assert "from before the clear" in found.divergence.explanation


def test_a_wrong_hit_takes_three_operations() -> None:
    """Set a key into a ring of one slot, set another, look the first one up."""
    _, found = minimal(Comparison("legacy-released", "refactored-fifo"), "pool-pressure")
    assert [type(operation) for operation in found.case.operations[:2]] == [Set, Set]
    assert len(found.case) == 3
    assert found.divergence.kind == "stale_hit"


@pytest.mark.parametrize("fault", ["one-working-copy", "lends-one-buffer"])
def test_what_is_noticed_late_is_kept_until_then(fault: str) -> None:
    """That what was lent has changed is told of the operation that lent it, and noticed by a later one."""
    comparison = Comparison("refactored-fifo", f"fault:{fault}")
    found = load_scenario("clear-storm")
    operations = tuple(islice(found.operations(0), 1500))
    log = comparison.scenario(found, seed=0, steps=1500)
    late = next(each for each in log.kept if each.candidate == "changed")
    small = Minimizer(comparison, Case(spec=found.spec, operations=operations), Signature.of(late)).run()
    assert small.divergence.candidate == "changed"
    assert small.divergence.number < len(small.case) - 1 < 10


def test_no_operation_can_be_left_out() -> None:
    """Without any one of the operations that are left, the divergence is not there."""
    _, found = minimal(EVICTING_AGAINST_FIFO, "revisit")
    operations, wanted = found.case.operations, Signature.of(found.divergence)
    for at in range(len(operations)):
        rest = operations[:at] + operations[at + 1 :]
        assert first_divergence(EVICTING_AGAINST_FIFO, found.case.spec, rest, wanted) is None
    assert found.needed is not None


def test_minimizing_is_deterministic() -> None:
    """Two searches end with the same case after as many tries."""
    (_, first), (_, second) = (minimal(EVICTING_AGAINST_FIFO, "revisit") for _ in range(2))
    assert repr(first.case.spec) == repr(second.case.spec)
    assert [_plainly(operation) for operation in first.case.operations] == [
        _plainly(operation) for operation in second.case.operations
    ]
    assert first.tries == second.tries


def _plainly(operation: Operation) -> Any:
    return replace(operation, value=None) if isinstance(operation, Set) else operation


def test_values_become_small_unless_the_divergence_is_theirs() -> None:
    """A presence difference needs no real tensors; a cast dtype does."""
    _, presence = minimal(EVICTING_AGAINST_FIFO, "revisit")
    _, dtype = minimal(Comparison("legacy-released", "refactored-fifo"), "multitask")
    assert presence.plain_values
    assert dtype.divergence.kind == "dtype"
    assert not dtype.plain_values


def test_a_divergence_of_another_kind_does_not_count() -> None:
    """A stream with two faults is minimized for the one that is asked for."""
    spec = CacheSpec(env_num=1, init_pool_size=1, num_simulations=2)
    wrong_hit = [Set(pool=init(0), key=key, value=plain(key)) for key in (1, 2)] + [Get(pool=init(0), key=1)]
    raises = [Get(pool=RECUR, key=7)]
    comparison = Comparison("legacy-released", "refactored-fifo")
    case = Case(spec=spec, operations=(*wrong_hit, *raises))
    wanted = first_divergence(comparison, spec, raises)
    assert wanted is not None
    assert wanted.kind == "error"
    found = Minimizer(comparison, case, Signature.of(wanted)).run()
    assert found.case.operations == (Get(pool=RECUR, key=1),)


def test_a_case_without_the_divergence_is_refused() -> None:
    """There is nothing to keep: whoever has seen it there has seen a cache that does not do the same twice."""
    case = Case(spec=CacheSpec(env_num=1), operations=(Checkout(env=0, key=1),))
    with pytest.raises(FlakyError, match="does not show the divergence"):
        Minimizer(EVICTING_AGAINST_FIFO, case, Signature("presence", "reference", "")).run()


def test_what_is_known_is_passed_over() -> None:
    """The first divergence that is not accepted is the one to minimize, and the small case shows that one."""
    accepted = KnownDifference(pattern="stale_hit *", side="candidate", reason="so it is", corruption=True)
    comparison = Comparison("legacy-evicting", "fault:working-copy-is-entry", known=[accepted])
    _, found = minimal(comparison, "revisit")
    assert (found.divergence.kind, found.divergence.wrong) == ("presence", "reference")


def test_a_small_case_is_not_one_that_is_known() -> None:
    """Environments are renumbered, and what is accepted of one is not what was found in another."""
    pool, spec = init(1), CacheSpec(env_num=2, init_pool_size=2, num_simulations=2)
    sets = [Set(pool=pool, key=key, value=plain(number)) for number, key in enumerate((1, 1, 2))]
    case = Case(spec=spec, operations=(*sets, Get(pool=pool, key=1)))
    for known, where in (
        ((), "init[0]"),
        ((KnownDifference(pattern="presence init[0]: *", side="any", reason="so it is"),), "init[1]"),
    ):
        comparison = Comparison("legacy-evicting", "refactored-fifo", known=known)
        divergence = first_divergence(comparison, spec, case.operations)
        assert divergence is not None
        assert Minimizer(comparison, case, Signature.of(divergence)).run().divergence.pool == where


def test_an_interrupt_keeps_the_best_so_far() -> None:
    """Ctrl-C ends the search with a case that shows the divergence."""
    found = load_scenario("revisit")
    case = Case(spec=found.spec, operations=tuple(islice(found.operations(0), 500)))
    divergence = first_divergence(EVICTING_AGAINST_FIFO, case.spec, case.operations)
    assert divergence is not None

    def interrupt(_operations: int, tries: int) -> None:
        if tries == 10:
            raise KeyboardInterrupt

    small = Minimizer(EVICTING_AGAINST_FIFO, case, Signature.of(divergence), progress=interrupt).run()
    assert small.interrupted
    assert 4 <= len(small.case) < len(case)


def record(path: Path, operations: list[Operation], spec: CacheSpec) -> None:
    """A trace of `operations`."""
    with TraceWriter(path, served_by="test") as writer:
        stream = writer.stream("test", spec)
        for operation in operations:
            writer.record(stream, operation)


@pytest.fixture
def revisit(tmp_path: Path) -> Path:
    """A recorded trace that shows the re-set quirk."""
    found, path = load_scenario("revisit"), tmp_path / "revisit.kvtrace"
    record(path, list(islice(found.operations(0), 1000)), found.spec)
    return path


def test_the_command_writes_a_trace_and_a_test(
    revisit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The small trace shows the divergence, and so does the pytest file beside it."""
    small = tmp_path / "small.kvtrace"
    assert main(["minimize", str(revisit), "-o", str(small)]) == 1
    printed = capsys.readouterr().out
    assert "minimal: 4 of" in printed
    assert "without operation 2 the divergence is gone: " in printed
    with Trace(small) as trace:
        assert len(trace) == 4
    assert main(["replay", str(small), "--quiet"]) == 1
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_small.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)  # noqa: S603
    assert done.returncode == 1, done.stdout + done.stderr
    assert "still named this key as its owner" in done.stdout


def test_the_small_trace_can_be_filed(revisit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the folder that the pytest plugin replays, which names both caches; never over another."""
    folder = tmp_path / "tests" / "regressions"
    arguments = ["minimize", str(revisit), "--regressions", str(folder)]
    assert main([*arguments, "-o", str(tmp_path / "small.kvtrace")]) == 1
    assert f"copied to {folder / 'small.kvtrace'}: pytest replays it from now on" in capsys.readouterr().out
    assert [path.name for path in folder.iterdir()] == ["small.kvtrace"]
    with Trace(folder / "small.kvtrace") as trace:
        assert (len(trace), trace.header.candidate) == (4, "refactored-fifo")
    other = tmp_path / "other"
    other.mkdir()
    assert main([*arguments, "-o", str(other / "small.kvtrace")]) == 2
    assert f"{folder / 'small.kvtrace'} exists already" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_told(
    revisit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line."""
    assert main(["minimize", str(revisit), "-o", str(tmp_path / "s.kvtrace"), "--regressions", "/dev/null/x"]) == 2
    assert "/dev/null/x/s.kvtrace cannot be written: Not a directory" in capsys.readouterr().err


def test_a_trace_in_parity_has_nothing_to_minimize(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says so, writes nothing and exits with 0."""
    found, path = load_scenario("mcts"), tmp_path / "mcts.kvtrace"
    record(path, list(islice(found.operations(0), 200)), found.spec)
    assert main(["minimize", str(path), "-o", str(tmp_path / "small.kvtrace")]) == 0
    assert "there is nothing to minimize" in capsys.readouterr().out
    assert not (tmp_path / "small.kvtrace").exists()


class Moody(KVCacheManager):
    """Misses once in every three runs of the same operations."""

    built = 0

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        type(self).built += 1

    def get_recur_cache(self, cache_key: int) -> Any:
        return None if self.built % 3 == 1 else super().get_recur_cache(cache_key)


def test_a_flaky_candidate_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A divergence that comes and goes cannot be minimized: one line, exit status 2."""
    path = tmp_path / "moody.kvtrace"
    spec = CacheSpec(env_num=1, init_pool_size=1, num_simulations=1)
    record(path, [Set(pool=RECUR, key=1, value=plain(1)), Get(pool=RECUR, key=1)], spec)
    Moody.built = 0
    options = ["--candidate", f"{__name__}:Moody"]
    assert main(["minimize", str(path), "-o", str(tmp_path / "small.kvtrace"), *options]) == 2
    error = capsys.readouterr().err
    assert "is flaky: the first run found presence at operation 1, the second found nothing" in error
    assert len(error.splitlines()) == 1


class Settles(KVCacheManager):
    """The first few of it that are built miss what a lookup in recur asks for; the later ones are sound."""

    built = 0
    faulty = 0

    def __init__(self, config: Any, env_num: int) -> None:
        super().__init__(config, env_num)
        type(self).built += 1
        self.number = self.built

    def get_recur_cache(self, cache_key: int) -> Any:
        return None if self.number <= self.faulty else super().get_recur_cache(cache_key)


@pytest.mark.parametrize("faulty", range(1, 9))
def test_a_candidate_that_becomes_sound_is_told(
    faulty: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it does: before the search, at its beginning, or in the middle; nothing is written."""
    path = tmp_path / "settles.kvtrace"
    spec = CacheSpec(env_num=2, init_pool_size=3, num_simulations=9)
    operations: list[Operation] = [Set(pool=RECUR, key=key, value=plain(key)) for key in range(1, 9)]
    record(path, [*operations, Get(pool=RECUR, key=5)], spec)
    monkeypatch.setattr(Settles, "built", 0)
    monkeypatch.setattr(Settles, "faulty", faulty)
    options = ["--candidate", f"{__name__}:Settles"]
    assert main(["minimize", str(path), "-o", str(tmp_path / "small.kvtrace"), *options]) == 2
    error = capsys.readouterr().err
    assert "Only a cache that does the same in every run can be minimized" in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_what_becomes_flaky_while_fuzzing_is_kept_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, and the fuzzing goes on."""

    def flaky(_self: Minimizer) -> None:
        raise FlakyError("not again")

    monkeypatch.setattr(Minimizer, "run", flaky)
    options = ["--candidate", "fault:forgets-v", "--examples", "20", "--seed", "0", "-o", str(tmp_path / "found")]
    assert main(["fuzz", *options]) == 1
    assert "flaky: stale_hit, wrong: candidate" in capsys.readouterr().out
    assert list((tmp_path / "found").glob("*.kvtrace"))


class Hangs(KVCacheManager):
    """Never comes back from a lookup in recur."""

    def get_recur_cache(self, cache_key: int) -> Any:
        while True:
            pass


def test_a_candidate_that_hangs_is_minimized(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the patience that the other commands have."""
    path = tmp_path / "hangs.kvtrace"
    record(path, [Set(pool=RECUR, key=1, value=plain(1)), Get(pool=RECUR, key=1)], CacheSpec(env_num=1))
    options = ["--candidate", f"{__name__}:Hangs", "--patience", "0.05s"]
    assert main(["minimize", str(path), "-o", str(tmp_path / "small.kvtrace"), *options]) == 1
    assert "it was still at work after 0.05 s, and is not asked again" in capsys.readouterr().out
    with Trace(tmp_path / "small.kvtrace") as trace:
        assert len(trace) == 1


ACCEPTED = """
[[known]]
pattern = "presence *"
side = "reference"
reason = "so it is"
"""


def test_the_command_passes_over_what_the_settings_accept(
    revisit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Corruption behind an accepted difference is found, and where there is nothing else, there is nothing to do."""
    settings = tmp_path / "settings.toml"
    settings.write_text(ACCEPTED)
    options = ["minimize", str(revisit), "--config", str(settings)]
    assert main([*options, "-o", str(tmp_path / "a.kvtrace")]) == 0
    assert "agree, except for accepted differences; there is nothing to minimize" in capsys.readouterr().out
    assert main([*options, "-o", str(tmp_path / "b.kvtrace"), "--candidate", "fault:forgets-v"]) == 1
    assert "wrong: candidate, reproducible)" in capsys.readouterr().out


def test_what_cannot_be_written_is_told_before_the_search(
    revisit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pytest file that is there already, a link that leads nowhere, a folder that is not there, no name at all."""
    monkeypatch.setattr(Minimizer, "run", lambda _: pytest.fail("it was begun"))
    (tmp_path / "test_small.py").write_text("precious")
    (tmp_path / "link.kvtrace").symlink_to(tmp_path / "nowhere")
    for output, message in (
        (tmp_path / "small.kvtrace", f"{tmp_path / 'test_small.py'} exists already"),
        (tmp_path / "link.kvtrace", f"{tmp_path / 'link.kvtrace'} exists already"),
        (tmp_path / "none" / "x.kvtrace", f"there is no directory {tmp_path / 'none'}"),
        (".", ". cannot be written: it is a directory"),
    ):
        assert main(["minimize", str(revisit), "-o", str(output)]) == 2
        assert message in capsys.readouterr().err
    assert (tmp_path / "test_small.py").read_text() == "precious"


def test_the_small_trace_may_be_written_where_it_is_filed(
    revisit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is there once, beside its pytest file, in a folder that is made."""
    folder = tmp_path / "tests" / "regressions"
    assert main(["minimize", str(revisit), "-o", str(folder / "c.kvtrace"), "--regressions", str(folder)]) == 1
    assert f"copied to {folder / 'c.kvtrace'}: " in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == ["c.kvtrace", "test_c.py"]


def test_an_existing_output_is_refused(revisit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is overwritten."""
    small = tmp_path / "small.kvtrace"
    small.write_text("precious")
    assert main(["minimize", str(revisit), "-o", str(small)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert small.read_text() == "precious"


def test_a_cache_that_cannot_be_built_is_told() -> None:
    """As everywhere."""
    with pytest.raises(UnusableCacheError):
        first_divergence(Comparison("legacy-evicting", "builtins:len"), CacheSpec(), [])
