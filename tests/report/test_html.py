"""The HTML report as text: what it says, that it asks for nothing, and that whatever it is told stays text."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

import kvparity.report.html.requirements
from kvparity import Comparison, Result, load_scenario, merge
from kvparity.cli import main
from kvparity.evidence import Exhibit, Timeline
from kvparity.report.html import render_page
from kvparity.report.html.charts import chart_data, spread
from kvparity.report.html.divergences import dumped, exhibit, listing
from kvparity.report.html.page import MOST_SECTIONS
from kvparity.results.reading import read_result
from kvparity.results.writing import write_json
from support.pages import SCRIPT, hostile, large

if TYPE_CHECKING:
    from pathlib import Path

VOID = {"meta", "link", "input", "img", "br"}


class Document(HTMLParser):
    """A page taken apart: its elements with their attributes, and the text in each kind of element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of each element of that kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def data(self) -> dict[str, Any]:
        """What its scripts work with."""
        at = [each.get("id") for each in self.all("script")].index("data")
        return json.loads(self.texts["script"][at])


def run(scenario: str = "revisit", reference: str = "legacy-evicting", steps: int = 1000) -> Result:
    """A short comparison with refactored-fifo, in which the original differs."""
    return Comparison(reference, "refactored-fifo").scenario(load_scenario(scenario), seed=0, steps=steps)


@pytest.fixture(scope="module")
def result() -> Result:
    """With corruption, of the released original."""
    return run("pool-pressure", "legacy-released", 2000)


@pytest.fixture(scope="module")
def document(result: Result) -> Document:
    """Its page."""
    return Document(render_page(result, fail_on="behaviour"))


# ---------------------------------------------------------------------- what it says


def test_the_verdict_is_the_title_and_the_first_heading(document: Document) -> None:
    """With the reasons in a list below it."""
    assert document.texts["h1"] == ["DIVERGENCE"]
    assert document.texts["title"] == ["DIVERGENCE: legacy-released against refactored-fifo"]
    reasons = " ".join(" ".join(document.texts["li"]).split())
    assert "✖ failed corruption" in reasons
    assert "May the candidate replace the reference? NO-GO" in document.texts["section"][0]
    assert "✔ passed complete" in reasons


def test_parity_passes_every_check() -> None:
    """And the page says that there are no divergences, instead of an empty list."""
    text = render_page(run("mcts", steps=500), fail_on="behaviour")
    document = Document(text)
    assert document.texts["h1"] == ["PARITY"]
    assert "✖ failed" not in text
    assert "None." in document.texts["main"][0]


@pytest.mark.parametrize("section", ["What was compared", "What was exercised", "Over time", "Latency and memory"])
def test_every_section_is_there(document: Document, section: str) -> None:
    """Under a heading of its own."""
    assert section in document.texts["h2"]


def test_what_the_workload_never_did_is_marked(document: Document) -> None:
    """No key of pool-pressure is set again: the cell says that, and so that nothing is known of it."""
    lacking = [text for text in document.texts["td"] if text.startswith("○")]
    assert "○ 0 no key was set again while the pool held it" in lacking


def test_each_group_is_shown_without_scripts(result: Result, document: Document) -> None:
    """Who is wrong and why, what either side did, and the history of the key."""
    text = document.texts["main"][0]
    for (kind, wrong), divergence in result.first.items():
        assert f"{kind} × {result.by_group[kind, wrong]:,}, wrong: {wrong}" in text  # noqa: RUF001
        assert f"The {wrong} is wrong: {divergence.explanation}." in text
    assert "History of the key" in document.texts["caption"]


def test_the_list_says_what_it_leaves_out() -> None:
    """A thousand are kept whole of a run; the others are counted, and the page says so."""
    result = run()
    result.total, result.by_group["presence", "reference"] = 12_345, 12_345
    text = render_page(result, fail_on="behaviour")
    assert f"{len(result.kept)} of 12,345 are listed; the groups above count the others." in text


def test_the_command_that_repeats_it_is_there(tmp_path: Path) -> None:
    """As it was typed."""
    main(["run", "mcts", "--steps", "300", "--quiet", "--report", str(tmp_path)])
    document = Document((tmp_path / "index.html").read_text())
    assert f"kvparity run mcts --steps 300 --quiet --report {tmp_path}" in document.texts["code"]


def test_a_divergence_comes_with_the_smallest_program(tmp_path: Path) -> None:
    """Which is in the JSON result, too, and shows the same divergence when it is run."""
    main(["run", "pool-pressure", "--reference", "legacy-released", "--quiet", "--report", str(tmp_path)])
    [program] = [
        each["program"]
        for each in json.loads((tmp_path / "result.json").read_text())["first"]
        if each["kind"] == "stale_hit"
    ]
    assert program in Document((tmp_path / "index.html").read_text()).texts["code"]
    assert program.count("driver.apply") == 3
    found: dict[str, Any] = {}
    exec(program, found)  # noqa: S102  that is what the program is for
    assert [(each.kind, each.wrong) for each in found["shadow"].log.kept[:1]] == [("stale_hit", "reference")]


