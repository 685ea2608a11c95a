"""What CI reads: JUnit XML that any reader takes, Markdown in which no name can be anything but a name."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt

from kvparity import Comparison, KnownDifference, Result, load_scenario, merge
from kvparity.cli import main
from kvparity.report.junit import junit
from kvparity.report.markdown import fenced, prose, summary
from kvparity.text import replace_forbidden
from kvparity.verdict import verdict_of

if TYPE_CHECKING:
    from collections.abc import Iterable

HOSTILE = (
    "</testsuite>]]>\x00\x1b[31m\ud800\ufffe|`</code></details><script>alert(1)</script>\n\n"
    "# heading\n* item\n[link](http://x.example) ![i](x) www.x.example @all #1 a_b_ **b** ~~s~~ $x$ &lt; :tada: \\"
)
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "property": set(),
    "testcase": {"failure", "error", "skipped", "system-out"},
    "failure": set(),
    "error": set(),
    "skipped": set(),
    "system-out": set(),
}
ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time"},
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"name", "classname", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
    "system-out": set(),
}


def run(name: str = "revisit", candidate: str = "refactored-fifo", known: Iterable[KnownDifference] = ()) -> Result:
    """A short run; in `revisit` the original differs."""
    comparison = Comparison("legacy-evicting", candidate, known=tuple(known))
    return comparison.scenario(load_scenario(name), seed=0, steps=600)


def hostile() -> Result:
    """A result in which every text is an attack."""
    found = run()
    [(group, first)] = found.first.items()
    texts = dict.fromkeys(("pool", "reference", "candidate", "explanation", "difference"), HOSTILE)
    found.first = {group: replace(first, **texts)}
    found.kept = [found.first[group]]
    found.workload = found.reference = found.candidate = HOSTILE
    found.missing = [HOSTILE]
    found.programs = {group: f"```\n</details>{HOSTILE}\n```"}
    return found


def parsed(result: Result, fail_on: str = "behaviour") -> ET.Element:
    """The XML, as a reader sees it: its counts are true, and it has nothing that the usual schema does not."""
    text = junit(result, verdict_of([result]), fail_on=fail_on)
    root = ET.fromstring(text.encode("utf-8"))  # noqa: S314  our own
    for element in root.iter():
        assert {child.tag for child in element} <= CHILDREN[element.tag]
        assert set(element.keys()) == ATTRIBUTES[element.tag]
    for suite in root:
        assert suite.get("tests") == str(len(suite.findall("testcase")))
        for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert suite.get(name) == str(len(suite.findall(f"testcase/{tag}")))
    for name in ("tests", "failures", "errors"):
        assert root.get(name) == str(sum(int(suite.attrib[name]) for suite in root))
    return root


# ---------------------------------------------------------------- JUnit


def test_a_workload_is_a_case_and_so_is_each_group_of_divergences() -> None:
    """Those that count fail, with the first divergence in words."""
    result = run()
    root = parsed(result)
    assert [case.get("name") for case in root.iter("testcase")] == ["revisit", "revisit: presence, wrong: reference"]
    count = result.by_group["presence", "reference"]
    overall, group = root.iter("failure")
    assert overall.get("message") == f"0 corruptions, {count} behaviour differences"
    assert str(group.get("message")).startswith(f"{count} times, first: legacy-evicting dropped this live key ")
    assert "\nreference: miss\n" in str(group.text)


def test_what_does_not_count_does_not_fail() -> None:
    """By `--fail-on`, or because it is known; it is told all the same."""
    known = KnownDifference(pattern="presence *", side="any", reason="so it is")
    for root in (parsed(run(), fail_on="corruption"), parsed(run(known=[known]))):
        assert root.get("failures") == "0"
        assert root.get("tests") == "2"
        assert "presence" not in str(root.get("name"))
        assert root.find(".//system-out") is not None


def test_several_workloads_are_several_suites() -> None:
    """Parts of which there is no result are errors, and so is what was interrupted."""
    result = merge([run(), replace(run("mcts"), interrupted=True)])
    result.missing = ["rank 1"]
    root = parsed(result)
    assert [suite.get("name") for suite in root] == ["kvparity.revisit", "kvparity.mcts", "kvparity.missing"]
    assert [error.get("message") for error in root.iter("error")] == ["interrupted", "no result of rank 1"]


def test_an_interrupt_between_two_workloads_is_an_error() -> None:
    """No run of it has the mark, for each is whole."""
    result = merge([run(), run("mcts")])
    result.interrupted = True
    root = parsed(result)
    assert [suite.get("name") for suite in root] == ["kvparity.revisit", "kvparity.mcts", "kvparity.interrupted"]
    assert [error.get("message") for error in root.iter("error")] == ["interrupted"]


def test_nothing_compared_is_skipped_not_passed() -> None:
    """A green case would be a lie."""
    root = parsed(replace(run("mcts"), gets_compared=0))
    assert root.find(".//skipped") is not None


def test_the_suite_says_what_was_compared() -> None:
    """As properties: caches, seed, how much, the verdict."""
    root = parsed(run("mcts"))
    said = {str(each.get("name")): str(each.get("value")) for each in root.iter("property")}
    assert (said["reference"], said["candidate"], said["seed"]) == ("legacy-evicting", "refactored-fifo", "0")
    assert said["compared"] == "bit by bit"
    assert said["verdict"].startswith("INCONCLUSIVE: ")


def test_hostile_names_stay_names_in_xml() -> None:
    """What XML forbids is replaced, what is markup there is escaped."""
    root = parsed(hostile())
    names = [case.get("name") for case in root.iter("testcase")]
    assert "</testsuite>]]>\ufffd\ufffd[31m\ufffd\ufffd|`" in str(names[0])


# ---------------------------------------------------------------- Markdown


def rendered(text: str) -> str:
    """As HTML, tables included; HTML in it is passed on, as GitHub passes on what it lets through."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


