"""Benches as files, and compared with earlier ones."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kvparity.bench.baseline import check, compare
from kvparity.bench.counts import Counts
from kvparity.bench.estimate import Estimate, estimate
from kvparity.bench.json_file import read_bench, write_bench
from kvparity.bench.memory import Memory
from kvparity.bench.pool_sizes import Curve, Point, Sweep
from kvparity.bench.result import Bench, Figures, Latency, Machine, Run, Settings
from kvparity.bench.tables import render_comparison
from kvparity.caches.protocol import CacheSpec
from kvparity.errors import UsageError
from kvparity.evidence.provenance import Provenance

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = Settings(reference="old", candidates=("new", "third"), repeats=6, steps=100, seed=0, entry=None)
MACHINE = Machine(processor="some", cores=2, core=None, load=0.5)
ORIGIN = Provenance(command="kvparity bench", began="", versions={"python": "3"}, machine="any", device="cpu")


def exactly(number: float) -> Estimate:
    """An estimate without spread."""
    return estimate([number] * 6)


def run(**ratios: dict[str, float]) -> Run:
    """A workload in which each candidate has these ratios."""
    latency = Latency(p50_us=exactly(1), p90_us=exactly(2), p99_us=exactly(3), max_us=4.0)
    figures = Figures(
        operations_per_s=exactly(1000),
        own_us=exactly(1.5),
        latencies={"set": latency},
        counts=Counts(lookups=3, hits=2, evictions=None, bytes_moved=100),
        memory=Memory(peak_bytes=5, steady_bytes=4, growth_bytes=0, python_bytes=9, allocations=1),
    )
    point = Point(size=8, misses=1, checkout_misses=2)
    curve = Curve(strategy="fifo", points=(point,), needed=8, nearly=8)
    swept = Sweep(stream=0, family="recur", step=8, size=8, filled=8, lookups=9, checkouts=9, curves=(curve,))
    return Run(
        workload="mcts",
        specs=(CacheSpec(env_num=8),),
        operations={"set": 100},
        offered=None,
        values="small",
        figures={"old": figures},
        ratios={name: {measure: exactly(ratio) for measure, ratio in each.items()} for name, each in ratios.items()},
        failures={"third": "raised KeyError: 3"},
        sweeps=(swept,),
    )


def bench(**ratios: dict[str, float]) -> Bench:
    """One with that one workload."""
    return Bench(settings=SETTINGS, provenance=ORIGIN, machine=MACHINE, runs=(run(**ratios),))


# ---------------------------------------------------------------- files


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Every figure."""
    path, written = tmp_path / "bench.json", bench(new={"time": 0.61, "set": 1.0})
    write_bench(written, path)
    assert read_bench(path) == written


def test_the_overall_ratio_is_where_programs_look_for_it(tmp_path: Path) -> None:
    """`runs[].ratios[candidate].time`, with its interval."""
    path = tmp_path / "bench.json"
    write_bench(bench(new={"time": 0.61}), path)
    fields = json.loads(path.read_text())
    assert fields["schema"] == 1
    assert fields["runs"][0]["ratios"]["new"]["time"] == {
        "median": 0.61, "low": 0.61, "high": 0.61, "confidence": 0.96875, "repeats": 6
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", "is not a bench"),
        ("[]", "is not a bench: expected what `kvparity bench --json FILE` writes"),
        ('{"schema": 1, "workload": "mcts"}', "is not a bench: expected what"),
        ('{"schema": true, "settings": {}}', "is not a bench"),
        ('{"schema": 99, "settings": {}}', "has bench schema 99; this kvparity reads schemas up to 1: upgrade it"),
        ('{"schema": 1, "settings": {}}', "is not a bench: bench has the fields"),
    ],
)
def test_what_is_no_bench_is_told(text: str, message: str, tmp_path: Path) -> None:
    """Other files, and files of the future."""
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"bench\.json") as refusal:
        read_bench(path)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("where", "value"),
    [("runs", 3), ("interrupted", "no"), ("runs", [{}]), ("machine", None), ("settings", [])],
)
def test_a_field_of_another_type_is_told(where: str, value: object, tmp_path: Path) -> None:
    """With its name, and without a traceback."""
    path = tmp_path / "bench.json"
    write_bench(bench(new={"time": 1.0}), path)
    fields = {**json.loads(path.read_text()), where: value}
    path.write_text(json.dumps(fields))
    with pytest.raises(UsageError, match=f"is not a bench: bench.{where}"):
        read_bench(path)