def test_without_a_program_the_page_says_how_to_get_one(document: Document) -> None:
    """The commands that record the run and make the recording small."""
    [command] = {text for text in document.texts["code"] if "kvparity minimize" in text}
    assert command.splitlines() == [
        (
            "kvparity run pool-pressure --reference legacy-released --candidate refactored-fifo --seed 0 --steps 2000"
            " --record found.kvtrace --quiet"
        ),
        "kvparity minimize found.kvtrace -o small.kvtrace --reference legacy-released --candidate refactored-fifo",
    ]


def test_several_runs_have_an_overview_and_a_section_each() -> None:
    """The table links to the sections; the list has a filter for the run."""
    document = Document(render_page(merge([run(), run("clear-storm")]), fail_on="behaviour"))
    assert {"Run 1: revisit", "Run 2: clear-storm"} <= set(document.texts["h2"])
    assert {"#run-0", "#run-1"} <= {each["href"] for each in document.all("a")}
    assert {row[0] for row in document.data["divergences"]["rows"]} == {0, 1}
    assert "filter-run" in {each.get("id") for each in document.all("select")}


def test_more_runs_than_sections_are_all_in_the_table() -> None:
    """And the page says that the table has them all."""
    text = render_page(merge([run("mcts", steps=50)] * (MOST_SECTIONS + 2)), fail_on="behaviour")
    document = Document(text)
    assert sum(heading.startswith("Run ") for heading in document.texts["h2"]) == MOST_SECTIONS
    assert sum(each == "mcts" for each in document.texts["th"]) == MOST_SECTIONS + 2
    assert f"The first {MOST_SECTIONS} runs have a section of their own below" in text


def test_a_missing_rank_is_named() -> None:
    """Where the runs are."""
    result = run()
    result.missing = ["rank 1"]
    assert "No result of rank 1." in render_page(result, fail_on="behaviour")


# ---------------------------------------------------------------------- what broke it


@pytest.mark.parametrize(
    ("scenario", "reference", "kind", "broke"),
    [
        ("revisit", "legacy-evicting", "presence", "drop"),
        ("clear-storm", "legacy-evicting", "presence", "drop"),
        ("pool-pressure", "legacy-released", "stale_hit", "drop"),
    ],
)
def test_the_breaking_operation_is_marked(scenario: str, reference: str, kind: str, broke: str) -> None:
    """The moment that the explanation names, before the one where it shows."""
    first = run(scenario, reference, 2000).first[kind, "reference"]
    assert first.exhibit is not None
    shown = exhibit(first, first.exhibit)
    assert shown["history"][shown["broke"]][1] == broke
    assert str(shown["history"][shown["broke"]][0]) in first.explanation


@pytest.mark.parametrize("wording", ["now", "before"])
def test_the_set_whose_bytes_came_back_is_put_into_the_history(wording: str) -> None:
    """It is of another key, so that this key's own history lacks it; results of earlier versions say it otherwise."""
    first = Comparison("legacy-evicting", "fault:by-reference").scenario(load_scenario("mcts"), seed=0, steps=200)
    divergence = first.first["stale_hit", "candidate"]
    assert divergence.exhibit is not None
    if wording == "before":
        said = re.sub(r"set under key (\w+) in (recur|init\[\d\])", r"set in \2 under key \1", divergence.explanation)
        assert said != divergence.explanation
        divergence = replace(divergence, explanation=said)
    assert divergence.exhibit is not None
    shown = exhibit(divergence, divergence.exhibit)
    number, operation, pool, reference, candidate = shown["history"][shown["broke"]]
    assert f"the value that operation {number} set" in divergence.explanation
    assert (operation, pool) == ("set", "init[7]")
    assert candidate == f"{reference}, and its bytes came back"


def test_a_difference_against_no_number_is_no_number_in_the_page() -> None:
    """JSON has no NaN."""
    divergence = run().first["presence", "reference"]
    heat = (("layer 0, K", ((float("nan"), float("inf"), None, 1.0),)),)
    shown = exhibit(divergence, Exhibit(history=(), heat=heat))
    assert shown["heat"] == [["layer 0, K", [[None, None, None, 1.0]]]]


# ---------------------------------------------------------------------- what it asks for, and lets in


def test_the_page_refers_to_nothing_outside_itself(document: Document) -> None:
    """No address of anything but its own sections."""
    addresses = [
        value
        for _, attributes in document.elements
        for name, value in attributes.items()
        if name in {"src", "href", "action", "data", "poster", "srcset"}
    ]
    assert addresses
    assert [each for each in addresses if not each.startswith("#") and each != "data:,"] == []
    assert "@import" not in document.texts["style"][0]
    assert "url(" not in document.texts["style"][0]