def summarized(result: Result) -> str:
    """The summary."""
    return summary(result, verdict_of([result]), line="PARITY: no corruption found")


def test_the_summary_says_it_all() -> None:
    """What was compared, the last line, the verdict, a row for each workload, each group with its reason."""
    result = merge([run(), run("mcts")])
    text = summarized(result)
    assert text.startswith("## kvparity: refactored-fifo against legacy-evicting\n\n**PARITY: no corruption found**\n")
    assert "Verdict: **NO-GO**. " in text
    assert re.search(r"^\| revisit \| 0 \| 600 \| \d+ \| 0 \| [1-9]\d* \| 0 \| [\d.]+ \|$", text, re.MULTILINE)
    assert re.search(r"^\| mcts \| 0 \| 600 \| \d+ \| 0 \| 0 \| 0 \| [\d.]+ \|$", text, re.MULTILINE)
    assert "<details><summary>presence (behaviour), " in text
    assert "- why: legacy-evicting dropped this live key at operation " in text


def test_the_summary_shows_the_minimal_program() -> None:
    """As code."""
    result = run()
    result.programs = {("presence", "reference"): "from kvparity import *\n"}
    assert "\n```python\nfrom kvparity import *\n" in summarized(result)


def test_hostile_names_stay_names_in_markdown() -> None:
    """No tag but ours, no link, no image, no heading, no mention; tables keep their columns."""
    ours = rendered(summarized(run()))
    html = rendered(summarized(hostile()))
    tags = re.compile(r"<(?!/?(?:h2|p|strong|table|thead|tbody|tr|t[hd]|details|summary|ul|li|pre|code)\b)[^>]*>")
    assert tags.findall(html) == []
    for tag in ("<details>", "</details>", "<h2>", "<table>"):
        assert html.count(tag) == ours.count(tag)
    assert {row.count("<td") for row in html.split("<tr>") if "<td" in row} == {8, 3}
    outside = re.sub(r"<pre>.*?</pre>", "", html, flags=re.DOTALL)
    assert "@\u200ball #\u200b1" in outside
    assert not re.search(r"[@#][A-Za-z0-9]|www\.", outside)


@pytest.mark.parametrize("text", ["`", "```", "a ```` b", "x"])
def test_code_stays_in_its_block(text: str) -> None:
    """Whatever fences it has itself."""
    assert rendered(fenced(text, "sh")).count("<pre>") == 1
    assert rendered(fenced(f"{text}\n{text}\n<b>", "sh")).endswith("&lt;b&gt;\n</code></pre>\n")


def test_usual_text_is_not_disfigured() -> None:
    """Sentences can be read as they are in the file."""
    sentence = "INCONCLUSIVE: not yet tested: speed; 4,200 of mcts (95 %: 0.5 to 0.6), legacy-evicting's"
    assert prose(sentence) == sentence


def test_plain_text_is_left_alone() -> None:
    """Line breaks, tabs and every script included."""
    text = "ä\t\n\r漢\U0001f600"
    assert replace_forbidden(text) == text


# ---------------------------------------------------------------- the command line


def test_the_commands_write_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of run, replay and fuzz, whatever the outcome is."""
    monkeypatch.chdir(tmp_path)
    for command, status in (
        (["run", "revisit", "--steps", "300"], 1),
        (["replay", "cartpole-unizero", "--steps", "300"], 0),
        (["fuzz", "--reference", "refactored-fifo", "--examples", "2", "--seed", "0"], 0),
    ):
        assert main([*command, "--quiet", "--junit", "j.xml", "--markdown", "m.md"]) == status
        assert ET.parse("j.xml").getroot().get("failures") == ("2" if status else "0")  # noqa: S314  our own
        assert Path("m.md").read_text(encoding="utf-8").startswith("## kvparity: ")


@pytest.mark.parametrize("option", ["--junit", "--markdown"])
def test_a_folder_that_is_not_there_is_told_first(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before much work is done."""
    monkeypatch.chdir(tmp_path)
    assert main(["run", "mcts", option, "no/file"]) == 2
    assert "no/file cannot be written: there is no directory no" in capsys.readouterr().err
