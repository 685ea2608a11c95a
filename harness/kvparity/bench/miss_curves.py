"""Miss-ratio curves for people, and which pool sizes they ask for."""

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
    """One curve beside the other, within that many columns, and what follows from them."""
    if not sweep.lookups:
        return Text(f"\n{_pools(sweep)}: even an endless pool answers nothing, so that no size matters")
    lines = [Text(line, style="bold red" if line.startswith(_SHORT) else "") for line in advice(sweep)]
    return Group(
        _heading(sweep),
        Padding(_curves(sweep, bar_width=_WIDE_BAR if width >= _WIDE else _NARROW_BAR), (1, 0), expand=False),
        *lines,
    )


def advice(sweep: Sweep) -> list[str]:
    """What the workload needs and what it has, a line each."""
    pools = _pools(sweep)
    short = {curve.strategy: _share(sweep, curve, sweep.size) for curve in sweep.curves if curve.at(sweep.size).misses}
    if short:
        lost = ", ".join(f"{strategy} {share:.1%}" for strategy, share in short.items())
        judgement = f"{_SHORT}: of what an endless pool answers is lost: {lost}"
    else:
        judgement = "that is enough: no lookup is lost to it"
    return [
        f"{pools} has {_slots(sweep, sweep.size)}; the workload fills {_slots(sweep, sweep.filled)}",
        judgement,
        f"nothing is lost from {_each(sweep, 'needed')} on; at most {WITHIN:.0%} from {_each(sweep, 'nearly')} on",
    ]


def verdict(sweep: Sweep) -> str:
    """What is needed and what is there, in few words."""
    short = any(curve.at(sweep.size).misses for curve in sweep.curves)
    return f"{_pools(sweep)} needs {_each(sweep, 'needed')} and has {sweep.size:,}{f': {_SHORT}' if short else ''}"


def _heading(sweep: Sweep) -> Text:
    stream = f" of stream {sweep.stream}" if sweep.stream else ""
    return Text.assemble(
        (f"\n{_pools(sweep)}{stream}", "bold"),
        f": lost of the {sweep.lookups:,} lookups that an endless pool answers,"
        f" missed of all {sweep.checkouts:,} checkouts",
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
    """Powers of two, and the sizes that have a meaning; not each that the search for them has tried."""
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
    """A size, and for the recur pool the setting that gives it."""
    slots = f"{size:,} slot{'s' * (size != 1)}"
    if sweep.family == "recur":
        return f"{slots} (num_simulations {size // sweep.step})"
    return slots


def _each(sweep: Sweep, which: str) -> str:
    """The size that each strategy asks for."""
    sizes = {curve.strategy: getattr(curve, which) for curve in sweep.curves}
    if len(set(sizes.values())) == 1:
        return _slots(sweep, next(iter(sizes.values())))
    return ", ".join(f"{strategy} {size:,}" for strategy, size in sizes.items()) + " slots"


def _share(sweep: Sweep, curve: Curve, size: int) -> float:
    return curve.at(size).misses / sweep.lookups
