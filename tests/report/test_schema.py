"""The JSON Schema of results: every kind of result keeps it, a new field fails it, and old results stay readable."""

from __future__ import annotations

import json
from importlib.resources import files
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from kvparity import Comparison, KnownDifference, Result, Trace, UsageError, load_scenario, merge, trace_path
from kvparity.cli import main
from kvparity.results.reading import read_result
from kvparity.results.result import SCHEMA
from kvparity.results.writing import write_json
from kvparity.training.ranks import Gathering, Rank
from kvparity.values.difference import Tolerance
from kvparity.verdict import verdict_of
from support.attaching import attach
from support.worldmodels import ManagedModel, ReleasedModel, play

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("result-*.json"))
PUBLISHED = json.loads((files("kvparity.report") / "result.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(PUBLISHED)


def run(name: str = "revisit", **options: Any) -> Result:
    """A scenario in which the original differs."""
    return Comparison("legacy-evicting", "refactored-fifo", **options).scenario(load_scenario(name), seed=0, steps=600)


def replay() -> Result:
    """A trace with answers of its own, in which tensors differ."""
    with Trace(trace_path("cartpole-unizero-100sims")) as trace:
        return Comparison("legacy-released", "fault:by-reference").trace(trace, workload="a trace", steps=400)


def known() -> Result:
    """With differences that are accepted."""
    return run(known=[KnownDifference(pattern="presence *", side="any", reason="so it is")])


def interrupted() -> Result:
    """Stopped at operation 100."""
    scenario = load_scenario("mcts")

    def some(seed: int) -> Iterator[Any]:
        yield from islice(scenario.operations(seed), 100)
        raise KeyboardInterrupt

    cut = SimpleNamespace(name=scenario.name, summary="", spec=scenario.spec, operations=some)
    return Comparison("legacy-evicting", "refactored-fifo").scenario(cut, seed=0, steps=600)


def training(model: type = ReleasedModel, candidate: str = "refactored-fifo", **options: Any) -> Result:
    """A double of LightZero, shadowed."""
    own = model()
    with attach(own, candidate=candidate, **options) as attached:
        play(own)
    return attached.result()


def ranks(tmp_path: Path) -> Result:
    """Two of three."""
    everybody = [Rank(number=number, of=3) for number in range(3)]
    gatherings = [Gathering(tmp_path / "ranks", rank) for rank in everybody]
    for gathering in gatherings[:2]:
        gathering.publish(training())
    return gatherings[0].collect(patience_s=0)


KINDS: dict[str, Callable[[Path], Result]] = {
    "run": lambda _: run(),
    "several shapes": lambda _: run("numeric-edge"),
    "known": lambda _: known(),
    "replay": lambda _: replay(),
    "interrupted": lambda _: interrupted(),
    "tolerance": lambda _: merge([run(tolerance=Tolerance()), run("mcts", tolerance=Tolerance(rtol=0.5, atol=0.0))]),
    "training": lambda _: training(),
    "training of a manager": lambda _: training(ManagedModel, "fault:by-reference", serve="candidate"),
    "training that was stopped": lambda _: training(candidate="fault:raises-now-and-then", compare_every=3),
    "ranks": ranks,
    "merged": lambda _: merge([run(), known(), merge([interrupted(), run("mcts")])]),
}


def errors(fields: Any) -> list[str]:
    """What the schema says against it."""
    return [f"{error.json_path}: {error.message[:200]}" for error in VALIDATOR.iter_errors(fields)]


def test_the_schema_is_one() -> None:
    """Of draft 2020-12, and of the version that results have."""
    jsonschema.Draft202012Validator.check_schema(PUBLISHED)
    assert PUBLISHED["$defs"]["result"]["properties"]["schema"] == {"const": SCHEMA}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_result_keeps_it(kind: str, tmp_path: Path) -> None:
    """As it is written to a file."""
    result = KINDS[kind](tmp_path)
    assert errors(json.loads(json.dumps(result.as_dict()))) == []


@pytest.mark.parametrize(
    "command",
    [
        ["run", "revisit", "clear-storm", "--steps", "300"],
        ["replay", "cartpole-unizero", "--steps", "300", "--reference", "legacy-released"],
        ["fuzz", "--candidate", "fault:forgets-sizes", "--examples", "20", "--seed", "0"],
        ["fuzz", "--reference", "refactored-lru", "--candidate", "refactored-lru", "--examples", "3", "--seed", "0"],
    ],
)
def test_what_commands_write_keeps_it(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With where it comes from, and the programs of what they found."""
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--json", "r.json", "--quiet"]) in (0, 1)
    fields = json.loads(Path("r.json").read_text(encoding="utf-8"))
    assert "provenance" in fields
    assert errors(fields) == []


def places(fields: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every object in it that has names of its own choice."""
    if isinstance(fields, dict):
        yield path
        for name, value in fields.items():
            yield from places(value, (*path, name))
    elif isinstance(fields, list):
        for number, value in enumerate(fields[:1]):
            yield from places(value, (*path, number))


def test_a_field_without_a_schema_fails_wherever_it_is() -> None:
    """Except where names are data: caches, pools, reasons, buckets."""
    fields = json.loads(json.dumps(run().as_dict()))
    free = {"by_kind", "by_side", "known", "stats", "reference", "candidate", "families", "strategies", "sides"}
    seen = 0
    for path in places(fields):
        found = fields
        for name in path:
            found = found[name]
        found["a new field"] = "new"
        if not free & set(path[-2:]) and path[-1:] not in (("evictions",), ("counts",), ("latencies",)):
            seen += 1
            assert errors(fields), path
        del found["a new field"]
    assert seen > 10
    assert errors(fields) == []


def lost(old: Any, new: Any, path: str = "$") -> list[str]:
    """What was in the old that is not in the new; the new may have more fields."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [each for name in old for each in lost(old[name], new.get(name), f"{path}.{name}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [each for number, (before, after) in pairs for each in lost(before, after, f"{path}[{number}]")]
    return [] if old == new else [path]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_old_results_stay_readable(path: Path) -> None:
    """They keep the schema of their version, lose nothing when they are read, and are judged."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    assert errors(fields) == []
    result = read_result(path)
    assert lost(fields, json.loads(json.dumps(result.as_dict()))) == []
    assert verdict_of([result]).outcome == "NO-GO"


def test_a_tolerance_is_read_back(tmp_path: Path) -> None:
    """As it was written; half of one is none."""
    write_json(KINDS["tolerance"](tmp_path), tmp_path / "r.json")
    result = read_result(tmp_path / "r.json")
    assert result.tolerances == [Tolerance(), Tolerance(rtol=0.5, atol=0.0)]
    assert [run.tolerances for run in result.runs] == [[each] for each in result.tolerances]
    fields = {**result.as_dict(), "tolerances": [{"rtol": 0.5, "atol": None}]}
    (tmp_path / "r.json").write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(UsageError, match=r"r\.json is no result: give both rtol and atol, or neither"):
        read_result(tmp_path / "r.json")


def test_there_is_an_old_result_of_every_schema() -> None:
    """From the first on."""
    assert {json.loads(path.read_text())["schema"] for path in GOLDEN} == set(range(1, SCHEMA + 1))