def test_a_size_that_cannot_be_is_told(tmp_path: Path) -> None:
    """The dataclasses' own checks hold for files too."""
    path = tmp_path / "bench.json"
    write_bench(bench(), path)
    path.write_text(path.read_text().replace('"env_num": 8', '"env_num": 0'))
    with pytest.raises(UsageError, match="env_num must be an integer of at least 1"):
        read_bench(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Before anything is measured."""
    with pytest.raises(UsageError, match=r"nowhere.json cannot be read: No such file"):
        read_bench(tmp_path / "nowhere.json")


# ---------------------------------------------------------------- against an earlier one


def test_a_ratio_that_got_worse_is_found() -> None:
    """By more than the tolerance, the worst first; what got better is no concern."""
    earlier = bench(new={"time": 0.5, "set": 1.0, "get": 2.0, "pass": 1.0})
    now = bench(new={"time": 0.6, "set": 1.09, "get": 1.0, "pass": 1.3})
    found = compare(earlier, now, tolerance=0.1)
    assert [(change.measure, round(change.share, 3)) for change in found.worse] == [("pass", 0.3), ("time", 0.2)]
    assert {change.measure: round(change.share, 3) for change in found.changes}["get"] == -0.5


def test_equal_benches_have_not_changed() -> None:
    """Not even where a ratio is zero."""
    one = bench(new={"time": 0.5, "growth": 0.0})
    assert compare(one, one, tolerance=0.0).worse == ()


def test_what_was_nothing_and_is_something_is_worse() -> None:
    """By any tolerance."""
    found = compare(bench(new={"moved": 0.0}), bench(new={"moved": 0.1}), tolerance=9.0)
    assert [change.measure for change in found.worse] == ["moved"]


def test_what_is_missing_now_is_named() -> None:
    """And what is new is passed over."""
    found = compare(bench(new={"time": 1.0, "get": 1.0}), bench(new={"time": 1.0}, other={"time": 9.0}), tolerance=0.1)
    assert found.missing == ("mcts, new, get",)
    assert len(found.changes) == 1


def test_what_raised_this_time_is_missing() -> None:
    """Nothing can be compared, and nothing fails."""
    found = compare(bench(new={"time": 1.0}), bench(), tolerance=0.1)
    assert (found.changes, found.worse, found.missing) == ((), (), ("mcts, new, time",))
    assert "0 of 0 ratios are worse" in str(render_comparison(found, "earlier.json").renderables[-1])  # type: ignore[attr-defined]


def test_benches_with_nothing_in_common_cannot_be_compared() -> None:
    """They are refused before anything is measured; other candidates and more repeats are no hindrance."""
    earlier = bench(new={"time": 1.0})
    check(earlier, replace(SETTINGS, repeats=50, candidates=("new",)), ["revisit", "mcts"])
    for settings, workloads in ((SETTINGS, ["revisit"]), (replace(SETTINGS, candidates=("third",)), ["mcts"])):
        with pytest.raises(UsageError, match="has no ratio in common"):
            check(earlier, settings, workloads)


@pytest.mark.parametrize(("name", "value"), [("reference", "other"), ("steps", 7), ("seed", 1), ("entry", "2x2x8x32")])
def test_benches_of_other_things_cannot_be_compared(name: str, value: object) -> None:
    """What differs is named."""
    with pytest.raises(UsageError, match=f"the earlier bench was made with {name} "):
        check(bench(new={"time": 1.0}), replace(SETTINGS, **{name: value}), ["mcts"])  # type: ignore[arg-type]
