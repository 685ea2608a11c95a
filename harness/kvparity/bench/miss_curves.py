"""Miss-ratio curves as text, and which pool sizes they recommend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.bar import Bar
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kvparity.bench.pool_sizes import WITHIN

if TYPE_CHECKING:
    from rich.console import RenderableType

    from kvparity.bench.pool_sizes import Curve, Sweep

_NARROW_BAR, _WIDE_BAR, _WIDE = 6, 12, 98
_SHORT = "TOO SMALL"


def render_sweep(sweep: Sweep, *, width: int) -> RenderableType:
    """The curves side by side, at most `width` columns wide, and the advice that follows from them."""
    if not sweep.lookups:
        return Text(f"\n{_pools(sweep)}: not even an endless pool would answer a lookup, so its size does not matter")
    lines = [Text(line, style="bold red" if line.startswith(_SHORT) else "") for line in advice(sweep)]
    return Group(
        _heading(sweep),
        Padding(_curves(sweep, bar_width=_WIDE_BAR if width >= _WIDE else _NARROW_BAR), (1, 0), expand=False),
        *lines,
    )


def advice(sweep: Sweep) -> list[str]:
    """Lines that say what the workload needs and what its caches have."""
    pools = _pools(sweep)
    short = {curve.strategy: _share(sweep, curve, sweep.size) for curve in sweep.curves if curve.at(sweep.size).misses}
    if short:
        lost = ", ".join(f"{strategy} {share:.1%}" for strategy, share in short.items())
        judgement = f"{_SHORT}: share of lookups lost: {lost}"
    else:
        judgement = "that is enough: no lookup misses because of it"
    needed, nearly = _each(sweep, "needed"), _each(sweep, "nearly")
    return [
        f"{pools} has {_slots(sweep, sweep.size)}; the workload fills {_slots(sweep, sweep.filled)}",
        judgement,
        f"none lost with {needed}; at most {WITHIN:.0%} lost with {nearly}",
    ]


def verdict(sweep: Sweep) -> str:
    """What the workload needs and what its caches have, in one line."""
    short = any(curve.at(sweep.size).misses for curve in sweep.curves)
    return f"{_pools(sweep)} needs {_each(sweep, 'needed')} and has {sweep.size:,}{f': {_SHORT}' if short else ''}"


def _heading(sweep: Sweep) -> Text:
    stream = f" of stream {sweep.stream}" if sweep.stream else ""
    return Text.assemble(
        (f"\n{_pools(sweep)}{stream}", "bold"),
        f": `lost` is of the {sweep.lookups:,} lookups that an endless pool answers,"
        f" `missed` of all {sweep.checkouts:,} checkouts",
    )


def _curves(sweep: Sweep, *, bar_width: int) -> Table:
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="dim")
    table.add_column("slots", justify="right", no_wrap=True)
    for curve in sweep.curves:
        table.add_column(curve.strategy, no_wrap=True)
        table.add_column("lost", justify="right", no_wrap=True)
        table.add_column("missed", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for size in _shown(sweep):
        cells: list[RenderableType] = [f"{size:,}"]
        for curve in sweep.curves:
            share = _share(sweep, curve, size)
            missed = curve.at(size).checkout_misses / sweep.checkouts if sweep.checkouts else 0.0
            cells += [
                Bar(1.0, 0.0, share, width=bar_width),
                Text("0" if not share else f"{share:.2%}"),
                Text("0" if not missed else f"{missed:.2%}", style="dim"),
            ]
        table.add_row(*cells, Text(_mark(sweep, size), style="bold" if size == sweep.size else "dim"))
    return table


def _shown(sweep: Sweep) -> list[int]:
    """The sizes to show: powers of two, and those with a mark; not every size that was tried."""
    powers, size = set[int](), sweep.step
    while size < sweep.filled:
        powers.add(size)
        size *= 2
    return sorted(
        powers | {sweep.size, sweep.filled} | {size for curve in sweep.curves for size in (curve.needed, curve.nearly)}
    )


def _mark(sweep: Sweep, size: int) -> str:
    needed = any(curve.needed == size for curve in sweep.curves)
    marks = {"has": size == sweep.size, "fills": size == sweep.filled, "needs": needed}
    return ", ".join(mark for mark, applies in marks.items() if applies)


def _pools(sweep: Sweep) -> str:
    return "the recur pool" if sweep.family == "recur" else "each init pool"


def _slots(sweep: Sweep, size: int) -> str:
    """A size, and for the recur pool the setting that results in it."""
    slots = f"{size:,} slot{'s' * (size != 1)}"
    if sweep.family == "recur":
        return f"{slots} (num_simulations {size // sweep.step})"
    return slots


def _each(sweep: Sweep, which: str) -> str:
    """The size that each strategy needs."""
    sizes = {curve.strategy: getattr(curve, which) for curve in sweep.curves}
    if len(set(sizes.values())) == 1:
        return _slots(sweep, next(iter(sizes.values())))
    return ", ".join(f"{strategy} {size:,}" for strategy, size in sizes.items()) + " slots"


def _share(sweep: Sweep, curve: Curve, size: int) -> float:
    return curve.at(size).misses / sweep.lookups
