"""Traces from elsewhere: copied for the time, and refused in one line where they cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fsspec
import pytest

from kvparity import Trace, UsageError
from kvparity.cli import main
from kvparity.registry import trace_path
from kvparity.traces.remote import identity, local_trace

if TYPE_CHECKING:
    from pathlib import Path

URL = "memory://bucket/cartpole.kvtrace"


@pytest.fixture(autouse=True)
def _uploaded() -> None:
    """A bundled trace, elsewhere."""
    with fsspec.open(URL, "wb") as file:
        file.write(trace_path("cartpole-unizero").read_bytes())


def test_a_copy_is_there_for_the_time() -> None:
    """Whole, under the trace's own name, and gone afterwards."""
    with local_trace(URL) as path:
        assert path.name == "cartpole.kvtrace"
        assert path.read_bytes() == trace_path("cartpole-unizero").read_bytes()
        with Trace(path) as trace:
            assert len(trace) == 2965
    assert not path.exists()
    assert not path.parent.exists()


def test_a_bundled_trace_is_not_copied() -> None:
    """What is here is read where it is."""
    with local_trace("cartpole-unizero") as path:
        assert path == trace_path("cartpole-unizero")


def test_a_url_replays_as_the_file_does(capsys: pytest.CaptureFixture[str]) -> None:
    """The same verdict, in numbers."""
    options = ["--reference", "refactored-fifo", "--candidate", "refactored-lru", "--steps", "500", "--quiet"]
    assert main(["replay", URL, *options]) == main(["replay", "cartpole-unizero", *options])
    first, second = capsys.readouterr().out.splitlines()
    assert first == second


def test_a_trace_that_is_too_large_is_refused() -> None:
    """With the remedy; no more is copied than there is room for."""
    with (
        pytest.raises(
            UsageError, match=r"is too large: it has more than the 1,000 bytes for which .* has room; set TMPDIR"
        ),
        local_trace(URL, most_bytes=1000),
    ):
        pass


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("memory://bucket/none.kvtrace", "memory://bucket/none.kvtrace does not exist"),
        ("nonsense://bucket/a.kvtrace", "nonsense://bucket/a.kvtrace cannot be read: ValueError: Protocol not known"),
    ],
)
def test_what_is_not_there_is_one_line(url: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And status 2."""
    assert main(["replay", url, "--quiet"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert told in line


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fsspec says which package reads such URLs."""

    def refuse(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "open", refuse)
    told = "^s3://bucket/a needs a package that is not installed: Install s3fs to access S3$"
    with pytest.raises(UsageError, match=told), local_trace("s3://bucket/a"):
        pass


def test_identity_changes_with_the_trace(tmp_path: Path) -> None:
    """As far as the file system tells, without reading it."""
    path = tmp_path / "a.kvtrace"
    path.write_bytes(b"1")
    before = identity(str(path))
    assert identity(str(path)) == before
    path.write_bytes(b"22")
    assert identity(str(path)) != before
    assert identity(URL) != before
