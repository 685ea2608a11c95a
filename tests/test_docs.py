"""Every command in the documentation is run, page by page, in an empty folder, in the order in which it stands there.

A comment above a block of commands may say more:

- `<!-- run: exit 1 -->`: that is how its last command ends.
- `<!-- run: as COMMAND -->`: that one stands for it, where the real one takes long.
- `<!-- run: elsewhere -->`: another test, or CI itself, runs it.
- `<!-- run: with LightZero -->`: in an environment with LightZero, whose Python `KVPARITY_LIGHTZERO` names.
- `<!-- run: shows -->`: it prints the next block, where `...` stands for anything, and a line of it for any lines.

Several stand apart by semicolons: `<!-- run: with LightZero; exit 1 -->`. A block whose first line is a comment with a
file's name is that file.
"""

from __future__ import annotations

import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import kvparity
from kvparity import RECUR, CacheSpec, Comparison, KeysValues, load_scenario
from kvparity.shadow.timeout import Patience

ROOT = Path(__file__).parent.parent
ELSEWHERE = {"testing-your-cache.md"}  # tests/test_docs_testing.py compares its outputs, too
PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name not in ELSEWHERE),
]
BLOCK = re.compile(
    r"^(?:<!-- run: (?P<how>.*?) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
FILE = re.compile(r"# (?P<name>[\w./-]+\.(?:py|toml))\n")
LIGHTZERO = os.environ.get("KVPARITY_LIGHTZERO")

# What the pages call yours.
YOURS = {
    "my_package/__init__.py": "",
    "my_package/my_module.py": "from kvparity_refactored import KVCacheManager as MyManager  # noqa: F401\n",
}


class Block(NamedTuple):
    """A fenced block of a page, and how its commands are to be run."""

    how: tuple[str, ...]
    language: str
    text: str

    @property
    def script(self) -> str:
        """What is run."""
        return next((how.removeprefix("as ") for how in self.how if how.startswith("as ")), self.text)

    @property
    def status(self) -> int:
        """How that ends."""
        return next((int(how.removeprefix("exit ")) for how in self.how if how.startswith("exit ")), 0)


def blocks(page: Path) -> list[Block]:
    """All of the page's, in order."""
    return [
        Block(tuple(filter(None, (found["how"] or "").split("; "))), found["language"], found["text"])
        for found in BLOCK.finditer(page.read_text())
    ]


def commands(page: Path, *, lightzero: bool) -> list[Block]:
    """The blocks that are run here."""
    return [
        block
        for block in blocks(page)
        if block.language == "sh" and "elsewhere" not in block.how and ("with LightZero" in block.how) == lightzero
    ]


def settle(folder: Path, python: Path) -> None:
    """Make `folder` what the pages take for granted: the checkout, an environment, and a cache of yours."""
    for name in ("examples", "benchmarks", "scenarios", "constraints.txt"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(python.parent.parent)
    for name, text in YOURS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def run(block: Block, folder: Path, python: Path) -> str:
    """Run the block's commands, and hold them to how they should end; what they print."""
    done = subprocess.run(  # noqa: S603
        ["/bin/bash", "-euo", "pipefail", "-c", block.script],
        cwd=folder,
        env={**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    told = f"{block.script}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
    assert done.returncode == block.status, told
    return done.stdout


def pattern_of(shown: str) -> str:
    """A regular expression for an output, in which `...` stands for anything."""
    lines = [
        ".*(?:\n.*)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") for line in shown.splitlines()
    ]
    return " *\n".join(lines)


def follow(page: Path, folder: Path, python: Path, *, lightzero: bool) -> None:
    """Do what the page says, from top to bottom."""
    settle(folder, python)
    runnable = commands(page, lightzero=lightzero)
    printed, expected = "", False
    for block in blocks(page):
        named = FILE.match(block.text)
        if named is not None and block.language in ("python", "toml"):
            (folder / named["name"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / named["name"]).write_text(block.text)
        elif block in runnable:
            printed = run(block, folder, python)
            expected = "shows" in block.how
        elif expected:
            assert re.search(pattern_of(block.text), printed), f"{block.text}\nis not in\n{printed}"
            expected = False


@pytest.mark.parametrize(
    "page", [page for page in PAGES if commands(page, lightzero=False)], ids=lambda page: page.name
)
def test_a_page_can_be_followed(page: Path, tmp_path: Path) -> None:
    """Its commands, run one after the other, end as it says."""
    follow(page, tmp_path, Path(sys.executable), lightzero=False)


@pytest.mark.skipif(LIGHTZERO is None, reason="KVPARITY_LIGHTZERO names no Python with LightZero")
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page, lightzero=True)], ids=lambda page: page.name)
def test_a_page_can_be_followed_with_lightzero(page: Path, tmp_path: Path) -> None:
    """So can those of its commands that take a real training."""
    assert LIGHTZERO is not None
    follow(page, tmp_path, Path(LIGHTZERO).absolute(), lightzero=True)


def test_dots_stand_for_what_is_left_out() -> None:
    """Within a line, and for whole lines; everything else is compared."""
    printed = "began\n1 of 3 in 0.2 s  \n2 of 3\nPARITY: none\n"
    assert re.search(pattern_of("1 of 3 in ... s\n...\nPARITY: ...\n"), printed)
    assert re.search(pattern_of("...\n2 of 3\nPARITY: none\n"), printed)
    assert not re.search(pattern_of("1 of 3 in ... s\nPARITY: ...\n"), printed)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_comments_on_running_are_understood(page: Path) -> None:
    """A misspelt one would run nothing, or the wrong thing."""
    understood = re.compile(r"exit \d+|as .+|elsewhere|with LightZero|shows")
    assert [how for block in blocks(page) for how in block.how if not understood.fullmatch(how)] == []
    said = page.read_text().count("<!-- run:")
    assert said == sum(bool(block.how) for block in blocks(page)), "a comment stands above no block"


def test_every_link_leads_somewhere() -> None:
    """To a file that is there, and to a heading in it."""
    broken = []
    others = [ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs" / "decisions").glob("*.md")]
    for page in [*PAGES, *others, *(ROOT / "docs" / name for name in ELSEWHERE)]:
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
            path, _, heading = target.partition("#")
            file = page.parent / path if path else page
            if not file.exists() or (heading and heading not in headings(file)):
                broken.append(f"{page.name}: {target}")
    assert broken == []


def headings(page: Path) -> set[str]:
    """The page's headings, as links name them."""
    lines = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", lines, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# ---------------------------------------------------------------------- what pages quote and name

# Scenario, reference, candidate and steps of runs whose reasons docs/diverged.md quotes.
SHOWN = [
    ("pool-pressure", "legacy-evicting", "fault:keeps-overwritten-keys", 600),
    ("revisit", "legacy-evicting", "fault:keeps-old-value-on-update", 400),
    ("clear-storm", "legacy-evicting", "fault:recur-never-cleared", 400),
    ("mcts", "legacy-evicting", "fault:writes-into-source", 200),
    ("mcts", "legacy-evicting", "fault:lends-one-buffer", 1500),
    ("mcts", "legacy-evicting", "fault:one-working-copy", 400),
    ("clear-storm", "legacy-released", "fault:lends-false", 400),
    ("clear-storm", "legacy-evicting", "fault:one-slot-fewer", 2000),
    ("revisit", "refactored-fifo", "fault:one-slot-more", 2000),
    ("revisit", "legacy-evicting", "refactored-lru", 1500),
    ("kvparity_scenarios.quirks:reset_lives_longer", "legacy-evicting", "refactored-fifo", 300),
]
PATHS = r"`((?:docs|tests|benchmarks|examples|fuzzing|harness|legacy|refactored|scenarios|\.ci)/[\w./-]*)`"
MODULES = r"\b(kvparity(?:_legacy|_refactored|_scenarios)?(?:\.\w+)+)"


def reasons() -> str:
    """What those runs, and a cache that hangs, say; numbers and keys are all alike."""
    torch.set_num_threads(1)
    said = []
    for scenario, reference, candidate, steps in SHOWN:
        said += Comparison(reference, candidate).scenario(load_scenario(scenario), seed=0, steps=steps).kept
    with Patience(0.02).always():
        said += Comparison("legacy-evicting", "fault:sleeps").scenario(load_scenario("mcts"), seed=0, steps=5).kept
    shadow = Comparison("legacy-evicting", "fault:unknown-keys-hit-slot-zero").shadow(CacheSpec())
    shadow.set(RECUR, 1, KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=2, head_dim=2, size=1))
    shadow.get(RECUR, 2)
    said += shadow.log.kept
    return without_numbers("\n".join(divergence.explanation for divergence in said))


def without_numbers(text: str) -> str:
    """`text`, in which all keys and numbers are alike."""
    return re.sub(r"\d+(\.\d+)?", "0", re.sub(r"0x[0-9a-f]{16}", "...", text))


def test_the_page_for_diverged_runs_quotes_what_is_shown() -> None:
    """Each reason in its tables is what the terminal says, but for numbers: a message that changes takes it along."""
    by_kind = (ROOT / "docs" / "diverged.md").read_text().partition("\n## By kind")[2].partition("\n## ")[0]
    quoted = re.findall(r"^\| `(.+?)`", by_kind, re.MULTILINE)
    shown = reasons()
    assert len(quoted) > 10
    assert [
        quote for quote in quoted for part in without_numbers(quote).split("...") if part.strip() not in shown
    ] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_files_and_modules_that_a_page_names_are_there(page: Path) -> None:
    """A module that moves takes its name in the pages along."""
    text = page.read_text()
    assert [path for path in re.findall(PATHS, text) if not (ROOT / path).exists()] == []
    assert [name for name in re.findall(MODULES, text) if not is_there(name)] == []


def is_there(name: str) -> bool:
    """Whether it is a module, something in one, or a file's name."""
    try:
        return pkgutil.resolve_name(name) is not None
    except (ImportError, AttributeError):
        return name.rpartition(".")[2] in ("toml", "caches", "scenarios", "traces", "faults", "machines")


def test_the_reference_names_every_export() -> None:
    """docs/api.md lists what the package `kvparity` exports."""
    named = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "api.md").read_text()))
    assert set(kvparity.__all__) - named == set()
