"""Each rule of the comparison removed, one at a time, in a copy of the code: the tests that need it must fail.

    python benchmarks/rules.py [--markdown] [WORD ...]

A rule is named with the fault that only it catches, and with the tests that show that. First all tests must pass with
all rules in place. Then each rule is removed, and every test named for it must fail. Words select rules.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rule_table import RULES, Rule

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("harness", "legacy", "refactored", "scenarios", "tests", "pyproject.toml")


def run(copy: Path, nodes: list[str]) -> str:
    """What pytest says at its end of those tests against the code in `copy`."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", "-o", "addopts=", *nodes],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip() or done.stdout.strip().splitlines()[-1]


def without(copy: Path, rule: Rule) -> str:
    """The same without `rule`, which is put back.

    Raises:
        SystemExit: a text that is to be changed does not occur once.
    """
    path = copy / rule.file
    whole = path.read_text("utf-8")
    text = whole
    for old, new in rule.changes:
        if text.count(old) != 1:
            raise SystemExit(f"{rule.name}: {rule.file} has {text.count(old)} times, and not once:\n{old}")
        text = text.replace(old, new)
    path.write_text(text, "utf-8")
    try:
        return run(copy, rule.nodes)
    finally:
        path.write_text(whole, "utf-8")


def main() -> None:
    """Run the rules asked for; exit status 1 where a test does without one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="*", help="rules whose name or fault has one of these words; all by default")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/mutation.md")
    options = parser.parse_args()
    rules = [
        rule
        for rule in RULES
        if not options.words or any(word in f"{rule.name} {rule.fault}" for word in options.words)
    ]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, copy / name)
        with_all = run(copy, sorted({node for rule in rules for node in rule.nodes}))
        if not re.match(r"\d+ passed in", with_all):
            raise SystemExit(f"with all rules in place: {with_all}")
        if options.markdown:
            print("| rule | what only it catches | tests that fail without it |\n| --- | --- | --- |")
        for rule in rules:
            last = without(copy, rule)
            caught = re.match(rf"{len(rule.nodes)} failed in", last) is not None
            missed += not caught
            if options.markdown:
                tests = "<br>".join(f"`{each}`" for each in rule.tests)
                print(f"| {rule.name} | {rule.fault} | {tests if caught else '**none**'} |", flush=True)
            else:
                print(f"{'caught' if caught else 'MISSED'}  {rule.name}: {last}", flush=True)
    print(f"\n{len(rules) - missed} of {len(rules)} rules are needed by the tests named for them.")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