def test_the_policy_allows_both_scripts_and_no_connection(document: Document) -> None:
    """By their hashes, Plotly's as it is when it is unpacked; nothing is allowed that is not named."""
    [policy] = [each["content"] for each in document.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    _, packed, script = document.texts["script"]
    plotly = gzip.decompress(base64.b64decode(packed))
    assert b"plotly.js v" in plotly[:200]
    assert policy.startswith("default-src 'none'; ")
    for code in (plotly, script.encode()):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(code).digest()).decode()}'" in policy
    allowed = policy.split("script-src ")[1].split(";")[0]
    assert "unsafe" not in allowed
    assert "connect-src" not in policy


def test_what_is_hostile_stays_text(result: Result) -> None:
    """A workload, caches, pools, messages and programs that hold HTML and script add no element to the page."""
    document = Document(render_page(hostile(result), fail_on="behaviour"))
    assert [each.get("id") for each in document.all("script")] == ["data", "plotly", None]
    assert document.all("img") == []
    assert not [name for _, attributes in document.elements for name in attributes if name.startswith("on")]
    assert SCRIPT in document.texts["code"]
    rows, columns = document.data["divergences"]["rows"], document.data["divergences"]["columns"]
    assert rows[0][columns.index("explanation")] == SCRIPT


@pytest.mark.parametrize("hostile_text", ["</script>", "<!--", "]]>", "&lt;", "\u2028\u2029", '"\\', "\ud800"])
def test_json_in_a_script_element_ends_nothing(hostile_text: str) -> None:
    """What is read back is what was put in, and no character of it means anything to HTML or JavaScript."""
    text = dumped({"name": hostile_text})
    assert json.loads(text) == {"name": hostile_text}
    assert not re.search("[<>&\u2028\u2029\ud800]", text)


# ---------------------------------------------------------------------- who reads it


def test_headings_are_in_order(document: Document) -> None:
    """One first-level heading, and none skips a level."""
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_control_has_a_label_and_every_header_a_scope(document: Document) -> None:
    """For those who hear the page."""
    labelled = {each["for"] for each in document.all("label")}
    controls = document.all("select") + document.all("input")
    assert controls
    assert {each["id"] for each in controls} <= labelled
    assert all("scope" in each for each in document.all("th"))
    assert all(each["aria-label"] for _, each in document.elements if each.get("role") in {"img", "group"})
    assert document.all("html") == [{"lang": "en"}]


def test_every_id_is_there_once(document: Document) -> None:
    """And every link inside the page leads somewhere."""
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {each["href"][1:] for each in document.all("a")} <= set(ids)


def test_every_chart_has_its_numbers_in_a_table(document: Document) -> None:
    """For those who do not see it, and on paper."""
    captions = " ".join(document.texts["caption"])
    drawn = {each["data-chart"] for each in document.all("div") if "data-chart" in each}
    assert drawn == {"pace", "rate", "length", "evictions", "latency", "memory"}
    for caption in ("Operations and divergences so far", "recur over time", "Quantiles", "Memory over time"):
        assert caption in captions


def _palettes(style: str) -> dict[str, dict[str, str]]:
    """The colours by scheme."""
    blocks = re.findall(r":root \{(.*?)\n\s*\}", style, re.DOTALL)
    light, dark, paper = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks)
    return {"light": light, "dark": {**light, **dark}, "print": {**light, **paper}}


def _contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_can_be_told_from_its_background(document: Document, scheme: str) -> None:
    """A contrast of at least 4.5 for every colour of text on both backgrounds, and in every heat."""
    colours = _palettes(document.texts["style"][0])[scheme]
    pairs = [
        (text, background)
        for text in ("ink", "faint", "link", "reference", "candidate", "good", "bad", "warn")
        for background in ("paper", "panel")
    ]
    pairs += [("heat-ink", f"heat-{level}") for level in range(4)] + [("heat-ink-4", "heat-4")]
    too_low = {pair: _contrast(*(colours[name] for name in pair)) for pair in pairs}
    assert {pair: contrast for pair, contrast in too_low.items() if contrast < 4.5} == {}


# ---------------------------------------------------------------------- how large it gets


def test_ten_million_operations_and_ten_thousand_divergences_stay_below_ten_megabytes() -> None:
    """All are listed; histories that do not fit are left out evenly, the first ones of each group last."""
    result = large()
    assert (result.operations_total, result.total) == (10_000_000, 10_000)
    text = render_page(result, fail_on="behaviour")
    assert len(text.encode()) < 10_000_000
    listed = Document(text).data["divergences"]
    assert len(listed["rows"]) == 10_000
    assert listed["rows"][0][-1] is not None


