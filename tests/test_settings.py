"""`kvparity.toml`: what it may say, and one clear line for all that it may not."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from kvparity.errors import UsageError
from kvparity.results.divergence import KnownDifference
from kvparity.settings import Settings, read_settings

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = """
[[known]]
pattern = "presence *: *still named this key as its owner*"
side = "reference"
reason = "the original drops re-set keys early"
until = 2027-06-30

[[known]]
pattern = "stale_hit recur: *"
side = "any"
reason = "on purpose"
corruption = true
"""


def written(directory: Path, text: str) -> Path:
    """A `kvparity.toml` of that text."""
    path = directory / "kvparity.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_known_differences(tmp_path: Path) -> None:
    """Each table is one, with every field, in the order of the file."""
    assert read_settings(written(tmp_path, KNOWN)).known == (
        KnownDifference(
            pattern="presence *: *still named this key as its owner*",
            side="reference",
            reason="the original drops re-set keys early",
            until=dt.date(2027, 6, 30),
        ),
        KnownDifference(pattern="stale_hit recur: *", side="any", reason="on purpose", corruption=True),
    )


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    """No table, no known difference."""
    assert read_settings(written(tmp_path, "# nothing yet\n")) == Settings()


def test_the_file_of_the_working_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a path, `kvparity.toml` beside the user is meant."""
    written(tmp_path, KNOWN)
    monkeypatch.chdir(tmp_path)
    assert len(read_settings(None).known) == 2


def test_no_file_in_the_working_directory_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody needs a file."""
    monkeypatch.chdir(tmp_path)
    assert read_settings(None) == Settings()


def test_a_path_is_preferred_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is named is the only one that is read."""
    written(tmp_path, KNOWN)
    other = tmp_path / "other.toml"
    other.write_text("")
    monkeypatch.chdir(tmp_path)
    assert read_settings(other) == Settings()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is asked for must be there."""
    with pytest.raises(UsageError, match=r"none\.toml cannot be read: No such file or directory$"):
        read_settings(tmp_path / "none.toml")


def test_a_directory_is_named(tmp_path: Path) -> None:
    """A directory is no file."""
    with pytest.raises(UsageError, match=r"cannot be read: Is a directory$"):
        read_settings(tmp_path)


def test_what_is_no_toml_is_told_with_its_place(tmp_path: Path) -> None:
    """The parser's own words say where."""
    with pytest.raises(UsageError, match=r"kvparity\.toml is not TOML: .*line 2, column 9"):
        read_settings(written(tmp_path, "\nknown = ]"))


def test_bytes_that_are_no_text_are_no_toml(tmp_path: Path) -> None:
    """A binary file is refused like any other nonsense."""
    path = tmp_path / "kvparity.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"kvparity\.toml is not TOML: "):
        read_settings(path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tolerance = 1", "tolerance"),
        ("[know]\n[kwon]", "know, kwon"),
        ("known = 7", "something else"),
        ("known = [7]", "something else"),
        ("[known]", "something else"),
    ],
)
def test_anything_but_known_tables_is_refused(tmp_path: Path, text: str, found: str) -> None:
    """A misspelled table is not passed over in silence."""
    with pytest.raises(
        UsageError, match=rf"kvparity\.toml: expected .*, a \[shadow\] and a \[verdict\] table only, found {found}$"
    ):
        read_settings(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[known]]\npattern = "*"', "known difference: missing side, reason"),
        (KNOWN + 'tags = "x"', "known difference: unknown field 'tags'; known fields: pattern, side, reason, until"),
        (KNOWN.replace("2027-06-30", "7"), "known difference: until must be a date, got 7"),
        (KNOWN.replace('"reference"', '"left"'), "known difference: side 'left' is not one of reference, candidate"),
        (KNOWN.replace('"on purpose"', '""'), r"known difference 'stale_hit recur: \*': the reason is empty"),
    ],
)
def test_a_table_that_is_wrong_is_told_with_its_file(tmp_path: Path, text: str, message: str) -> None:
    """The file comes first, then what is wrong in it."""
    with pytest.raises(UsageError, match=rf"kvparity\.toml: {message}"):
        read_settings(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 100_000, "is not TOML: "),
        ("a = " + "1" * 5_000, "is not TOML: "),
        ("#" * (1 << 20) + "#", "is too large: settings may have 1,048,576 bytes at most"),
    ],
    ids=["depth", "digits", "size"],
)
def test_what_would_break_a_parser_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """Nothing that a file can say ends in a traceback."""
    (tmp_path / "kvparity.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_settings(tmp_path / "kvparity.toml")


@pytest.mark.parametrize("text", ["tool = 5", "[tool]\nkvparity = 5", "[[tool]]"])
def test_a_projects_file_may_be_odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Where there is no table of ours in it, that is said, or nothing is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(text)
    if "kvparity" in text:
        with pytest.raises(UsageError, match="expected a table, found 5"):
            read_settings(None)
    else:
        assert read_settings(None) == Settings()
