"""The HTML report as people use it: in Chromium, opened from disk.

`KVPARITY_CHROMIUM` names the browser (default: what is installed as `chromium`). Where there is none these tests are
skipped, unless `KVPARITY_BROWSER_REQUIRED` is set. With `KVPARITY_SCREENSHOTS` they write the pictures of the
documentation anew.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kvparity import Comparison, load_scenario
from kvparity.report import write_page
from support.pages import KINDS, QUIRKS, hostile, large, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("KVPARITY_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
REQUIRED = "KVPARITY_BROWSER_REQUIRED" in os.environ
IMAGES = Path(__file__).parents[2] / "docs" / "images"
DESK, PHONE = {"width": 1100, "height": 800}, {"width": 375, "height": 720}

try:
    from playwright.sync_api import sync_playwright
except ImportError:
    sync_playwright = None  # type: ignore[assignment]

pytestmark = pytest.mark.skipif(
    not REQUIRED and (CHROMIUM is None or sync_playwright is None),
    reason="needs a browser: apt-get install chromium, and pip install 'kvparity[browser]'",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium without a window."""
    assert CHROMIUM, "KVPARITY_BROWSER_REQUIRED is set, and there is no Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The page of a kind of report, made once."""
    made: dict[str, Path] = {}

    def of(kind: str) -> Path:
        if kind not in made:
            made[kind] = written(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return of


class Tab:
    """A page in the browser, what it asked for, and what it complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def draw_all(self) -> None:
        """Scroll through the page until every chart is drawn."""
        for chart in self.page.query_selector_all(".plot"):
            chart.scroll_into_view_if_needed()
        self.page.wait_for_selector(".plot:not([data-drawn])", state="detached")

    def rows(self) -> list[list[str]]:
        """The list of divergences as it is shown."""
        return [row.inner_text().split("\t") for row in self.page.query_selector_all("#list tbody tr")]


@pytest.fixture
def opened(browser: Browser, report: Callable[[str], Path]) -> Iterator[Callable[..., Tab]]:
    """Opens a report, by its kind or its path, in a tab of its own."""
    contexts = []

    def open_(what: str | Path, **options: object) -> Tab:
        context = browser.new_context(**{"viewport": DESK, "reduced_motion": "reduce", **options})  # type: ignore[arg-type]
        contexts.append(context)
        tab = Tab(context.new_page())
        path = report(what) if isinstance(what, str) else what
        tab.page.goto(path.as_uri())
        return tab

    yield open_
    for context in contexts:
        context.close()


def picture(tab: Tab, name: str, *, of: str | None = None) -> None:
    """Take a picture again that the documentation has, if asked to: of the window, or of one element."""
    path = IMAGES / f"{name}.png"
    if "KVPARITY_SCREENSHOTS" in os.environ and path.exists():
        target = tab.page if of is None else tab.page.locator(of).first
        target.screenshot(path=path, animations="disabled")


# ---------------------------------------------------------------------- every kind of report


VERDICTS = {
    "parity": "PARITY",
    "stale-hit": "DIVERGENCE",
    "by-reference": "DIVERGENCE",
    "presence": "DIVERGENCE",
    "two-ranks": "DIVERGENCE",
    **dict.fromkeys(QUIRKS, "DIVERGENCE"),
}
BROKE = {
    "reset-leaves-owner": "is in slot 1 (known quirk: docs/the-original.md); the key was set again at operation",
    "reset-uses-slot": "it reused slot 0, which held the key; fifo with 3 slots would still hold it",
    "reset-lives-longer": "legacy-evicting still holds a key that fifo with 3 slots evicted at operation 4 to make",
    "clear-leaves-owner": "(known quirk: docs/the-original.md); the slot named it from before the clear at operation",
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_opens_draws_and_asks_for_nothing(opened: Callable[..., Tab], kind: str) -> None:
    """The file itself is all that is requested, every chart is drawn, and the browser complains about nothing."""
    tab = opened(kind)
    assert tab.page.locator("h1").inner_text() == VERDICTS[kind]
    picture(tab, f"report-{kind}")
    tab.draw_all()
    assert tab.page.locator(".plot svg.main-svg").count() > 0
    assert [url for url in tab.asked if not url.startswith(("data:", "blob:"))] == [tab.page.url]
    assert tab.complaints == []


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("stale-hit", "The reference is wrong: legacy-released returned the value that operation"),
        ("by-reference", "The candidate is wrong: fault:by-reference returned the value that operation"),
        ("presence", "The reference is wrong: legacy-evicting dropped this live key at operation"),
        ("two-ranks", "The reference is wrong: lightzero returned the value that operation"),
    ],
)
def test_a_click_leads_to_the_story_of_a_divergence(opened: Callable[..., Tab], kind: str, why: str) -> None:
    """Who is wrong and why, both lanes of the key with the breaking operation, and a program or how to get one."""
    tab = opened(kind)
    tab.page.locator("#list tbody button").first.click()
    detail = tab.page.locator("#detail")
    assert detail.locator(".why").inner_text().startswith(why)
    assert detail.locator(".lanes tbody tr").count() >= 2
    assert detail.locator(".lanes .parted strong").inner_text() == "they differ"
    assert detail.locator(".lanes .broke strong").inner_text() == "the cause"
    pasted = detail.locator("pre").last.inner_text()
    assert ("kvparity minimize" if kind == "two-ranks" else "driver.apply(") in pasted
    tab.page.locator("#found").scroll_into_view_if_needed()
    picture(tab, f"story-{kind}", of="#detail")


@pytest.mark.parametrize("quirk", QUIRKS)
def test_each_quirk_of_presence_has_its_report(opened: Callable[..., Tab], quirk: str) -> None:
    """One group, one story: what the original did, the operation that broke it, and the few operations that show it."""
    tab = opened(quirk)
    assert tab.page.locator("article.group").count() == 1
    tab.page.locator("#list tbody button").first.click()
    detail = tab.page.locator("#detail")
    why = detail.locator(".why").inner_text()
    assert why.startswith("The reference is wrong: ")
    assert BROKE[quirk] in why
    assert detail.locator(".lanes .broke strong").inner_text() == "the cause"
    assert 4 <= detail.locator("pre").last.inner_text().count("driver.apply(") <= 6
    picture(tab, f"quirk-{quirk}", of="#detail .lanes")


def test_the_quirks_are_told_apart_by_their_runs(opened: Callable[..., Tab]) -> None:
    """A re-set and a clear each leave the original an owner that is none any more."""
    tab = opened("presence")
    said = []
    for run in ("revisit", "clear-storm"):
        tab.page.get_by_label("Run", exact=True).select_option(run)
        tab.page.locator("#list tbody button").first.click()
        said.append(tab.page.locator("#detail .why").inner_text())
    assert "; the key was set again at operation" in said[0]
    assert "from before the clear at operation" in said[1]


def test_differences_of_tensors_are_a_heat_map_per_layer_of_k_and_v(opened: Callable[..., Tab]) -> None:
    """With the number in each cell, so that colour is not all there is."""
    tab = opened("by-reference")
    tab.page.locator("#list tbody button").first.click()
    captions = tab.page.locator(".heat caption").all_inner_texts()
    assert captions == ["layer 0, K", "layer 0, V", "layer 1, K", "layer 1, V"]
    assert float(tab.page.locator(".heat td.heat-4").first.inner_text()) > 0
    picture(tab, "heat", of=".heats")


# ---------------------------------------------------------------------- the browser of divergences


def test_the_list_is_filtered_by_kind_side_and_pool(opened: Callable[..., Tab]) -> None:
    """And says how many fit."""
    tab = opened("stale-hit")
    everything = tab.page.locator("#found").inner_text()
    tab.page.get_by_label("Kind", exact=True).select_option("stats")
    assert {row[1] for row in tab.rows()} == {"stats"}
    assert tab.page.locator("#found").inner_text() == "5 of 149 listed divergences match."
    tab.page.get_by_label("Kind", exact=True).select_option("all")
    tab.page.get_by_label("Pool", exact=True).select_option("init[2], recur")
    assert {row[4] for row in tab.rows()} == {"init[2], recur"}
    tab.page.get_by_label("Wrong side", exact=True).select_option("reference")
    assert {row[2] for row in tab.rows()} == {"reference"}
    picture(tab, "browser", of="section:has(#divergences) .split")
    tab.page.get_by_role("button", name="Show all").click()
    assert tab.page.locator("#found").inner_text() == everything


def test_a_key_is_searched(opened: Callable[..., Tab]) -> None:
    """By any part of it, in capitals or not."""
    tab = opened("stale-hit")
    key = tab.rows()[3][0]
    tab.page.get_by_label("Key contains").fill(key[4:12].upper())
    assert {row[0] for row in tab.rows()} == {key}
    tab.page.get_by_label("Key contains").fill("nothing has this key")
    assert tab.rows() == []


def test_a_group_leads_to_its_list(opened: Callable[..., Tab]) -> None:
    """Its button sets the filters."""
    tab = opened("stale-hit")
    tab.page.locator("button[data-group=error]").click()
    assert {row[1] for row in tab.rows()} == {"error"}


def test_a_long_list_is_shown_in_parts(opened: Callable[..., Tab]) -> None:
    """A hundred at a time, and the page says so."""
    tab = opened("by-reference")
    assert len(tab.rows()) == 100
    assert tab.page.locator("#found").inner_text().endswith("the first 100 are shown.")
    tab.page.get_by_role("button", name="Show 100 more").click()
    assert len(tab.rows()) == 200


def test_a_divergence_without_a_history_says_so(opened: Callable[..., Tab]) -> None:
    """Of each group the first ones are kept with theirs."""
    tab = opened("by-reference")
    tab.page.locator("#list tbody button").nth(60).click()
    assert "This page has no history for this divergence" in tab.page.locator("#detail").inner_text()


def test_the_charts_show_the_pool_that_is_chosen(opened: Callable[..., Tab]) -> None:
    """And say so to who does not see them."""
    tab = opened("stale-hit")
    tab.draw_all()
    tab.page.get_by_label("Pool in the charts").select_option("init[1]")
    tab.page.wait_for_selector(".plot[data-chart=rate][aria-label^='Hit rate of init[1]: reference ']")
    picture(tab, "charts", of="section:has(#time)")


# ---------------------------------------------------------------------- who reads it, and where


def test_everything_can_be_reached_with_the_keyboard(opened: Callable[..., Tab]) -> None:
    """Tab walks from the verdict to a key, Enter opens its story and moves there, Escape comes back."""
    tab = opened("stale-hit")
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.textContent") == "Skip to the verdict"
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.id") == "main"
    seen = []
    for _ in range(200):
        tab.page.keyboard.press("Tab")
        where = tab.page.evaluate("document.activeElement.className || document.activeElement.id")
        seen.append(where)
        if where == "key":
            break
    assert {"filter-kind", "filter-wrong", "filter-pool", "filter-key"} <= set(seen)
    outline = tab.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.id") == "story"
    tab.page.keyboard.press("Escape")
    assert tab.page.evaluate("document.activeElement.className") == "key"


@pytest.mark.parametrize("kind", ["by-reference", "presence", "two-ranks"])
def test_a_phone_scrolls_in_one_direction(opened: Callable[..., Tab], kind: str) -> None:
    """Nothing is wider than the screen; wide tables scroll in themselves."""
    tab = opened(kind, viewport=PHONE, color_scheme="dark")
    tab.draw_all()
    button = tab.page.locator("#list tbody button").first
    if button.count():
        button.click()
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    tab.page.evaluate("scrollTo(0, 0)")
    if kind == "presence":
        picture(tab, "phone-dark")


def test_it_is_dark_where_the_system_is(opened: Callable[..., Tab]) -> None:
    """Background, text and charts."""
    inks = []
    for scheme in ("light", "dark"):
        tab = opened("parity", color_scheme=scheme)
        tab.draw_all()
        background = tab.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 27)"}[scheme]
        inks.append(tab.page.evaluate("getComputedStyle(document.querySelector('.plot .xtick text')).fill"))
    assert inks == ["rgb(27, 31, 36)", "rgb(232, 236, 240)"]


def test_it_prints(opened: Callable[..., Tab], tmp_path: Path) -> None:
    """As a PDF of some pages, without controls, with everything that can be unfolded unfolded."""
    tab = opened("presence")
    tab.page.pdf(path=tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().count(b"/Type /Page\n") >= 3
    tab.page.emulate_media(media="print")
    assert not tab.page.locator("#filters").is_visible()
    assert not tab.page.locator("nav").is_visible()
    assert tab.page.locator("caption", has_text="History of the key").first.is_visible()


def test_without_scripts_the_verdict_and_the_groups_are_there(opened: Callable[..., Tab]) -> None:
    """And the page says what is not."""
    tab = opened("stale-hit", java_script_enabled=False)
    assert tab.page.locator("h1").inner_text() == "DIVERGENCE"
    assert tab.page.locator("article.group").count() == 3
    assert tab.page.get_by_text("The list and the charts need JavaScript").is_visible()
    assert not tab.page.locator("#filters").is_visible()


# ---------------------------------------------------------------------- hostile and large


def test_hostile_names_do_nothing(opened: Callable[..., Tab], tmp_path: Path) -> None:
    """HTML and script in names, pools, messages and programs is shown as text, in the list and in the story too."""
    result = Comparison("legacy-released", "refactored-fifo").scenario(
        load_scenario("pool-pressure"), seed=0, steps=2000
    )
    write_page(hostile(result), tmp_path, fail_on="behaviour")
    tab = opened(tmp_path / "index.html")
    tab.page.locator("#list tbody button").first.click()
    tab.draw_all()
    assert tab.page.evaluate("typeof window.hacked") == "undefined"
    assert tab.page.locator("img").count() == 0
    assert "<script>window.hacked = 1</script>" in tab.page.locator("#detail").inner_text()
    assert tab.complaints == []


def test_a_large_report_can_be_searched(opened: Callable[..., Tab], tmp_path: Path) -> None:
    """Ten million operations, ten thousand divergences."""
    write_page(large(), tmp_path, fail_on="behaviour")
    tab = opened(tmp_path / "index.html")
    assert tab.page.locator("#found").inner_text().startswith("10,000 of 10,000 listed divergences match")
    tab.page.get_by_label("Run", exact=True).select_option("run 7")
    assert tab.page.locator("#found").inner_text().startswith("1,000 of 10,000 listed divergences match")
    tab.page.locator("#list tbody button").first.click()
    assert tab.page.locator("#detail .lanes tbody tr").count() == 24
    assert tab.complaints == []
