"""Files that commands write: links, pipes and what is printed to stay what they are."""

from __future__ import annotations

import os
import stat
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from kvparity.errors import UsageError
from kvparity.files import write_text

if TYPE_CHECKING:
    from pathlib import Path


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    """Through as many links as there are, and also where the target is not there yet."""
    target, link, far = tmp_path / "target", tmp_path / "link", tmp_path / "far"
    link.symlink_to(target)
    far.symlink_to(link)
    for text in ("first", "second"):
        write_text(far, text)
        assert target.read_text() == text
    assert link.is_symlink()
    assert far.is_symlink()


def test_a_pipe_stays_and_its_reader_gets_everything(tmp_path: Path) -> None:
    """As behind `>(...)` of a shell."""
    pipe, got = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()), daemon=True)
    reader.start()
    write_text(pipe, "x" * 100_000)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    reader.join(timeout=60)
    assert got == ["x" * 100_000]
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_what_is_printed_to_is_written_between_the_prints(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As `/dev/stdout` is, also where that leads to a file; this one is only a link to it."""
    link = tmp_path / "stdout"
    link.symlink_to("/proc/self/fd/1")
    os.write(1, b"before\n")
    write_text(link, "written\n")
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "before\nwritten\nafter\n"
    assert link.is_symlink()


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """It is told in one line, and nothing is left behind."""
    with pytest.raises(UsageError, match="cannot be written: Is a directory"):
        write_text(tmp_path, "text")
    assert list(tmp_path.iterdir()) == []


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    """What is written on the way has a name of its own."""
    write_text(tmp_path / ("x" * 255), "text")
    assert (tmp_path / ("x" * 255)).read_text() == "text"
