"""Results and how they are shown."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from kvparity import Comparison, KnownDifference, Result, UsageError, load_scenario, merge
from kvparity.report import Progress, render, verdict_line, write_page
from kvparity.results.writing import write_json

if TYPE_CHECKING:
    from pathlib import Path

UNCOUNTED = "support.doubles:DoesNotCount"


def run(scenario: str = "mcts", reference: str = "legacy-evicting", steps: int = 500, **options: object) -> Result:
    """A short comparison with refactored-fifo."""
    comparison = Comparison(reference, "refactored-fifo", **options)  # type: ignore[arg-type]
    return comparison.scenario(load_scenario(scenario), seed=0, steps=steps)


def shown(result: Result) -> str:
    """What a wide terminal shows of it."""
    console = Console(file=StringIO(), width=200)
    console.print(render(result))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_parity_says_how_much_was_compared() -> None:
    """And that no corruption was found."""
    result = run()
    assert verdict_line(result, fail_on="behaviour").plain == (
        f"PARITY: no corruption found; {result.gets_compared} gets compared, {result.values_compared} of them tensor by"
        " tensor (legacy-evicting against refactored-fifo)"
    )


def test_a_divergence_names_the_side() -> None:
    """In the one line that all read."""
    result = run("revisit", steps=1000)
    line = verdict_line(result, fail_on="behaviour").plain
    assert line.startswith(f"DIVERGENCE: no corruption found, {result.total} behaviour differences; wrong: reference")


def test_what_does_not_count_is_accepted_and_not_parity() -> None:
    """Differences below `--fail-on` are named still."""
    line = verdict_line(run("revisit", steps=1000), fail_on="corruption").plain
    assert line.startswith("ACCEPTED: no corruption found, ")


def test_known_differences_are_named_in_the_verdict() -> None:
    """They are counted, never called a match."""
    known = KnownDifference(pattern="presence *", side="any", reason="accepted for the test")
    result = run("revisit", steps=1000, known=[known])
    line = verdict_line(result, fail_on="behaviour").plain
    assert line.startswith("ACCEPTED: ")
    assert f"{result.total} known and accepted" in line
    assert "accepted for the test" in shown(result)


def test_nothing_compared_is_inconclusive() -> None:
    """Without a lookup there is no parity."""
    assert verdict_line(run(steps=1), fail_on="behaviour").plain.startswith("INCONCLUSIVE: nothing was looked up")


def test_an_interrupted_run_says_so() -> None:
    """Whatever it found."""
    result = run()
    result.interrupted = True
    assert verdict_line(result, fail_on="behaviour").plain.startswith("INTERRUPTED: no corruption found so far; ")


def test_the_report_shows_the_first_of_each_group_whole() -> None:
    """Kind, severity, count and side on top; then operation, both outcomes and why."""
    result = run("pool-pressure", "legacy-released", steps=2000)
    text = shown(result)
    first = result.first["stale_hit", "reference"]
    count = result.by_group["stale_hit", "reference"]
    assert f"stale_hit (corruption) x {count:,}, wrong: reference" in text
    assert f"operation {first.number:,}: checkout of key {first.key:#018x}" in text
    assert first.explanation.split(";")[0] in text


def test_the_table_has_every_side_and_pool() -> None:
    """Hits, misses, evictions, keys and bytes; a dash where a cache does not say."""
    text = shown(run())
    for row in ("reference  init x 8", "reference  recur", "candidate  wm"):
        assert row in text
    plain = Comparison(UNCOUNTED, UNCOUNTED).scenario(load_scenario("mcts"), seed=0, steps=300)
    assert [line for line in shown(plain).splitlines() if "recur" in line and line.rstrip().endswith("-")]


def test_markup_in_what_a_cache_says_stays_text() -> None:
    """A message in brackets is shown as it is."""
    comparison = Comparison("legacy-evicting", f"{__name__}:Loud")
    text = shown(comparison.scenario(load_scenario("mcts"), seed=0, steps=300))
    assert "[red]no[/blue]" in text


class Loud:
    """Raises with what looks like markup."""

    def __init__(self, config: object, env_num: int) -> None:
        self.config, self.env_num = config, env_num

    def set(self, pool: object, key: int, value: object, *, priority: float | None = None) -> None:
        raise RuntimeError("[red]no[/blue]")

    def get(self, pool: object, key: int) -> None: ...

    def checkout(self, env: int, key: int) -> None: ...

    def clear(self, pool: object) -> None: ...


def test_results_add_up() -> None:
    """Counters are summed, firsts kept, single results held."""
    single = [run("revisit", steps=1000), run("clear-storm", steps=1000)]
    result = merge(single)
    assert result.workload == "revisit, clear-storm"
    assert result.total == sum(one.total for one in single)
    assert result.operations_total == 2000
    assert result.by_kind["presence"] == sum(one.by_kind["presence"] for one in single)
    assert result.first["presence", "reference"] is single[0].first["presence", "reference"]
    assert result.runs == single
    assert result.spec is None
    assert merge(single[:1]) is single[0]


def test_unknown_numbers_stay_unknown_in_a_sum() -> None:
    """A cache that does not count makes no zero."""
    plain = Comparison(UNCOUNTED, "refactored-fifo")
    result = merge([plain.scenario(load_scenario("mcts"), seed=seed, steps=300) for seed in (0, 1)])
    assert result.stats["reference"]["recur"]["evictions"] is None
    assert result.stats["candidate"]["recur"]["evictions"] == 0


def test_a_result_survives_json() -> None:
    """Nothing in it needs Python."""
    result = run("pool-pressure", "legacy-released", steps=2000).as_dict()
    assert json.loads(json.dumps(result)) == result
    assert result["first"][0]["key"].startswith("0x")
    assert result["divergences"]["by_severity"]["corruption"] > 0


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A path that cannot be written is told in one line, and leaves nothing behind."""
    write_json(run(), tmp_path / "result.json")
    with pytest.raises(UsageError, match="cannot be written: No such file or directory"):
        write_json(run(), tmp_path / "nowhere" / "result.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made"):
        write_page(run(), tmp_path / "file", fail_on="behaviour")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "result.json"]


def test_no_progress_without_a_terminal() -> None:
    """A log file gets no bars."""
    console = Console(file=StringIO(), force_terminal=False)
    with Progress(console, "work", 10) as progress:
        for done in range(10):
            progress(done)
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue() == ""


def test_progress_begins_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short work shows none; longer work shows what it is, how far, how fast and how long still."""
    now = [0.0]
    monkeypatch.setattr("kvparity.report.terminal.time.monotonic", lambda: now[0])
    console = Console(file=StringIO(), force_terminal=True, width=120)
    with Progress(console, "work", 1000) as progress:
        progress(1)
        assert isinstance(console.file, StringIO)
        assert console.file.getvalue() == ""
        now[0] = 2.0
        progress(500)
        progress(600)
    assert "work" in console.file.getvalue()
    assert "600/1000" in console.file.getvalue()
