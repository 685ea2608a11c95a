"""Run the fuzzers, all targets at the same time.

Needs `pip install -e '.[fuzzing]'`. New inputs go to the folder `--work`. So do inputs that break a target; their names
begin with the target's name and `crash-`, `timeout-` or `oom-`.

With `--keep`, inputs that reach new code are added to the corpus, and the figures of the run are added to
`fuzzing/record.json`, which `benchmarks/reliability.py` reads: how many seconds each target really ran, its executions,
and how many inputs broke it. Correct the number of open ones there when they are fixed.

Exit status: the number of targets that broke.

Example:
    python fuzzing/run.py --minutes 60 --keep
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import platform
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
RECORD = HERE / "record.json"
TARGETS = ("trace", "rows", "result", "settings")
_LIMITS = ("-timeout=30", "-rss_limit_mb=4096", "-max_len=65536", "-print_final_stats=1")
_SHORTEST_S = 20
_EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s+(\d+)")


def main() -> int:
    """Run the targets; return how many of them broke."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "targets", nargs="*", choices=[[], *TARGETS], metavar="TARGET", help=f"(default all): {', '.join(TARGETS)}"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="of each target (default 60)")
    parser.add_argument(
        "--work", type=Path, default=Path("kvparity-fuzzing"), metavar="DIR", help="(default ./kvparity-fuzzing)"
    )
    parser.add_argument("--keep", action="store_true", help="add to the corpus and to the record")
    options = parser.parse_args()
    work: Path = options.work
    targets = tuple(options.targets) or TARGETS
    figures = {name: dict.fromkeys(("seconds", "executions", "crashes", "open"), 0) for name in targets}
    running = {name: Run(name, work, seconds=int(options.minutes * 60)) for name in targets}
    while running:
        time.sleep(1.0)
        for name, run in list(running.items()):
            if run.process.poll() is None:
                continue
            for field, number in run.figures().items():
                figures[name][field] += number
            left = int(options.minutes * 60) - figures[name]["seconds"]
            if figures[name]["crashes"] or left < _SHORTEST_S:
                del running[name]
            else:  # it was interrupted
                running[name] = Run(name, work, seconds=left)
    print(json.dumps(figures, indent=2))
    if options.keep:
        for name in targets:
            _merge(name, work)
        _add_to_record(figures)
    return sum(figure["crashes"] > 0 for figure in figures.values())


class Run:
    """One target that is running."""

    def __init__(self, name: str, work: Path, *, seconds: int) -> None:
        found = work / name
        found.mkdir(parents=True, exist_ok=True)
        self._name, self._work, self._began = name, work, time.monotonic()
        options = [f"-max_total_time={seconds}", f"-artifact_prefix={work}/{name}-", *_LIMITS]
        with (work / f"{name}.log").open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, str(HERE / "one.py"), name, str(found), str(HERE / "corpus" / name), *options],
                stdout=log,
                stderr=log,
            )

    def figures(self) -> dict[str, int]:
        """How long it ran, how often it was executed, and how many inputs broke it."""
        log = (self._work / f"{self._name}.log").read_text(encoding="utf-8", errors="replace")
        executions = _EXECUTIONS.search(log)
        broken = [path for kind in ("crash", "timeout", "oom") for path in self._work.glob(f"{self._name}-{kind}-*")]
        return {
            "seconds": round(time.monotonic() - self._began),
            "executions": int(executions.group(1)) if executions else 0,
            "crashes": len(broken),
            "open": len(broken),
        }


def _add_to_record(figures: dict[str, dict[str, int]]) -> None:
    before = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    today = dt.datetime.now(tz=dt.timezone.utc).date().isoformat()
    for name, figure in figures.items():
        known = before.get(name, {})
        sums = {field: known.get(field, 0) + number for field, number in figure.items()}
        before[name] = {**sums, "last": today, "python": platform.python_version(), "atheris": version("atheris")}
    RECORD.write_text(json.dumps(before, indent=2) + "\n", encoding="utf-8")


def _merge(name: str, work: Path) -> None:
    """Add to the corpus what reaches code that nothing in the corpus reaches."""
    corpus = HERE / "corpus" / name
    options = ("-set_cover_merge=1", "-use_counters=0")  # few inputs that reach everything; how often does not matter
    command = [sys.executable, str(HERE / "one.py"), name, *options, str(corpus), str(work / name)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  our own program


if __name__ == "__main__":
    sys.exit(main())