def test_a_list_beyond_its_bounds_is_cut_for_every_run_alike() -> None:
    """And the page says how many it lists."""
    result = large(runs=3, divergences=9_000)
    for leaf in result.runs:
        leaf.total = 9_000
    rows = listing(result)["rows"]
    assert len(rows) < 27_000
    counts = [sum(row[0] == at for row in rows) for at in range(3)]
    assert max(counts) - min(counts) < 0.02 * max(counts)
    assert f"{len(rows):,} of 27,000 are listed; the groups above count the others" in render_page(
        result, fail_on="behaviour"
    )


def test_long_messages_are_cut_with_a_word_about_it() -> None:
    """A cache may raise a megabyte."""
    result = run()
    group, first = next(iter(result.first.items()))
    fields = {name: getattr(first, name) for name in first.__slots__}
    result.first[group] = type(first)(**{**fields, "candidate": "x" * 1_000_000})
    text = render_page(result, fail_on="behaviour")
    assert "x … (999,000 more characters: result.json has them)" in text


def test_a_timeline_is_thinned_where_there_are_many_runs() -> None:
    """Its last point stays, and every run has some."""
    leaf = large(runs=1)
    alone, crowded = (chart_data(leaf, runs=runs)["operations"] for runs in (1, 60))
    assert len(alone) == 256
    assert 8 <= len(crowded) < 64
    assert crowded[-1] == alone[-1]


@pytest.mark.parametrize(("length", "most", "expected"), [(0, 4, []), (3, 4, [0, 1, 2]), (9, 3, [2, 5, 8])])
def test_points_are_spread_evenly(length: int, most: int, expected: list[int]) -> None:
    """Up to the last."""
    assert spread(length, most) == expected


def test_hit_rates_are_those_between_two_points() -> None:
    """None where nothing was looked up, or where nobody counts."""
    result = run("mcts", steps=300)
    columns = {
        "hits": [1, 1, 4],
        "misses": [1, 1, None],
        "evictions": [0] * 3,
        "length": [1] * 3,
        "size_bytes": [8] * 3,
    }
    result.timeline = Timeline(
        operations=[1, 2, 3],
        elapsed_s=[0.1, 0.2, 0.3],
        corruption=[0] * 3,
        behaviour=[0] * 3,
        resident_bytes=[None] * 3,
        sides={"reference": {"recur": columns}},
    )
    data = chart_data(result, runs=1)
    assert data["pools"]["recur"]["rate"] == {"reference": [0.5, None, None], "candidate": [None, None, None]}
    assert data["held"] == {"reference": [8, 8, 8], "candidate": [None, None, None]}


# ---------------------------------------------------------------------- commands


def test_without_the_extra_no_work_is_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One line says how to install it, before the caches are driven."""
    monkeypatch.setattr(kvparity.report.html.requirements, "find_spec", lambda _name: None)
    monkeypatch.setattr(Comparison, "scenario", lambda *_, **__: pytest.fail("it was begun"))
    assert main(["run", "mcts", "--report", str(tmp_path / "report")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("kvparity: error: the HTML report needs jinja2 and plotly")
    assert "pip install 'kvparity[report]'" in error
    assert not (tmp_path / "report").exists()


def test_results_of_before_become_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several are added up; the exit status is 0 whatever they hold."""
    for at, scenario in enumerate(("revisit", "clear-storm")):
        write_json(run(scenario), tmp_path / f"{at}.json")
    assert main(["report", str(tmp_path / "0.json"), str(tmp_path / "1.json"), "-o", str(tmp_path / "report")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("DIVERGENCE: ")
    assert printed.endswith(f"written: {tmp_path / 'report' / 'index.html'}\n")
    assert len(read_result(tmp_path / "report" / "result.json").runs) == 2


def test_one_report_is_of_one_pair_of_caches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Results of several are refused in one line."""
    for reference in ("legacy-evicting", "legacy-released"):
        write_json(run("mcts", reference, 100), tmp_path / f"{reference}.json")
    files = sorted(str(path) for path in tmp_path.glob("*.json"))
    assert main(["report", *files, "-o", str(tmp_path / "report")]) == 2
    assert "a report is about one pair of caches, but these results are about 2: " in capsys.readouterr().err


def test_the_page_is_judged_by_the_thresholds_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as those of `kvparity verdict`."""
    monkeypatch.chdir(tmp_path)
    write_json(run("mcts", steps=300), tmp_path / "result.json")
    (tmp_path / "kvparity.toml").write_text("[verdict]\noperations = 123456\n")
    assert main(["report", "result.json", "-o", "report"]) == 0
    assert "300 operations (123,456 required)" in (tmp_path / "report/index.html").read_text()
