"""Mutation tests of the comparison: change its code in small ways, and see whether its tests notice.

Needs `pip install -c constraints.txt -e '.[mutation]'`, and a long time for all files: one or two mutants a second are
tried. `[tool.mutmut]` in pyproject.toml lists the files that are changed and the tests that run. mutmut knows packages
in `src` only: the tree is copied to `build/mutation`, with all packages there. docs/mutation.md discusses the results.

Exit status: 1 if the tests noticed fewer than 90 % of the changes in any file.

Example:
    python benchmarks/mutation.py --only judging/judge.py --jobs 2
    python benchmarks/mutation.py --survivors
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / "build" / "mutation"
MUTANTS = COPY / "mutants" / "src"
PACKAGES = {
    "harness": "kvparity",
    "legacy": "kvparity_legacy",
    "refactored": "kvparity_refactored",
    "scenarios": "kvparity_scenarios",
}
WANTED = 0.9


def mutmut(*arguments: str) -> str:
    """Run mutmut and return what it prints; `mutmut run` shows its progress on the terminal instead."""
    done = subprocess.run(  # noqa: S603
        [str(Path(sys.executable).with_name("mutmut")), *arguments],
        cwd=COPY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=None if arguments[0] == "run" else subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout or ""


def lay_out(only: list[str]) -> None:
    """Copy what is needed, with all packages in `src`, and the files to change in the settings."""
    shutil.rmtree(COPY, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__")
    for folder, package in PACKAGES.items():
        shutil.copytree(ROOT / folder / package, COPY / "src" / package, ignore=ignored)
    shutil.copytree(ROOT / "tests", COPY / "tests", ignore=ignored)
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    if only:
        files = "".join(f'    "src/kvparity/{name}",\n' for name in only)
        settings = re.sub(r"(?s)only_mutate = \[.*?\]", f"only_mutate = [\n{files}]", settings)
    (COPY / "pyproject.toml").write_text(settings, encoding="utf-8")


def figures() -> dict[str, tuple[int, int]]:
    """For each file: the number of its mutants, and how many of them a test noticed."""
    found = {}
    for path in sorted(MUTANTS.rglob("*.meta")):
        codes = json.loads(path.read_text("utf-8"))["exit_code_by_key"].values()
        # 0: all tests passed. 33: there are no tests. None: not run.
        if codes:
            name = str(path.relative_to(MUTANTS / "kvparity").with_suffix(""))
            found[name] = (len(codes), sum(code not in (0, 33, None) for code in codes))
    return found


def survivors() -> None:
    """Print each mutant that no test noticed, as the lines that it removes and adds."""
    for line in mutmut("results").splitlines():
        name, _, status = line.strip().rpartition(": ")
        print(f"{name} ({status})")
        for change in mutmut("show", name).splitlines():
            if change[:1] in ("-", "+") and change[:3] not in ("---", "+++"):
                print(f"    {change}")


def main() -> None:
    """Run, or show what the last run left."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--survivors", action="store_true", help="of the last run; nothing is run")
    parser.add_argument("--only", action="append", default=[], metavar="FILE", help="change this file; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="number of processes (default 1)")
    options = parser.parse_args()
    if options.survivors:
        survivors()
        return
    lay_out(options.only)
    mutmut("run", "--max-children", str(options.jobs))
    per_file = figures()
    total = tuple(map(sum, zip(*per_file.values(), strict=True)))
    print("\n| file | mutants | killed | survived | killed of all |\n| --- | --: | --: | --: | --: |")
    for name, (mutants, killed) in (*per_file.items(), ("**total**", total)):
        print(f"| {name} | {mutants} | {killed} | {mutants - killed} | {killed / mutants:.1%} |")
    sys.exit(min(killed / mutants for mutants, killed in per_file.values()) < WANTED)


if __name__ == "__main__":
    main()
