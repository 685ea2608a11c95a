"""Showing the progress of a shadowed training while it runs: on the terminal, in TensorBoard, in a heartbeat file."""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rich.live import Live
from rich.table import Table
from rich.text import Text

from kvparity.caches.exceptions import Raised, attempt, describe_error
from kvparity.errors import UsageError, warn
from kvparity.evidence.memory import resident_bytes
from kvparity.results.divergence import BEHAVIOUR, CORRUPTION

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from kvparity.training.inline.attachment import Attachment

EVERY_S = 10.0
_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of a shadowed training.

    Attributes:
        wall_s: seconds since it began.
        operations: operations that the candidate has done.
        gets_compared: lookups compared.
        corruption: divergences of severity corruption, known ones included.
        behaviour: divergences of severity behaviour, known ones included.
        share: the share of wall time that shadowing took.
        resident_bytes: bytes that the process holds; None if the system does not say.
        hit_rates: the hit rate of each side and family of pools, as in `reference/recur`; None if there was no lookup,
            or if the side does not count.
        stopped: why the candidate was taken out; None if it was not.
    """

    wall_s: float
    operations: int
    gets_compared: int
    corruption: int
    behaviour: int
    share: float
    resident_bytes: int | None
    hit_rates: dict[str, float | None]
    stopped: str | None

    @classmethod
    def of(cls, attachment: Attachment) -> Progress:
        """The progress of `attachment`, without the operations that the candidate has yet to do."""
        result = attachment.result_so_far()
        account = result.training
        assert account is not None
        return cls(
            wall_s=account.wall_s,
            operations=result.operations_total,
            gets_compared=result.gets_compared,
            corruption=result.count(CORRUPTION),
            behaviour=result.count(BEHAVIOUR),
            share=account.share,
            resident_bytes=resident_bytes(),
            hit_rates=_hit_rates(result.stats),
            stopped=account.stopped,
        )

    def __str__(self) -> str:
        """The progress in one line."""
        found = "no divergence" if not self.corruption + self.behaviour else f"{self.corruption:,} corruptions"
        if self.behaviour:
            found += f", {self.behaviour:,} behaviour differences"
        rates = ", ".join(f"{name} {rate:.1%}" for name, rate in self.hit_rates.items() if rate is not None)
        memory = "" if self.resident_bytes is None else f", {self.resident_bytes / _MIB:,.0f} MiB"
        stopped = "" if self.stopped is None else f"; the candidate was taken out: {self.stopped}"
        return (
            f"{self.gets_compared:,} gets compared, {found}; hit rates: {rates or 'none yet'}; shadow's share"
            f" {self.share:.1%}{memory}{stopped}"
        )


class Sink(Protocol):
    """Shows the progress of a training."""

    def show(self, progress: Progress) -> None:
        """Show the progress."""

    def close(self) -> None:
        """Clean up: nothing more is shown."""


class Heartbeat:
    """Appends lines of JSON to a file, so that a long run can be watched from outside.

    Args:
        path: the file.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from None

    def show(self, progress: Progress) -> None:
        """Append a line, with the time."""
        now = dt.datetime.now(tz=dt.timezone.utc).isoformat(timespec="seconds")
        self._file.write(json.dumps({"time": now, **asdict(progress)}) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Scalars:
    """Writes numbers to TensorBoard.

    Args:
        writer: TensorBoard's `SummaryWriter`, or any object with `add_scalar(name, number, step)`. The step is the
            number of lookups compared.
    """

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def show(self, progress: Progress) -> None:
        """Write each number, under a name that begins with `kvparity/`."""
        numbers = {
            "gets_compared": progress.gets_compared,
            "corruption": progress.corruption,
            "behaviour": progress.behaviour,
            "share_of_wall_time": progress.share,
            "resident_bytes": progress.resident_bytes,
            **{f"hit_rate/{name}": rate for name, rate in progress.hit_rates.items()},
        }
        for name, number in numbers.items():
            if number is not None:
                self._writer.add_scalar(f"kvparity/{name}", number, progress.gets_compared)

    def close(self) -> None:
        """Do nothing: the writer belongs to the training."""


class Screen:
    """Shows a table that is redrawn in its place, or log lines where there is no terminal.

    Args:
        console: where to show it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        if self._live is not None:
            self._live.start()

    def show(self, progress: Progress) -> None:
        """Redraw the table, or add a line."""
        if self._live is None:
            self._console.print(Text(f"kvparity: {progress}"), soft_wrap=True)
        else:
            self._live.update(_table(progress), refresh=True)

    def close(self) -> None:
        """Remove the table from the terminal."""
        if self._live is not None:
            self._live.stop()


class LiveView:
    """Shows the progress of a training at intervals, and once more at the end. Also a context manager.

    A sink that fails is not used again, and a warning says so. The training never gets the exception.

    Args:
        attachment: of the training.
        sinks: where to show the progress; without any, no thread is started.
        every_s: seconds between two times.
    """

    def __init__(self, attachment: Attachment, sinks: Sequence[Sink], *, every_s: float = EVERY_S) -> None:
        self._attachment = attachment
        self._sinks = list(sinks)
        self._every_s = every_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kvparity-live", daemon=True)
        self._process = os.getpid()

    def start(self) -> None:
        """Begin to show the progress."""
        if self._sinks:
            self._thread.start()

    def stop(self) -> None:
        """Show the progress once more, and end. Does nothing in a forked process, which has no view."""
        if os.getpid() != self._process:
            return
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()
        self.show_now()
        for sink in self._sinks:
            sink.close()

    def show_now(self) -> None:
        """Show the progress now."""
        progress = Progress.of(self._attachment)
        self._sinks = [sink for sink in self._sinks if _try_to_show(sink, progress)]

    def __enter__(self) -> LiveView:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._is_over.wait(self._every_s):
            self.show_now()


def _try_to_show(sink: Sink, progress: Progress) -> bool:
    shown = attempt(sink.show, progress)
    if isinstance(shown, Raised):
        warn(f"{type(sink).__name__} failed and is not used again: {describe_error(shown.error)}")
        return False
    return True


def _table(progress: Progress) -> Table:
    table = Table(title="kvparity", title_style="bold", box=None, show_header=False)
    table.add_row("gets compared", f"{progress.gets_compared:,} in {progress.wall_s:,.0f} s")
    style = "bold red" if progress.corruption else "yellow" if progress.behaviour else "green"
    found = f"{progress.corruption:,} corruption, {progress.behaviour:,} behaviour"
    table.add_row("divergences", Text(found, style=style))
    for name, rate in progress.hit_rates.items():
        table.add_row(f"hit rate, {name}", "-" if rate is None else f"{rate:.1%}")
    table.add_row("shadow's share", f"{progress.share:.1%} of wall time")
    if progress.resident_bytes is not None:
        table.add_row("memory", f"{progress.resident_bytes / _MIB:,.0f} MiB")
    if progress.stopped is not None:
        table.add_row("taken out", Text(progress.stopped, style="bold red"))
    return table


def _hit_rates(stats: dict[str, dict[str, dict[str, int | None]]]) -> dict[str, float | None]:
    counts: dict[str, list[int | None]] = {}
    for side, pools in stats.items():
        for pool, cells in pools.items():
            family = pool.partition("[")[0]
            if family != "wm":
                total = counts.setdefault(f"{side}/{family}", [0, 0])
                for at, name in enumerate(("hits", "misses")):
                    before, number = total[at], cells[name]
                    total[at] = None if before is None or number is None else before + number
    return {name: _rate(*total) for name, total in counts.items()}


def _rate(hits: int | None, misses: int | None) -> float | None:
    if hits is None or misses is None or not hits + misses:
        return None
    return hits / (hits + misses)
