"""A result on a terminal: tables by side and pool, divergences by group, and one line as the conclusion."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from kvparity.results.divergence import BEHAVIOUR, CORRUPTION, SEVERITIES
from kvparity.text import escape_controls
from kvparity.traces.reader import MOST_LOST

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Task

    from kvparity.results.divergence import Divergence
    from kvparity.results.result import Result, TrainingAccount

_SHOW_AFTER_S = 1.0
ENDED_EARLY = f"the recording ended early: it may lack up to {MOST_LOST} operations at its end"
_STYLES = {CORRUPTION: "bold red", BEHAVIOUR: "yellow"}


def render(result: Result) -> RenderableType:
    """Everything that was found, one workload after the other, without the line of `verdict_line`."""
    parts: list[RenderableType] = []
    for run in result.runs or [result]:
        parts.append(_heading(run))
        if run.ended_early:
            parts.append(Text(ENDED_EARLY, style="yellow"))
        if run.training is not None:
            parts.append(_training(run, run.training))
        parts.append(_stats_table(run))
        parts += [_group(run, group) for group in sorted(run.by_group, key=_order)]
        if run.recorded is not None:
            parts.append(_recorded(run))
    return Group(*parts)


def verdict_line(result: Result, *, fail_on: str) -> Text:
    """The conclusion in one line: parity or not, who is wrong, and how much was compared."""
    found, compared = _found(result), _compared(result)
    if result.stopped and not result.fails(fail_on):
        return _line(f"STOPPED EARLY: {found} until {result.stopped}; {compared}", "bold yellow")
    if result.missing:
        return _line(f"INCOMPLETE: no result of {', '.join(result.missing)}; {found}; {compared}", "bold red")
    if result.interrupted:
        return _line(f"INTERRUPTED: {found} so far; {compared}", "bold yellow")
    if not result.gets_compared:
        return _line("INCONCLUSIVE: nothing was looked up, so nothing was compared", "bold yellow")
    if result.fails(fail_on):
        return _line(f"DIVERGENCE: {found}; {compared}", "bold red")
    word = "PARITY" if not result.total else "ACCEPTED"
    return _line(f"{word}: {found}; {compared}", "bold green")


def _line(text: str, style: str) -> Text:
    return Text(escape_controls(" ".join(text.split())), style=style)


def _found(result: Result) -> str:
    corruption, behaviour = result.count(CORRUPTION), result.count(BEHAVIOUR)
    found = "no corruption found" if not corruption else f"{corruption:,} corruptions"
    if behaviour:
        found += f", {behaviour:,} behaviour difference{'s' * (behaviour != 1)}"
    if result.total:
        wrong = ", ".join(f"{side} {count:,}" for side, count in result.by_side.most_common() if count)
        found += f"; wrong: {wrong}"
    if result.by_known:
        found += f"; {sum(result.by_known.values()):,} known and accepted"
    return found


def _compared(result: Result) -> str:
    compared = (
        f"{result.gets_compared:,} gets compared, {result.values_compared:,} of them tensor by tensor"
        f" ({result.reference} against {result.candidate})"
    )
    if result.examples is not None:
        compared += f" in {result.examples:,} examples"
    if result.training is not None:
        compared += f"; shadowing took {result.training.share:.1%} of wall time"
    return compared


class Progress:
    """A progress bar with rate and remaining time, drawn after the first second, and only on a terminal.

    Args:
        console: where to draw.
        description: of the work.
        total: the amount of work.
        unit: of the work.
    """

    def __init__(self, console: Console, description: str, total: int, *, unit: str = "op") -> None:
        self._bar = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(unit),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task(escape_controls(description), total=total)
        self._began = time.monotonic()
        self._wanted = console.is_terminal
        self._drawn = False

    def __call__(self, done: int) -> None:
        """Update the bar: so much is done."""
        if not self._wanted:
            return
        if not self._drawn and time.monotonic() - self._began > _SHOW_AFTER_S:
            self._bar.start()
            self._drawn = True
        if self._drawn:
            self._bar.update(self._task, completed=done)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            self._bar.stop()


class _Rate(ProgressColumn):
    """Units per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} {self._unit}/s" if task.speed else "", style="progress.data.speed")


