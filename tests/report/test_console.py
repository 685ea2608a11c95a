"""What strangers wrote is shown, and never obeyed: not by a terminal, not by rich, not by pytest, not by an import."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from kvparity import (
    RECUR,
    Answer,
    CacheSpec,
    Comparison,
    Get,
    Result,
    Set,
    TraceWriter,
    UsageError,
    load_scenario,
)
from kvparity.cli import main
from kvparity.report import render, verdict_line
from kvparity.report.console import Harmless, open_console
from kvparity.results.reading import read_result
from kvparity.results.writing import write_json
from kvparity.search import program
from kvparity.text import escape_controls, one_line
from kvparity.values.entry import KeysValues

pytest_plugins = ["pytester"]

# Clears the screen, turns the line around, rings, is half a character, makes a link, and is bold.
EVIL = "\x1b[2J\u202eevil\x07\x9b1m\ud800[link=https://example.org]here[/link][bold]x"
UPWARDS = "../../upwards"
SPELLED_OUT = "\\x1b[2J\\u202eevil\\x07\\x9b1m\\ud800[link=https://example.org]here[/link][bold]x"


def printed(what: Any) -> str:
    """What a colour terminal gets."""
    console = Console(file=StringIO(), width=300, force_terminal=True, color_system="truecolor")
    console.print(Harmless(what))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("usual text, ü and 中", "usual text, ü and 中"),
        ("two\nlines", "two\nlines"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb\tc", "a\\rb\\tc"),
        ("\u202e\u2028\ud800", "\\u202e\\u2028\\ud800"),
        (EVIL, SPELLED_OUT),
    ],
)
def test_what_a_terminal_would_obey_is_spelled_out(text: str, shown: str) -> None:
    """And nothing else is changed."""
    assert escape_controls(text) == shown


def test_a_line_stays_one_and_ends() -> None:
    """Of an error that quotes what a stranger wrote."""
    assert one_line("a\nb\x1b") == "a b\\x1b"
    assert len(one_line("x" * 10_000_000)) < 2100


def test_own_styles_are_kept() -> None:
    """Only text is made harmless."""
    assert printed(Text("a\x1b[2Jb", style="bold")) == "\x1b[1ma\\x1b[2Jb\x1b[0m\n"


def test_the_commands_terminal_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is printed on it; rich itself leaves out the bell."""
    open_console().print(Text(EVIL), soft_wrap=True)
    assert capsys.readouterr().out == f"{SPELLED_OUT}\n".replace("\\x07", "")


def result(**fields: Any) -> Result:
    """One with divergences, in which every name is what a stranger chose."""
    found = Comparison("legacy-released", "refactored-fifo").scenario(load_scenario("revisit"), seed=0, steps=500)
    for name, value in fields.items():
        setattr(found, name, value)
    return found


def test_names_in_a_result_are_not_obeyed() -> None:
    """In the report and in the verdict, of which there is one line."""
    names = dict.fromkeys(("workload", "reference", "candidate"), f"{EVIL}\nPARITY: all is well")
    for what in (render(result(**names)), verdict_line(result(**names), fail_on="behaviour")):
        shown = printed(what)
        assert "\x1b[2J" not in shown
        assert "\u202e" not in shown
        assert "\x1b]8;" not in shown  # a link
    assert "\n" not in verdict_line(result(**names), fail_on="behaviour").plain


def test_files_can_be_written_whatever_names_there_are(tmp_path: Path) -> None:
    """Half a character has no bytes: it is spelled out."""
    write_json(result(workload=EVIL), tmp_path / "r.json")
    assert read_result(tmp_path / "r.json").workload == EVIL
    assert main(["report", str(tmp_path / "r.json"), "-o", str(tmp_path / "page")]) == 0


def test_errors_in_a_trace_are_not_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The name of an exception may be anything."""
    with TraceWriter(tmp_path / "t.kvtrace", served_by="x") as writer:
        stream = writer.stream(EVIL.replace("\ud800", ""), CacheSpec())
        writer.record(stream, Get(pool=RECUR, key=1), Answer(error=EVIL.replace("\ud800", "")))
    assert main(["replay", str(tmp_path / "t.kvtrace")]) == 0
    shown = capsys.readouterr().out
    assert "\\x1b[2J\\u202eevil" in shown
    assert "\x1b[2J" not in shown


def test_a_path_with_markup_is_a_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also in the line that says what is wrong with it."""
    assert main(["replay", str(tmp_path / "\x1b[2J[bold]t.kvtrace")]) == 2
    shown = capsys.readouterr().err
    assert "\\x1b[2J[bold]t.kvtrace" in shown
    assert shown.count("\n") == 1


