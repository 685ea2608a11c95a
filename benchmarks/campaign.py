"""A campaign in one process, with two local workers, and with two Ray workers: same result, and how much faster?

Each measurement runs the whole command as a user types it, including the start of the processes and of Ray. The
variants take turns, so that other work on the machine affects all of them alike. The share is two workers' time divided
by one process's time; the script prints the median over the turns. At most 0.62 is the target on two idle cores. The
processor time is printed too: it says what the work costs even if other programs use the machine. (For Ray it is that
of the command, without the workers.)

Before each turn the script measures how much processor time two busy loops get, compared with one: 2.0 on two idle
cores. Below 1.8 the share says nothing, whatever it is.

Exit status: 0 if the target is met; 1 if a result differs or the share is too large; 3 if the machine was too busy.
With `--keep` the figures go to benchmarks/records/campaign.json, which benchmarks/reliability.py reads.

Example:
    python benchmarks/campaign.py --examples 2000 --repeats 3 --engine local
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kvparity.campaign import comparable
from records import keep

WANTED = 0.62
ENOUGH = 1.8


def command(options: argparse.Namespace) -> list[str]:
    """The arguments of kvparity that are measured."""
    if options.trace:
        return ["replay", *options.trace]
    return ["fuzz", "--examples", str(options.examples), "--seed", "0"]


def two_for_one() -> float:
    """How much processor time two busy loops get together, divided by what one gets."""
    loop = "import time\nwhile time.process_time() < 2: pass"

    def taken_s(loops: int) -> float:
        began = time.perf_counter()
        running = [subprocess.Popen([sys.executable, "-c", loop]) for _ in range(loops)]  # noqa: S603
        for each in running:
            each.wait()
        return time.perf_counter() - began

    return 2 * taken_s(1) / taken_s(2)


def timed(work: list[str], who: list[str], folder: Path) -> tuple[float, float, dict[str, Any]]:
    """Wall time and processor time of the whole command, and its result without times and paths."""
    result = folder / "result.json"
    caches = [
        "--reference",
        "refactored-fifo",
        "--candidate",
        "kvparity_scenarios.correct_cache:CorrectCache",
        "--fail-on",
        "never",
    ]
    line = [sys.executable, "-m", "kvparity", *work, *caches, *who, "--quiet", "--json", str(result)]
    began, used = time.perf_counter(), _used_s()
    subprocess.run(line, check=True, cwd=folder, stdout=subprocess.DEVNULL)  # noqa: S603
    return time.perf_counter() - began, _used_s() - used, comparable(json.loads(result.read_text()))


def _used_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Measure and print. The module's docstring lists the exit statuses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=2000, help="examples of the fuzzing (default 2,000)")
    parser.add_argument("--trace", nargs="*", default=[], metavar="TRACE", help="replay these and do not fuzz")
    parser.add_argument("--repeats", type=int, default=3, help="number of turns (default 3)")
    parser.add_argument(
        "--engine", nargs="*", choices=("local", "ray"), default=["local", "ray"], help="(default both)"
    )
    parser.add_argument("--keep", action="store_true", help="write the figures to benchmarks/records/campaign.json")
    options = parser.parse_args()
    work = command(options)
    shares: dict[str, list[float]] = {engine: [] for engine in options.engine}
    times: dict[str, list[dict[str, float]]] = {engine: [] for engine in options.engine}
    same, gains = True, []
    print(f"kvparity {' '.join(work)}; {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        for turn in range(options.repeats):
            gains.append(two_for_one())
            print(f"turn {turn + 1}: two busy loops get {gains[-1]:.1f} times the processor of one", flush=True)
            alone_s, alone_cpu_s, alone = timed(work, ["--jobs", "1"], Path(name))
            for engine in options.engine:
                two_s, two_cpu_s, two = timed(work, ["--engine", engine, "--jobs", "2"], Path(name))
                same = same and two == alone
                shares[engine].append(two_s / alone_s)
                times[engine].append({"one_s": round(alone_s, 1), "two_s": round(two_s, 1)})
                load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
                print(
                    f"turn {turn + 1}: one process {alone_s:.1f} s ({alone_cpu_s:.1f} s of processor),"
                    f" two {engine} {two_s:.1f} s ({two_cpu_s:.1f} s), share {two_s / alone_s:.2f};"
                    f" {'same' if two == alone else 'OTHER'} result; load {load}",
                    flush=True,
                )
    medians = {engine: statistics.median(each) for engine, each in shares.items()}
    for engine, share in medians.items():
        print(f"{engine}: {share:.2f} of one process's time (wanted: at most {WANTED})")
    if options.keep:
        about = {
            "work": shlex.join(["kvparity", *work]),
            "two_for_one": round(statistics.median(gains), 2),
            "same": same,
        }
        keep("campaign", {each: {**about, "share": round(medians[each], 3), "turns": times[each]} for each in medians})
    if same and statistics.median(gains) < ENOUGH:
        print("this machine has no second core to give at present: measure again when it is idle")
        return 3
    return 0 if same and max(medians.values()) <= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
