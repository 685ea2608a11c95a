"""Mutation tests of the comparison: change its code in small ways, and see whether its tests notice.

Needs `pip install -c constraints.txt -e '.[mutation]'`, and about a quarter of an hour on one core. `[tool.mutmut]` in
pyproject.toml lists the files that are changed and the tests that run. docs/mutation.md discusses the results.

Exit status: 1 if the tests noticed fewer than 90 % of the changes in any file.

Example:
    python benchmarks/mutation.py
    python benchmarks/mutation.py --survivors
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MUTANTS = ROOT / "mutants"
WANTED = 0.9


def mutmut(*arguments: str) -> str:
    """Run mutmut and return what it prints; `mutmut run` shows its progress on the terminal instead."""
    done = subprocess.run(  # noqa: S603
        [str(Path(sys.executable).with_name("mutmut")), *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=None if arguments[0] == "run" else subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout or ""


def figures() -> dict[str, tuple[int, int]]:
    """For each file: the number of its mutants, and how many of them a test noticed."""
    found = {}
    for path in sorted(MUTANTS.glob("harness/*.meta")):
        codes = json.loads(path.read_text("utf-8"))["exit_code_by_key"].values()
        # 0: all tests passed. 33: there are no tests. None: not run.
        found[f"harness/{path.stem}"] = (len(codes), sum(code not in (0, 33, None) for code in codes))
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
    """Run the mutation tests, or show what the last run left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--survivors", action="store_true", help="of the last run, and run nothing")
    options = parser.parse_args()
    if options.survivors:
        survivors()
        return
    shutil.rmtree(MUTANTS, ignore_errors=True)
    mutmut("run", "--max-children", "1")
    per_file = figures()
    total = tuple(map(sum, zip(*per_file.values(), strict=True)))
    print("\n| file | mutants | killed | survived | killed of all |\n| --- | --: | --: | --: | --: |")
    for name, (mutants, killed) in (*per_file.items(), ("**total**", total)):
        print(f"| {name} | {mutants} | {killed} | {mutants - killed} | {killed / mutants:.1%} |")
    sys.exit(min(killed / mutants for mutants, killed in per_file.values()) < WANTED)


if __name__ == "__main__":
    main()