def test_no_name_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a trace or a result says of itself decides over no file that is written."""
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    regression(folder / "t.kvtrace", served_by=UPWARDS, note=UPWARDS, stream=UPWARDS)
    write_json(result(workload=UPWARDS, reference=UPWARDS, candidate=UPWARDS), folder / "r.json")
    assert (
        main(["replay", "t.kvtrace", "--candidate", "fault:raises-always", "--report", "one", "--json", "s.json"]) == 1
    )
    assert main(["minimize", "t.kvtrace", "-o", "small.kvtrace", "--candidate", "fault:raises-always"]) == 1
    assert main(["report", "r.json", "-o", "other"]) == 0
    written = {path.relative_to(folder) for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.parts[0] for path in written} == {
        *("t.kvtrace", "r.json", "s.json", "one", "other", "small.kvtrace", "test_small.py")
    }


def test_a_message_in_a_program_is_a_comment(tmp_path: Path) -> None:
    """Of one line, whatever it holds."""
    names, path = ("refactored-fifo", "refactored-lru"), tmp_path / "t.kvtrace"
    usual = program.test_file(path, names=names, title="x").splitlines()
    evil = program.test_file(path, names=names, title=f"{EVIL}\r\nimport os\x0cimport os\x00").encode().splitlines()
    assert len(evil) == len(usual)
    assert [at for at, line in enumerate(usual) if line.encode() != evil[at]] == [1]
    assert evil[1].startswith(b"# ")
    compile(b"\n".join(evil), "test", "exec")


def regression(path: Path, *, stream: str = "only", **names: str) -> None:
    """A trace that names its caches."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TraceWriter(path, **names) as writer:  # type: ignore[arg-type]
        number = writer.stream(stream, CacheSpec())
        value = KeysValues.zeros(num_layers=1, num_heads=1, max_tokens=2, head_dim=2, size=1)
        writer.record(number, Set(pool=RECUR, key=1, value=value))
        writer.record(number, Get(pool=RECUR, key=1))


@pytest.mark.parametrize("side", ["served_by", "candidate"])
def test_no_trace_has_a_module_imported(pytester: pytest.Pytester, side: str) -> None:
    """The name of a cache in a regression is data: what is not installed must be named by the project itself."""
    pytester.makepyfile(trap="open('sprung', 'w').close()\nfrom kvparity_refactored import fifo")
    names = {"served_by": "refactored-fifo", "candidate": "refactored-fifo", side: "trap:fifo"}
    regression(pytester.path / "tests" / "regressions" / "a.kvtrace", **names)
    done = pytester.runpytest_inprocess()
    done.assert_outcomes(failed=1)
    option = {"served_by": "reference", "candidate": "candidate"}[side]
    line = (
        f"the trace names the {option} 'trap:fifo'. For safety, modules named only inside a trace file are not"
        f" imported. Pass `--kv-{option} trap:fifo`, or set `kv_{option}` in pytest's configuration"
    )
    done.stdout.fnmatch_lines([line])
    assert not (pytester.path / "sprung").exists()
    pytester.makeini("[pytest]\nkv_candidate = trap:fifo\n")
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
    assert (pytester.path / "sprung").exists()


# ---------------------------------------------------------------------- results


PROVENANCE = ("command", "began", "versions", "machine", "device")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": "x"}, "seed has an invalid value: 'x'"),
        ({"gets_compared": 1 << 70}, f"gets_compared has an invalid value: {1 << 70}"),
        ({"spec": {"env_num": 1, "init_pool_size": 1, "num_simulations": 10**30}}, "num_simulations has an invalid"),
        ({"recorded_answers": {"given": "x", "reproduced": 0, "first_other": ""}}, "given has an invalid value: 'x'"),
        ({"recorded_answers": {"given": 1, "reproduced": 0, "first_other": 7}}, "first_other has an invalid value: 7"),
        ({"timing": {"elapsed_s": float("inf")}}, "elapsed_s has an invalid value: inf"),
        ({"timing": {"elapsed_s": float("nan")}}, "elapsed_s has an invalid value: nan"),
        ({"stats": {"reference": {"recur": {"hits": 1}}}}, "'misses' is missing"),
        (
            {"latencies": {"reference": {"get": {"counts": {"9" * 30: 1}, "longest_ns": 1}}}},
            "a name has an invalid value",
        ),
        (
            {"provenance": dict.fromkeys(("command", "began", "versions", "machine", "device"), "x")},
            "versions has an invalid value: 'x'",
        ),
    ],
)
def test_a_result_that_is_none_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    """Every field is of its type, and no number is larger than a count can be."""
    (tmp_path / "r.json").write_text(json.dumps({**result().as_dict(), **change}))
    with pytest.raises(UsageError, match="is no result: ") as raised:
        read_result(tmp_path / "r.json")
    assert said in str(raised.value)


def test_counts_of_unknown_kinds_are_refused(tmp_path: Path) -> None:
    """Nothing could show them."""
    fields = result().as_dict()
    fields["divergences"]["by_kind"]["other"] = 1
    (tmp_path / "r.json").write_text(json.dumps(fields))
    with pytest.raises(UsageError, match="unknown names of counts: 'other'"):
        read_result(tmp_path / "r.json")


def test_a_result_of_more_bytes_than_any_has_is_refused() -> None:
    """As much is read, and no more."""
    with pytest.raises(UsageError, match="it has more than 67,108,864 bytes"):
        read_result(Path("/dev/zero"))
