"""A campaign by one process, by two and by two workers of Ray: is it the same, and in what share of the time?

    python benchmarks/campaign.py [--examples 2000] [--repeats 3] [--engine local ray] [--trace TRACE ...] [--keep]

Each is the whole command as a user types it, start of processes and of Ray included. One after the other in turn, so
that what else the machine does falls on all alike; the share is the median of the turns' own. With two cores and
nothing else to do it should be at most 0.62: the load says whether there was something else. Processor time tells more
than the clock then: what the work costs, whoever else there is (of Ray, that of the command without its workers).

Before each turn it asks how much processor two busy loops get here for that of one: 2.0 on two idle cores. Below 1.8
the share tells nothing, whatever it is: exit status 3. 1 where the result is another one, or the share too large.
With `--keep` the figures go to benchmarks/records/campaign.json, from which benchmarks/reliability.py takes its rows.
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
    """What is measured."""
    if options.trace:
        return ["replay", *options.trace]
    return ["fuzz", "--examples", str(options.examples), "--seed", "0"]


def two_for_one() -> float:
    """How much processor two busy loops get, together, for that of one."""
    loop = "import time\nwhile time.process_time() < 2: pass"

    def taken_s(loops: int) -> float:
        began = time.perf_counter()
        running = [subprocess.Popen([sys.executable, "-c", loop]) for _ in range(loops)]  # noqa: S603
        for each in running:
            each.wait()
        return time.perf_counter() - began

    return 2 * taken_s(1) / taken_s(2)


def timed(work: list[str], who: list[str], folder: Path) -> tuple[float, float, dict[str, Any]]:
    """Wall time and processor time of the whole command, and its result without what is of the moment."""
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
    """Measure and print; see above for the exit status."""
    parser = argparse.ArgumentParser(description="One process against two.")
    parser.add_argument("--examples", type=int, default=2000, help="of the fuzzing (default 2,000)")
    parser.add_argument("--trace", nargs="*", default=[], help="replay these instead")
    parser.add_argument("--repeats", type=int, default=3, help="turns (default 3)")
    parser.add_argument("--engine", nargs="*", choices=("local", "ray"), default=["local", "ray"])
    parser.add_argument("--keep", action="store_true", help="in benchmarks/records/campaign.json")
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
