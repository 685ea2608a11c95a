"""Who may import whom, on which floor each room lies, what the facade exports, and how large a file may grow."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import kvparity

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
FOLDERS = ("harness", "legacy", "refactored", "scenarios")
ARROWS = {
    "kvparity": {"kvparity"},
    "kvparity_legacy": {"kvparity_legacy", "kvparity"},
    "kvparity_refactored": {"kvparity_refactored", "kvparity"},
    "kvparity_scenarios": {"kvparity_scenarios", "kvparity"},
}
OURS = {*ARROWS, "tests", "benchmarks"}
# The rooms of the harness, from the ground up: what lies on one floor imports from floors below it only.
FLOORS = (
    ("errors", "importing", "operations", "text"),
    ("caches", "evidence", "files", "values"),
    ("registry", "results"),
    ("judging", "settings", "traces"),
    ("shadow",),
    ("driving", "training"),
    ("bench", "search", "verdict"),
    ("campaign", "report"),
    ("commands", "pytest_plugin"),
    ("cli", "contract"),
    ("__main__",),
)
MOST_FLOORS = 13
FILES = [path.relative_to(ROOT) for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
ENTRY_POINTS = [
    metadata.EntryPoint(name=name, value=value, group=group)
    for group, points in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"].items()
    for name, value in points.items()
]

HARNESS = ROOT / "harness"
MODULES = {
    ".".join(path.relative_to(HARNESS).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((HARNESS / "kvparity").rglob("*.py"))
}

each_file = pytest.mark.parametrize("path", FILES, ids=str)


def imported(source: str, package: str) -> set[str]:
    """The top-level packages that a module of `package` imports, wherever in it the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0] if not node.level else package)
    return found


def test_every_way_to_import_is_seen() -> None:
    """Plain, dotted, renamed, from, relative and local imports."""
    source = "import a, b.c as d\nfrom e.f import g\nfrom . import h\ndef i():\n    if j:\n        import k.l\n"
    assert imported(source, "own") == {"a", "b", "e", "own", "k"}


def test_there_are_files_of_every_package() -> None:
    """The checks below look at something."""
    assert {path.parts[1] for path in FILES} == set(ARROWS)


@each_file
def test_imports_follow_the_arrows(path: Path) -> None:
    """The harness knows no particular cache, and caches know neither each other nor the scenarios."""
    package = path.parts[1]
    assert imported((ROOT / path).read_text(encoding="utf-8"), package) & OURS <= ARROWS[package]


def imports_of(source: str) -> set[str]:
    """The modules of the harness that a module imports, for type checkers only included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found.update(name if name in MODULES else node.module for name in names)
    return found & set(MODULES)


GRAPH = {name: imports_of(path.read_text(encoding="utf-8")) - {name} for name, path in MODULES.items()}


def room_of(module: str) -> str:
    """`kvparity.shadow.side` lies in `shadow`; the facade, `kvparity` itself, in no room."""
    return module.partition(".")[2].partition(".")[0]


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """Modules of which each imports the next one, and the last one the first; empty where there is no circle."""
    done: set[str] = set()

    def walk(module: str, way: list[str]) -> list[str]:
        if module in way:
            return way[way.index(module) :]
        if module in done:
            return []
        for each in sorted(graph[module]):
            circle = walk(each, [*way, module])
            if circle:
                return circle
        done.add(module)
        return []

    return next((circle for circle in (walk(module, []) for module in sorted(graph)) if circle), [])


def test_a_circle_is_found() -> None:
    """Wherever in the graph it is; what only leads into it is no part of it."""
    assert circle_in({"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}) == ["b", "d"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Not even for their types."""
    assert circle_in(GRAPH) == []


def test_every_room_has_its_floor() -> None:
    """And no floor has a room that is not there."""
    rooms = sorted(room for floor in FLOORS for room in floor)
    assert rooms == sorted({room_of(module) for module in MODULES} - {""})
    assert len(FLOORS) <= MOST_FLOORS


def test_no_import_leads_up() -> None:
    """Nor to another room of the same floor: each pair that does is shown."""
    floor_of = {room: number for number, floor in enumerate(FLOORS) for room in floor} | {"": -1}
    offending = [
        f"{module} -> {imported}"
        for module, imports in GRAPH.items()
        for imported in sorted(imports)
        if room_of(module) != room_of(imported) and floor_of[room_of(module)] <= floor_of[room_of(imported)]
    ]
    assert offending == []


def test_the_picture_shows_these_floors() -> None:
    """docs/architecture.md draws each floor with its rooms."""
    rows = re.findall(r"^ +(\d+) │ ([a-z_ ]+) │", (ROOT / "docs" / "architecture.md").read_text("utf-8"), re.MULTILINE)
    assert {int(number): tuple(rooms.split()) for number, rooms in rows} == dict(enumerate(FLOORS, start=1))


@each_file
def test_no_file_is_empty_or_long(path: Path) -> None:
    """1 to 400 lines: a module owns one idea."""
    assert 1 <= len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= 400


@each_file
def test_every_module_says_what_it_is(path: Path) -> None:
    """In a docstring."""
    assert ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")))


@pytest.mark.parametrize("point", ENTRY_POINTS, ids=lambda point: f"{point.group}-{point.name}")
def test_every_entry_point_loads(point: metadata.EntryPoint) -> None:
    """What pyproject.toml registers is there."""
    assert point.load() is not None


def test_the_command_is_there() -> None:
    """The script `kvparity` is something that can be called."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    [(name, value)] = scripts.items()
    assert name == "kvparity"
    assert callable(metadata.EntryPoint(name=name, value=value, group="console_scripts").load())


def test_the_facade_is_pinned() -> None:
    """What `harness` exports is promised to users: it changes on purpose only."""
    assert kvparity.__all__ == [
        "ALL",
        "ALL_INIT",
        "Answer",
        "Cache",
        "CacheSpec",
        "Checkout",
        "Clear",
        "Comparison",
        "Difference",
        "Divergence",
        "DivergenceLog",
        "Driver",
        "Drop",
        "Get",
        "KVParityError",
        "KeysValues",
        "KnownDifference",
        "NotKeysValuesError",
        "Operation",
        "PoolId",
        "PoolStats",
        "RECUR",
        "Recorded",
        "Result",
        "Scenario",
        "Set",
        "ShadowCache",
        "Tolerance",
        "Trace",
        "TraceError",
        "TraceWriter",
        "UnusableCacheError",
        "UsageError",
        "WM",
        "Write",
        "adapt",
        "build_cache",
        "fingerprint",
        "init",
        "load_scenario",
        "merge",
        "trace_path",
    ]


@pytest.mark.parametrize("name", kvparity.__all__)
def test_what_the_facade_names_is_there(name: str) -> None:
    """Each exported name can be had."""
    assert getattr(kvparity, name) is not None


def test_the_harness_can_be_imported_without_its_report() -> None:
    """A training that is shadowed pays for no terminal, and loads no cache that it did not ask for."""
    unwanted = {"rich", "kvparity_legacy", "kvparity_refactored", "kvparity_scenarios"}
    code = f"import sys, kvparity; print(*sorted({unwanted} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)  # noqa: S603
    assert done.stdout.split() == []


def test_the_harness_can_be_imported_without_torch() -> None:
    """What it exports is loaded when it is asked for."""
    code = "import sys, kvparity; assert 'torch' not in sys.modules; print(kvparity.ShadowCache)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)  # noqa: S603
