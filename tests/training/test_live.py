"""The progress of a shadowed training is shown while it runs, and a failure of that never reaches the training."""

from __future__ import annotations

import json
import threading
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from kvparity.errors import UsageError
from kvparity.training import Limits, attach
from kvparity.training.live import Heartbeat, LiveView, Progress, Scalars, Screen
from support.worldmodels import ReleasedModel

if TYPE_CHECKING:
    from pathlib import Path

    from kvparity.training import Attachment


@pytest.fixture
def attached() -> Attachment:
    """A training that set one key, looked it up twice, and missed another one; the candidate forgets V."""
    model = ReleasedModel()
    attachment = attach(model, candidate="fault:forgets-v", limits=Limits(share=None))
    model.set_recur(1, 1.0)
    model.search(0, 1)
    model.search(0, 1)
    model.root(0, 2)
    attachment.detach()
    return attachment


class Kept:
    """A sink that keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: list[Progress] = []
        self.seen = threading.Event()
        self.closed = False

    def show(self, progress: Progress) -> None:
        self.shown.append(progress)
        self.seen.set()

    def close(self) -> None:
        self.closed = True


class Fails(Kept):
    """A sink that raises."""

    def show(self, progress: Progress) -> None:
        super().show(progress)
        raise OSError("no space left")


def test_progress_has_the_numbers_of_the_result(attached: Attachment) -> None:
    """Lookups compared, divergences, hit rates of each side and family of pools, and the share of shadowing."""
    progress = Progress.of(attached)
    assert (progress.operations, progress.gets_compared) == (4, 3)
    assert (progress.corruption, progress.behaviour) == (2, 0)
    assert progress.hit_rates["reference/init"] == 0.0
    assert progress.hit_rates.keys() == {
        f"{side}/{pool}" for side in ("reference", "candidate") for pool in ("init", "recur")
    }
    assert 0 < progress.share < 1
    assert str(progress).startswith("3 gets compared, 2 corruptions; hit rates: ")


def test_progress_says_why_a_candidate_was_taken_out(attached: Attachment) -> None:
    """With the reason."""
    with pytest.warns(UserWarning, match="too slow"):
        attached.guard.stop("too slow")
    assert str(Progress.of(attached)).endswith("; the candidate was taken out: too slow")


def test_the_end_is_always_shown(attached: Attachment) -> None:
    """However short the training was."""
    sink = Kept()
    with LiveView(attached, [sink], every_s=3600):
        pass
    assert len(sink.shown) == 1
    assert sink.closed


def test_it_is_shown_again_and_again(attached: Attachment) -> None:
    """While the training runs."""
    sink = Kept()
    with LiveView(attached, [sink], every_s=0.001):
        assert sink.seen.wait(30)
    assert len(sink.shown) > 1


def test_a_sink_that_fails_is_left_out(attached: Attachment) -> None:
    """A warning says so, and the others go on."""
    failing, sink = Fails(), Kept()
    view = LiveView(attached, [failing, sink], every_s=3600)
    with pytest.warns(UserWarning, match="Fails failed and is not used again: OSError: no space left"):
        view.show_now()
    view.show_now()
    assert (len(failing.shown), len(sink.shown)) == (1, 2)


def test_a_heartbeat_is_a_line_of_json(attached: Attachment, tmp_path: Path) -> None:
    """Written at once, with the time, after the lines of earlier runs."""
    path = tmp_path / "beat.jsonl"
    path.write_text('{"earlier": true}\n')
    heartbeat = Heartbeat(path)
    heartbeat.show(Progress.of(attached))
    earlier, line = path.read_text().splitlines()
    heartbeat.close()
    assert earlier == '{"earlier": true}'
    beat = json.loads(line)
    assert (beat["gets_compared"], beat["corruption"], beat["stopped"]) == (3, 2, None)
    assert beat["time"].endswith("+00:00")


def test_a_heartbeat_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """Before the training begins."""
    with pytest.raises(UsageError, match="cannot be written: Is a directory"):
        Heartbeat(tmp_path)


def test_scalars_go_to_anything_like_tensorboards_writer(attached: Attachment) -> None:
    """One for each number that is known; the step is the number of lookups compared."""

    class Writer:
        def __init__(self) -> None:
            self.scalars: dict[str, tuple[Any, Any]] = {}

        def add_scalar(self, name: str, number: Any, step: Any) -> None:
            self.scalars[name] = (number, step)

    writer = Writer()
    Scalars(writer).show(Progress.of(attached))
    assert writer.scalars["kvparity/corruption"] == (2, 3)
    assert writer.scalars["kvparity/hit_rate/reference/init"] == (0.0, 3)


def test_without_a_terminal_there_are_lines(attached: Attachment) -> None:
    """One each time."""
    console = Console(file=StringIO(), width=40)
    screen = Screen(console)
    screen.show(Progress.of(attached))
    screen.close()
    assert isinstance(console.file, StringIO)
    [line] = console.file.getvalue().splitlines()
    assert line.startswith("kvparity: 3 gets compared, 2 corruptions; ")


def test_on_a_terminal_there_is_a_table(attached: Attachment) -> None:
    """Redrawn in its place."""
    console = Console(file=StringIO(), force_terminal=True, width=80)
    screen = Screen(console)
    screen.show(Progress.of(attached))
    screen.close()
    assert isinstance(console.file, StringIO)
    drawn = console.file.getvalue()
    assert "2 corruption, 0 behaviour" in drawn
    assert "hit rate, candidate/recur" in drawn
