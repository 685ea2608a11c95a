"""`kvparity shadow` runs a script as Python does, and attaches to each of LightZero's world models that it makes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kvparity import Trace
from kvparity.cli import main
from kvparity.training.lightzero.hook import WORLD_MODELS, WorldModelHook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parents[1]
# A package of LightZero's name, whose world model is the double.
WORLD_MODEL = """
    from support.worldmodels import ReleasedModel, play

    class WorldModel(ReleasedModel):
        def forward_initial_inference(self):
            return "inferred"
"""
TRAIN = """
    from lzero.model.unizero_world_models.world_model import WorldModel, play

    model = WorldModel()
    assert model.forward_initial_inference() == "inferred"
    play(model)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with that package; afterwards, what Python keeps of a program is put back."""
    folder = tmp_path / "site" / WORLD_MODELS.replace(".", "/")
    folder.mkdir(parents=True)
    (folder / "world_model.py").write_text(textwrap.dedent(WORLD_MODEL))
    monkeypatch.setattr(sys, "path", [sys.path[0], str(tmp_path / "site"), *sys.path])
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.chdir(tmp_path)
    finders = list(sys.meta_path)
    yield tmp_path
    assert sys.meta_path == finders
    for name in [name for name in sys.modules if name.partition(".")[0] == "lzero"]:
        del sys.modules[name]


@pytest.fixture
def script(project: Path) -> Callable[..., str]:
    """Writes a training script: one training, and then `more`."""

    def write(more: str = "", *, before: str = "") -> str:
        path = project / "train.py"
        path.write_text(textwrap.dedent(before) + textwrap.dedent(TRAIN) + textwrap.dedent(more))
        return str(path)

    return write


def shadow(*arguments: str) -> int:
    """The exit status of `kvparity shadow`."""
    return main(["shadow", *arguments])


# ---------------------------------------------------------------- the answer


def test_a_sound_candidate_ends_in_parity(script: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    """The usual report, with what shadowing took, and status 0."""
    assert shadow(script()) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "the reference served; 60 of 60 lookups compared; shadowing took" in printed
    assert re.search(r"% of wall time, about \d+\.\d\d s of it in the candidate's own calls", printed)
    assert "PARITY: no corruption found; 60 gets compared" in printed
    assert printed.endswith("of wall time")


def test_a_faulty_candidate_ends_in_divergence(script: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    """With status 1, unless `--fail-on never`."""
    assert shadow("--candidate", "fault:by-reference", "--reference", "lightzero 0.2.0", script()) == 1
    printed = capsys.readouterr().out
    assert "DIVERGENCE: " in printed
    assert "(lightzero 0.2.0 against fault:by-reference)" in printed
    assert shadow("--candidate", "fault:by-reference", "--fail-on", "never", script()) == 0


def test_the_result_is_written(script: Callable[..., str], project: Path) -> None:
    """As JSON and as a page, like the results of other commands, with an account of the training."""
    assert shadow("--json", "result.json", "--report", "report", "--serve", "candidate", "--quiet", script()) == 0
    result = json.loads((project / "result.json").read_text())
    assert result["training"]["models"] == ["WorldModel 1"]
    assert result["training"]["serve"] == "candidate"
    assert 0 < result["training"]["share"] < 1
    assert result["training"]["stopped"] is None
    assert (project / "report" / "index.html").is_file()


def test_operations_are_recorded(script: Callable[..., str], project: Path) -> None:
    """`--record` writes what the model's own caches did, for `kvparity replay`."""
    assert shadow("--record", "new.kvtrace", "--json", "result.json", script()) == 0
    with Trace(project / "new.kvtrace") as trace:
        assert len(trace) == sum(json.loads((project / "result.json").read_text())["operations"].values())
    assert main(["replay", "new.kvtrace", "--reference", "legacy-released", "--quiet", "--fail-on", "corruption"]) == 0


