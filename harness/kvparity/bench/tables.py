"""A bench as tables: what each cache takes for each kind of operation, and how much memory it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.filesize import decimal
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kvparity.bench import miss_curves as curves
from kvparity.bench.estimate import CONFIDENCE, Estimate
from kvparity.bench.result import OVERALL
from kvparity.bench.timing import CYCLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from kvparity.bench.baseline import Comparison
    from kvparity.bench.result import Figures, Machine, Run, Settings

_ORDER = (CYCLE, "checkout", "set", "get", "clear")


def render_machine(machine: Machine, versions: Mapping[str, str]) -> Text:
    """One line about the machine and the versions."""
    core = "" if machine.core is None else f", pinned to core {machine.core}"
    text = Text(
        f"{machine.processor}, {machine.cores} cores{core}; Python {versions['python']}, torch {versions['torch']}"
    )
    text.stylize("dim")
    if machine.load is not None and machine.load > machine.cores / 2:
        text.append(f"; busy (load {machine.load:.1f}): trust the ratios rather than the times", style="yellow")
    return text


def render(run: Run, settings: Settings) -> RenderableType:
    """One workload: its heading, three tables, and warnings."""
    parts: list[RenderableType] = [_heading(run, settings)]
    if run.figures:
        tables = (_overall(run, settings), _operations(run, settings), _resources(run))
        parts += [Padding(table, (1, 0, 0, 0), expand=False) for table in tables]
        parts += [Text(note, style="yellow") for note in _unequal_work(run, settings)]
    parts += [Text(f"{name} {what}, so it has no figures", style="bold red") for name, what in run.failures.items()]
    return Group(*parts)


def verdict(run: Run, settings: Settings) -> Text:
    """A line with each candidate's share of the reference's time, and a line for each pool size that is needed."""
    lines = [_times(run, settings)] if run.figures or run.failures else []
    lines += [Text(f"{run.workload}: {curves.verdict(sweep)}", style="bold") for sweep in run.sweeps]
    return Text("\n").join(lines)


def _times(run: Run, settings: Settings) -> Text:
    if settings.reference in run.failures:
        return Text(f"{run.workload}: {settings.reference} raised, so there are no ratios", style="bold red")
    shares = [
        f"{name} {ratios[OVERALL].median:.2f} ({_interval(ratios[OVERALL]) or 'too few repeats for an interval'})"
        for name, ratios in run.ratios.items()
        if OVERALL in ratios
    ]
    shares += [f"{name} raised" for name in run.failures]
    return Text(f"{run.workload}: share of {settings.reference}'s time: {', '.join(shares)}", style="bold")


def render_comparison(comparison: Comparison, earlier: str) -> RenderableType:
    """A line for each ratio that is worse than in an earlier bench, and one line about all ratios."""
    worse, shares = comparison.worse, [change.share for change in comparison.changes]
    lines = [
        Text(
            f"worse: {change.measure} of {change.candidate} in {change.workload}: {change.earlier:.3f} then,"
            f" {change.now:.3f} now ({change.share:+.1%})",
            style="red",
        )
        for change in worse
    ]
    lines += [Text(f"not measured this time: {which}", style="yellow") for which in comparison.missing]
    summary = (
        f"against {earlier}: {len(worse)} of {len(shares)} ratios are worse by more than {comparison.tolerance:.0%}"
    )
    if shares:
        summary += f"; they changed by {min(shares):+.1%} to {max(shares):+.1%}"
    lines.append(Text(summary, style="bold red" if worse else "bold green" if shares else "bold yellow"))
    return Group(*lines)


def _heading(run: Run, settings: Settings) -> Text:
    used = sum(run.operations.values())
    of = "" if run.offered in (None, used) else f" of {run.offered:,}"
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(run.operations.items(), key=lambda each: -each[1]))
    sizes = "; ".join(
        f"{spec.env_num} environments, {spec.init_pool_size} init slots each, {spec.recur_pool_size} recur slots"
        for spec in dict.fromkeys(run.specs)
    )
    repeats = f", {settings.repeats} repeat{'s' * (settings.repeats != 1)}" if run.figures else ""
    return Text.assemble(
        (f"\n{run.workload}", "bold"),
        f": {used:,}{of} operations ({kinds}){repeats}\n",
        (f"{sizes}; {run.values}", "dim"),
    )


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(headings[0], no_wrap=True)
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _overall(run: Run, settings: Settings) -> Table:
    table = _table("cache", "own time", "ratio", "95 %", "operations/s", "pass")
    for name, figures in run.figures.items():
        ratios = run.ratios.get(name, {})
        table.add_row(
            _named(name, settings),
            f"{figures.own_us.median:.2f} us",
            *_ratio(ratios.get(OVERALL)),
            f"{figures.operations_per_s.median:,.0f}",
            _ratio(ratios.get("pass"))[0],
        )
    return table


def _operations(run: Run, settings: Settings) -> Table:
    table = _table("us", "cache", "p50", "p90", "p99", "max", "ratio", "95 %")
    table.columns[1].justify = "left"
    present = [kind for kind in _ORDER if kind in next(iter(run.figures.values())).latencies]
    for kind in present:
        for number, (name, figures) in enumerate(run.figures.items()):
            latency = figures.latencies[kind]
            table.add_row(
                "" if number else kind,
                _named(name, settings),
                f"{latency.p50_us.median:.2f}",
                f"{latency.p90_us.median:.2f}",
                f"{latency.p99_us.median:.2f}",
                f"{latency.max_us:,.0f}",
                *_ratio(run.ratios.get(name, {}).get(kind)),
                end_section=number == len(run.figures) - 1,
            )
    return table


def _resources(run: Run) -> Table:
    table = _table("cache", "hits", "evicted", "moved", "peak", "steady", "growth", "Python", "allocs")
    table.collapse_padding = True
    for name, figures in run.figures.items():
        counts, memory = figures.counts, figures.memory
        table.add_row(
            escape(name),
            _rate(figures),
            "-" if counts.evictions is None else f"{counts.evictions:,}",
            decimal(counts.bytes_moved),
            decimal(memory.peak_bytes),
            decimal(memory.steady_bytes),
            decimal(memory.growth_bytes) if memory.growth_bytes else "0",
            decimal(memory.python_bytes),
            f"{memory.allocations:,}",
        )
    return table


def _unequal_work(run: Run, settings: Settings) -> list[str]:
    """A warning for each candidate with other hits than the reference: a miss takes less time than a hit."""
    reference = run.figures.get(settings.reference)
    if reference is None:
        return []
    return [
        f"{name} hits {_rate(figures)} of all lookups, {settings.reference} {_rate(reference)}:"
        f" they do not do the same work, so do not compare their times"
        for name, figures in run.figures.items()
        if figures.counts.hits != reference.counts.hits
    ]


def _named(name: str, settings: Settings) -> str:
    return f"[dim]{escape(name)}[/]" if name == settings.reference else escape(name)


def _rate(figures: Figures) -> str:
    rate = figures.counts.hit_rate
    return "-" if rate is None else f"{rate:.2%}"


def _ratio(ratio: Estimate | None) -> tuple[str, str]:
    if ratio is None:
        return "", ""
    colour = "red" if ratio.low > 1 else "green" if ratio.high < 1 else "default"
    return f"[{colour}]{ratio.median:.2f}[/]", _interval(ratio)


def _interval(ratio: Estimate) -> str:
    """The interval of 95 %; empty with too few repeats."""
    return f"{ratio.low:.2f}-{ratio.high:.2f}" if ratio.confidence >= CONFIDENCE else ""
