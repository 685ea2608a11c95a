"""docs/testing-your-cache.md does what it says: its files are written, its commands run, its output compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parent.parent / "docs" / "testing-your-cache.md"
PROGRAMS = Path(sys.executable).parent


class Block(NamedTuple):
    """A fenced block of the page."""

    language: str
    text: str


def blocks() -> list[Block]:
    """All of the page's, in order."""
    return [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)]


def run(command: str, directory: Path) -> str:
    """What a command prints, with the programs of this environment for those of the page's `.venv`."""
    done = subprocess.run(  # noqa: S603
        ["/bin/bash", "-c", command.replace(".venv/bin/", f"{PROGRAMS}/")],
        cwd=directory,
        env={**os.environ, "COLUMNS": "80", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_finding_takes_three_commands() -> None:
    """The page begins with three commands, of which the first installs, and then shows what they print."""
    assert [block.language for block in blocks()[:4]] == ["sh", "sh", "sh", "text"]
    assert all(block.text.count("\n") == 1 for block in blocks()[:3])
    assert "pip install" in blocks()[0].text


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    """Each output that it shows is what its commands print, and its examples pass with the caches of its ini file."""
    (tmp_path / "pyproject.toml").touch()
    examples, printed, compared = [], "", 0
    for language, text in blocks():
        if language == "sh" and "pip install" not in text:
            printed = run(text, tmp_path)
        elif language == "text":
            assert text in printed
            compared += 1
        elif language == "python":
            name = text.splitlines()[0].removeprefix("# ")
            (tmp_path / name).write_text(text)
            examples += [name] if name.startswith("test_") else []
        elif language == "toml":
            (tmp_path / "pyproject.toml").write_text(text)
    assert compared == 4
    assert " passed" in printed  # the regressions, with another candidate
    assert len(examples) == 5
    tested = run(f".venv/bin/pytest -q {' '.join(examples)}", tmp_path)
    assert re.search(r"^\d+ passed in", tested, re.MULTILINE), tested