def test_a_candidate_taken_out_is_no_pass(script: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    """Not everything was compared: the status is 3, and the verdict says why."""
    with pytest.warns(UserWarning, match="the candidate was taken out"):
        assert shadow("--max-share", "1e-9", script()) == 3
    printed = capsys.readouterr().out
    assert "STOPPED EARLY: no corruption found until shadowing took" in printed
    assert re.search(r"the candidate was taken out early, after \d+\.\d s and 1 operation: shadowing took", printed)


def test_sampling_is_reported(script: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    """The report says how many lookups were compared, of how many."""
    assert shadow("--compare-every", "4", "--max-share", "none", script()) == 0
    assert "15 of 60 lookups compared" in capsys.readouterr().out


def test_a_script_without_a_world_model_is_inconclusive(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing was compared, so the verdict claims nothing."""
    (project / "empty.py").write_text("")
    assert shadow("empty.py") == 0
    assert "INCONCLUSIVE: nothing was looked up" in capsys.readouterr().out


# ---------------------------------------------------------------- the script


def test_a_script_runs_as_python_would_run_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its name, its arguments, options among them, and where it imports from."""
    (project / "jobs").mkdir()
    (project / "jobs" / "beside.py").write_text("")
    (project / "jobs" / "job.py").write_text(
        "import sys, beside\nprint([__name__, *sys.argv], sys.modules['__main__'].__file__)\n"
    )
    assert shadow("jobs/job.py", "--quiet", "-m", "x") == 0
    assert "['__main__', 'jobs/job.py', '--quiet', '-m', 'x'] jobs/job.py" in capsys.readouterr().out


def test_a_module_runs_as_python_would_run_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Found from the working directory, in its package."""
    (project / "jobs").mkdir()
    (project / "jobs" / "__init__.py").write_text("")
    (project / "jobs" / "beside.py").write_text("")
    (project / "jobs" / "job.py").write_text(
        "import sys\nfrom . import beside\nprint(__name__, __package__, sys.argv[1:])\n"
    )
    assert shadow("--quiet", "-m", "jobs.job", "--steps", "3") == 0
    assert "__main__ jobs ['--steps', '3']" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ending", "status", "shown"),
    [
        ("import sys; sys.exit(7)", 7, ""),
        ("import sys; sys.exit('so it is')", 1, "so it is"),
        ("import sys; sys.exit()", 0, ""),
        ("raise RuntimeError('out of ideas')", 1, "RuntimeError: out of ideas"),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt"),
    ],
)
def test_the_scripts_own_ending_wins(
    script: Callable[..., str], capsys: pytest.CaptureFixture[str], ending: str, status: int, shown: str
) -> None:
    """The command has the script's status, its exception is shown, and the result is whole."""
    assert shadow(script(ending)) == status
    captured = capsys.readouterr()
    assert "no corruption found" in captured.out
    assert shown in captured.err
    assert "runpy" not in captured.err
    assert ("train.py itself ended with status" in captured.err) == (status != 0)


def test_an_interrupted_script_is_interrupted(script: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict says so, with what was found so far."""
    assert shadow("--quiet", script("raise KeyboardInterrupt")) == 130
    assert capsys.readouterr().out.startswith("INTERRUPTED: no corruption found so far; 60 gets compared")


def test_a_divergence_can_stop_the_script(script: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    """With `--on-divergence raise`, DivergedError ends it where it is."""
    assert shadow("--on-divergence", "raise", "--candidate", "fault:by-reference", script()) == 1
    captured = capsys.readouterr()
    assert "DivergedError: stale_hit" in captured.err
    assert "DIVERGENCE: 1 corruptions" in captured.out


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_that_comes_back_reports_nothing(script: Callable[..., str], project: Path) -> None:
    """A script may fork, and both may run to its end: only the parent reports, and each has its own status."""
    more = """
        import os, sys
        child = os.fork()
        if not child:
            sys.exit(5)
        _, status = os.waitpid(child, 0)
        print("the child ended with", os.waitstatus_to_exitcode(status))
    """
    # In a process of its own: a child of the test run would go on to run tests.
    path = os.pathsep.join([str(project / "site"), str(HERE)])
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "kvparity", "shadow", "--quiet", script(more)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "the child ended with 5" in done.stdout
    assert done.stdout.count("PARITY") == 1


# ---------------------------------------------------------------- the world models


def test_models_that_are_copies_are_met_too(script: Callable[..., str], project: Path) -> None:
    """LightZero's target model is a deep copy, whose constructor was never called."""
    more = """
        import copy
        target = copy.deepcopy(model)
        target.forward_initial_inference()
        play(target)
    """
    assert shadow("--json", "result.json", "--quiet", script(more)) == 0
    result = json.loads((project / "result.json").read_text())
    assert result["training"]["models"] == ["WorldModel 1", "WorldModel 2"]
    assert result["gets_compared"] == 120


def test_a_model_that_cannot_be_shadowed_goes_without(
    script: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A warning says so, and the script goes on."""
    more = """
        odd = WorldModel()
        del odd.shared_pool_size
        odd.forward_initial_inference()
    """
    with pytest.warns(UserWarning, match="WorldModel 2 is not shadowed: UnusableCacheError: .*shared_pool_size"):
        assert shadow("--quiet", script(more)) == 0
    assert "60 gets compared" in capsys.readouterr().out


def test_a_candidate_that_exits_when_it_is_built_ends_nothing(script: Callable[..., str], project: Path) -> None:
    """It can be built with small pools, and not with the model's: the script goes on without a shadow."""
    (project / "fragile.py").write_text(
        "import sys\nfrom kvparity_refactored import fifo\n"
        "def build(config, env_num):\n    return fifo(config, env_num) if env_num == 1 else sys.exit(9)\n"
    )
    with pytest.warns(UserWarning, match=r"WorldModel 1 is not shadowed: .*SystemExit: 9"):
        assert shadow("--quiet", "--candidate", "fragile:build", script()) == 0


@pytest.mark.usefixtures("project")
def test_modules_that_are_there_already_are_hooked() -> None:
    """Each model is met once, and the classes have their own methods back in the end."""
    import lzero.model.unizero_world_models.world_model as there  # type: ignore[import-not-found]  # noqa: PLC0415

    own = there.WorldModel.forward_initial_inference
    met: list[Any] = []
    hook = WorldModelHook(met.append)
    hook.install()
    model = there.WorldModel()
    assert [model.forward_initial_inference() for _ in range(2)] == ["inferred"] * 2
    hook.remove()
    there.WorldModel().forward_initial_inference()
    assert met == [model]
    assert there.WorldModel.forward_initial_inference is own


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit("no")])
def test_a_model_is_left_alone_where_attaching_to_it_fails(error: BaseException) -> None:
    """A warning says why, and the program goes on."""
    import lzero.model.unizero_world_models.world_model as there  # type: ignore[import-not-found]  # noqa: PLC0415

    def meet(_: object) -> None:
        raise error

    hook = WorldModelHook(meet)
    hook.install()
    try:
        with pytest.warns(UserWarning, match=rf"a WorldModel is left alone: {type(error).__name__}: no"):
            assert there.WorldModel().forward_initial_inference() == "inferred"
    finally:
        hook.remove()


# ---------------------------------------------------------------- options


def test_settings_are_defaults(script: Callable[..., str], project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`[shadow]` in kvparity.toml says what the command line does not."""
    (project / "kvparity.toml").write_text(
        '[shadow]\ncandidate = "refactored-lru"\nserve = "candidate"\nmax-share = 0.5\n'
    )
    assert shadow("--quiet", script()) == 0
    assert "against refactored-lru" in capsys.readouterr().out
    assert shadow("--quiet", "--candidate", "refactored-fifo", script()) == 0
    assert "against refactored-fifo" in capsys.readouterr().out


def test_a_projects_own_file_will_do(script: Callable[..., str], project: Path) -> None:
    """`[tool.kvparity.shadow]` in pyproject.toml says the same."""
    (project / "pyproject.toml").write_text(
        '[tool.kvparity.shadow]\ncandidate = "fault:by-reference"\nfail-on = "never"\n'
    )
    assert shadow("--quiet", script()) == 0
    assert shadow("--quiet", "--fail-on", "corruption", script()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.py"], "there is no script 'nothing.py'"),
        (["-m", "nothing"], "there is no module 'nothing'"),
        (["-m", "no.thing"], "module 'no.thing' cannot be found"),
        (["--candidate", "nothing", "train.py"], "there is no cache 'nothing'"),
        (["--max-share", "5", "train.py"], r"must lie in (0, 1], got 5.0"),
        (["--max-share", "much", "train.py"], "'much' is not a share of wall time such as 0.05, or none"),
        (["--compare-every", "0", "train.py"], "'0' is not an integer of at least 1"),
        (["--json", "no/where.json", "train.py"], "no/where.json cannot be written"),
        ([], "the following arguments are required: SCRIPT"),
    ],
)
def test_bad_input_is_an_error_before_anything_runs(
    script: Callable[..., str], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """In one line, with status 2."""
    script("raise SystemExit('it ran')")
    assert shadow(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "it ran" not in error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[shadow]\nspeed = 1",
            "kvparity.toml: [shadow]: unknown option 'speed', expected one of reference, candidate",
        ),
        ("[shadow]\ncompare-every = true", "kvparity.toml: [shadow]: compare-every must be a int, got True"),
        ('[shadow]\nserve = "both"', "serve must be one of reference, candidate, got 'both'"),
        ('[shadow]\nfail-on = "all"', "fail-on must be one of corruption, behaviour, never, got 'all'"),
    ],
)
def test_bad_settings_are_errors(
    script: Callable[..., str], project: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    """The error names their file, or what is allowed."""
    (project / "kvparity.toml").write_text(text)
    assert shadow(script()) == 2
    assert message in capsys.readouterr().err