def _heading(run: Result) -> RenderableType:
    operations = ", ".join(f"{count:,} {kind}" for kind, count in run.operations.most_common())
    sizes = "several specs"
    if run.spec is not None:
        spec = run.spec
        sizes = (
            f"{spec.env_num} environments, {spec.init_pool_size} init slots each, {spec.recur_pool_size} recur slots"
        )
    seed = "" if run.seed is None else f", seed {run.seed}"
    examples = "" if run.examples is None else f"{run.examples:,} examples of "
    text = Text.assemble(
        (f"\n{run.workload}", "bold"),
        f"{seed}: {examples}{run.operations_total:,} operations ({operations}) in {run.elapsed_s:.1f} s\n",
        (f"reference {run.reference}, candidate {run.candidate}; {sizes}", "dim"),
    )
    return Padding(text, (0, 0))


def _training(run: Result, training: TrainingAccount) -> RenderableType:
    lookups = run.operations["get"] + run.operations["checkout"] + training.passed_over
    text = Text(
        f"the {training.serve} served; {run.gets_compared:,} of {lookups:,} lookups compared; shadowing took"
        f" {training.shadow_s:.2f} s of {training.wall_s:.1f} s, {training.share:.1%} of wall time",
        style="dim",
    )
    if run.candidate_s is not None:
        text.append(f", about {run.candidate_s:.2f} s of it in the candidate's own calls")
    if training.stopped:
        text.append(f"\nthe candidate was taken out early{_when(training)}: {training.stopped}", "bold not dim yellow")
    return text


def _when(training: TrainingAccount) -> str:
    """When the candidate was taken out; results of earlier versions do not have it."""
    seconds, operations = training.stopped_after_s, training.stopped_after_operations
    if seconds is None or operations is None:
        return ""
    return f", after {seconds:.1f} s and {operations:,} operation{'s' * (operations != 1)}"


def _stats_table(run: Result) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("side", "pool"):
        table.add_column(name)
    for name in ("hits", "misses", "evictions", "keys", "bytes"):
        table.add_column(name, justify="right")
    for side, rows in run.stats.items():
        for family, cells in by_family(rows).items():
            numbers = [cells[name] for name in ("hits", "misses", "evictions", "length", "size_bytes")]
            table.add_row(Text(side), Text(family), *("-" if n is None else f"{n:,}" for n in numbers))
    return Padding(table, (1, 0, 1, 2))


def by_family(rows: dict[str, dict[str, int | None]]) -> dict[str, dict[str, int | None]]:
    """The table with the init pools of all environments added up to one row."""
    families: dict[str, list[dict[str, int | None]]] = {}
    for pool, cells in rows.items():
        families.setdefault(pool.partition("[")[0], []).append(cells)
    added: dict[str, dict[str, int | None]] = {}
    for family, pools in families.items():
        name = family if len(pools) == 1 else f"{family} x {len(pools)}"
        added[name] = {}
        for cell in pools[0]:
            numbers = [pool[cell] for pool in pools]
            known = [n for n in numbers if n is not None]
            added[name][cell] = sum(known) if len(known) == len(numbers) else None
    return added


def _order(group: tuple[str, str]) -> tuple[bool, str, str]:
    kind, wrong = group
    return SEVERITIES[kind] != CORRUPTION, kind, wrong


def _group(run: Result, group: tuple[str, str]) -> RenderableType:
    kind, wrong = group
    severity = SEVERITIES[kind]
    title = Text(f"{kind} ({severity}) x {run.by_group[group]:,}, wrong: {wrong}")
    return Panel(_divergence(run.first[group]), title=title, title_align="left", border_style=_STYLES[severity])


def _divergence(divergence: Divergence) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    key = "" if divergence.key is None else f" of key {divergence.key:#018x}"
    where = f"operation {divergence.number:,}: {divergence.operation}{key} in {divergence.pool}"
    rows = [
        ("first", where),
        ("reference", divergence.reference),
        ("candidate", divergence.candidate),
        ("why", divergence.explanation),
        ("tensors", divergence.difference),
        ("known", divergence.known or ""),
    ]
    for name, text in rows:
        if text:
            table.add_row(name, Text(text))
    return table


def _recorded(run: Result) -> RenderableType:
    recorded = run.recorded
    assert recorded is not None
    text = f"  {run.reference} gave {recorded.reproduced:,} of the {recorded.given:,} answers in the trace"
    if recorded.first_other:
        text += f"; first different answer: {recorded.first_other}"
    return Padding(Text(text, style="dim"), (0, 0, 1, 0))
