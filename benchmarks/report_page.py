"""How large the HTML report of ten million operations is, and how fast a browser opens it.

Needs what the tests of the page need: `pip install -e '.[browser]'` and a Chromium.

Example, from the checkout:

    python benchmarks/report_page.py
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, CDPSession, sync_playwright

from kvparity.report import write_page

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.pages import large  # the tests open the same result

OPENED = 7


class Moment(NamedTuple):
    """The time since the page was requested: wall time, and processor time, which other work does not change."""

    elapsed_s: float
    cpu_s: float


def cpu_s(session: CDPSession) -> float:
    """The processor time of all of the browser's processes so far."""
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return sum(process["cpuTime"] for process in processes)


def opened(browser: Browser, page: Path) -> list[Moment]:
    """When the list of divergences answers, and when the first chart is drawn."""
    session, tab = browser.new_browser_cdp_session(), browser.new_page()
    began, before = time.perf_counter(), cpu_s(session)
    moments = []
    tab.goto(page.as_uri())
    tab.wait_for_selector("#list tbody button")
    moments.append(Moment(time.perf_counter() - began, cpu_s(session) - before))
    tab.eval_on_selector(".plot", "chart => chart.scrollIntoView()")
    tab.wait_for_selector(".plot[data-drawn]")
    moments.append(Moment(time.perf_counter() - began, cpu_s(session) - before))
    tab.close()
    return moments


def main() -> None:
    """Print the figures."""
    result = large()
    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        write_page(result, Path(name), fail_on="behaviour")
        written = time.perf_counter() - began
        page = Path(name) / "index.html"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            times = [opened(browser, page) for _ in range(OPENED)]
            browser.close()
        print(f"{result.operations_total:,} operations, {result.total:,} divergences in {len(result.runs)} runs")
        print(f"page {page.stat().st_size / 1e6:.2f} MB, written in {written:.1f} s")
        for at, what in enumerate(("the list answers", "the first chart is drawn")):
            elapsed, cpu = (statistics.median(column) for column in zip(*[each[at] for each in times], strict=True))
            print(f"{what} after {elapsed:.2f} s, {cpu:.2f} s of processor time (medians of {OPENED})")


if __name__ == "__main__":
    main()
