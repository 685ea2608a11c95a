"""Faults that are really brought about, in processes of their own: each is survived, and nothing is lost in silence."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kvparity.cli import main
from kvparity.traces.reader import MOST_LOST, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KILLS = int(os.environ.get("KVPARITY_KILLS", "10"))
QUOTA_BYTES = 300_000


def python(
    program: str, *arguments: object, status: int | None = 0, **options: Any
) -> subprocess.CompletedProcess[str]:
    """What a program of its own said, which ended with that status."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(  # noqa: S603
        command, check=False, capture_output=True, text=True, timeout=300, **options
    )
    assert status is None or done.returncode == status, done.stderr
    return done


def kvparity(*arguments: object, setup: str = "", status: int = 0, **options: Any) -> subprocess.CompletedProcess[str]:
    """What the command said, which ended with that status."""
    program = f"import sys\n{setup}\nfrom kvparity.cli import main\nsys.exit(main(sys.argv[1:]))"
    return python(program, *arguments, status=status, **options)


def result(path: Path) -> dict[str, Any]:
    """The JSON result, which is whole."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A working directory with the candidates of this module."""
    (tmp_path / "candidates.py").write_text(CANDIDATES, encoding="utf-8")
    return tmp_path


CANDIDATES = '''
import os, signal
from kvparity_refactored import KVCacheManager

class Counting(KVCacheManager):
    """Does something in its 200th lookup."""
    lookups = 0

    def hierarchical_get(self, env_id, cache_key):
        Counting.lookups += 1
        if Counting.lookups == 200:
            self.at_the_200th()
        return super().hierarchical_get(env_id, cache_key)

class Hangs(Counting):
    def at_the_200th(self):
        while True:
            pass

class HangsAndCatches(Counting):
    def at_the_200th(self):
        for _ in range(3):
            try:
                while True:
                    pass
            except Exception:
                pass

class HangsOften(KVCacheManager):
    def hierarchical_get(self, env_id, cache_key):
        while True:
            pass

class IsTerminated(Counting):
    def at_the_200th(self):
        os.kill(os.getpid(), signal.SIGTERM)

class IsInterrupted(Counting):
    def at_the_200th(self):
        os.kill(os.getpid(), signal.SIGINT)

class Forks(Counting):
    def at_the_200th(self):
        if child := os.fork():
            os.waitpid(child, 0)

class ForksAndExits(Counting):
    def at_the_200th(self):
        if not (child := os.fork()):
            os._exit(0)
        os.waitpid(child, 0)

class Hoards(Counting):
    def at_the_200th(self):
        held = []
        while True:
            held.append(bytearray(1 << 26))
'''


# ---------------------------------------------------------------------- killed while recording

KILLED = """
import os, signal, sys
from kvparity import Answer, CacheSpec, Get, RECUR, TraceWriter

folder, *moments = sys.argv[1:]
for moment in map(int, moments):
    child = os.fork()
    if not child:
        writer = TraceWriter(f"{folder}/{moment}.kvtrace", served_by="killed")
        stream = writer.stream("only", CacheSpec())
        for key in range(moment):
            writer.record(stream, Get(pool=RECUR, key=key), Answer())
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Path]]:
    """By how many operations there were, the recordings that a kill -9 ended right after them."""
    folder = tmp_path_factory.mktemp("killed")
    moments = random.Random(20260701).sample(range(1, 20_000), KILLS)
    python(KILLED, folder, *moments)
    yield {moment: folder / f"{moment}.kvtrace" for moment in moments}
    shutil.rmtree(folder)


def test_a_recording_survives_a_kill_at_any_moment(
    killed: dict[int, Path], record_property: Callable[[str, object], None]
) -> None:
    """The file is readable, has the operations from the first on without a gap, and lacks at most the last 512."""
    lost = []
    for moment, path in killed.items():
        with Trace(path) as trace:
            assert not trace.header.complete
            assert moment - MOST_LOST <= len(trace) <= moment
            assert [each.operation.key for each in trace] == list(range(len(trace)))  # type: ignore[union-attr]
            lost.append(moment - len(trace))
    record_property("tried", len(lost))
    record_property("lost", f"{max(lost)} at most, {sum(lost) / len(lost):.0f} on average")


def test_the_report_says_that_a_recording_was_not_finished(
    killed: dict[int, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the terminal and in the JSON result; not where only a part of it was replayed."""
    path = killed[max(killed)]
    said = "the recording ended early: it may lack up to 512 operations at its end"
    assert main(["replay", str(path), "--json", str(tmp_path / "r.json")]) == 0
    assert said in " ".join(capsys.readouterr().out.split())
    assert result(tmp_path / "r.json")["recording_ended_early"] is True
    assert main(["replay", str(path), "--steps", "10", "--json", str(tmp_path / "r.json")]) == 0
    assert said not in " ".join(capsys.readouterr().out.split())
    assert "recording_ended_early" not in result(tmp_path / "r.json")


# ---------------------------------------------------------------------- disks

QUOTA = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({QUOTA_BYTES}, {QUOTA_BYTES}))
"""


def test_where_the_disk_is_full_the_recording_stops_and_the_run_goes_on(project: Path) -> None:
    """With a warning; what was written is readable, and the verdict is that of the whole run."""
    done = kvparity("run", "mcts", "--steps", 5000, "--record", "t.kvtrace", setup=QUOTA, cwd=project)
    assert "UserWarning: recording into t.kvtrace stopped early: " in done.stderr
    assert "5,000 operations" in done.stdout
    assert "PARITY" in done.stdout
    with Trace(project / "t.kvtrace") as trace:
        assert not trace.header.complete
        assert 0 < len(list(trace)) < 5000


def test_where_the_disk_is_full_no_result_is_cut_short(project: Path) -> None:
    """There is the one of the run before, or none, and one line says why."""
    (project / "r.json").write_text("the one before")
    setup = QUOTA.replace(str(QUOTA_BYTES), "1000")
    done = kvparity("run", "mcts", "--steps", 500, "--json", "r.json", setup=setup, cwd=project, status=2)
    assert done.stderr == "kvparity: error: r.json cannot be written: File too large\n"
    assert (project / "r.json").read_text() == "the one before"
    assert sorted(path.name for path in project.iterdir()) == ["candidates.py", "r.json"]


@pytest.fixture
def read_only(killed: dict[int, Path]) -> Iterator[Path]:
    """A directory that nobody can write into, with a finished trace, one that was killed, and that without its log."""
    folder = Path(tempfile.mkdtemp())
    try:
        assert main(["run", "mcts", "--steps", "300", "--record", str(folder / "whole.kvtrace"), "--quiet"]) == 0
        source = killed[max(killed)]
        shutil.copyfile(source, folder / "killed.kvtrace")
        shutil.copyfile(f"{source}-wal", folder / "killed.kvtrace-wal")
        shutil.copyfile(source, folder / "alone.kvtrace")
        folder.chmod(0o555)
        yield folder
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


# To whom a directory that is read only is that: without the capabilities by which root passes over modes.
ANYBODY = """
import ctypes, os
libc, header, data = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
if os.geteuid() == 0:
    assert libc.capget(header, data) == 0
    for at in range(3):  # effective, permitted, inheritable: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
        data[at] &= ~0b110
    assert libc.capset(header, data) == 0
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "mcts", "--steps", "100", "--record", "new.kvtrace"),
        ("run", "mcts", "--steps", "100", "--json", "new.json"),
        ("run", "mcts", "--steps", "100", "--report", "report"),
        ("fuzz", "--examples", "1", "-o", "found"),
    ],
    ids=["record", "json", "report", "fuzz"],
)
def test_a_read_only_directory_is_told_in_one_line(read_only: Path, arguments: tuple[str, ...]) -> None:
    """With status 2, and no traceback."""
    done = kvparity(*arguments, cwd=read_only, status=2, setup=ANYBODY)
    assert done.stderr.startswith("kvparity: error: ")
    assert done.stderr.count("\n") == 1
    assert "ermission denied" in done.stderr


def test_a_finished_trace_is_read_where_nothing_can_be_written(read_only: Path) -> None:
    """As it is on a file system that is mounted so."""
    assert "PARITY" in kvparity("replay", "whole.kvtrace", cwd=read_only, setup=ANYBODY).stdout


def test_what_can_be_read_of_a_killed_recording_is_read_there(read_only: Path) -> None:
    """What is in the file itself; where that is not all, one line says what to do."""
    done = kvparity("replay", "killed.kvtrace", "--quiet", cwd=read_only, status=2, setup=ANYBODY)
    assert done.stderr.startswith("kvparity: error: killed.kvtrace was not finished, and its folder cannot be written")
    done = kvparity("replay", "alone.kvtrace", "--quiet", cwd=read_only, status=2, setup=ANYBODY)
    assert done.stderr == "kvparity: error: alone.kvtrace has no cache: the recording ended before the first one\n"


# ---------------------------------------------------------------------- candidates


def run(project: Path, candidate: str, *more: object, status: int, setup: str = "") -> tuple[dict[str, Any], str]:
    """The result of 3,000 operations, and all that was said."""
    done = kvparity(
        *("run", "mcts", "--steps", 3000, "--candidate", f"candidates:{candidate}", "--json", "r.json", *more),
        setup=setup,
        status=status,
        cwd=project,
    )
    return result(project / "r.json"), done.stdout + done.stderr


@pytest.mark.parametrize("candidate", ["Hangs", "HangsAndCatches"])
def test_a_candidate_that_hangs_is_given_up(project: Path, candidate: str) -> None:
    """Its time-out is a divergence, and the run goes on to its end."""
    found, said = run(project, candidate, "--patience", "0.2s", status=1)
    assert sum(found["operations"].values()) == 3000
    assert found["divergences"]["by_side"]["candidate"] > 0
    first = next(each for each in found["first"] if each["kind"] == "error")
    message = "raised TookTooLongError: it was still at work after 0.2 s, and is not asked again"
    assert first["candidate"] == message
    assert not found["interrupted"]
    assert "Traceback" not in said


def test_a_reference_that_hangs_is_given_up_too(project: Path) -> None:
    """The run goes on to its end."""
    found, _ = run(project, "Hangs", "--patience", "0.2s", "--reference", "candidates:Hangs", status=1)
    assert sum(found["operations"].values()) == 3000


def test_small_programs_are_looked_for_with_patience(project: Path) -> None:
    """A report makes small what was found, with the same candidate."""
    found, _ = run(project, "Hangs", "--patience", "0.2s", "--report", "report", status=1)
    assert sum(found["operations"].values()) == 3000


MEMORY = """
import resource, kvparity.cli
from pathlib import Path
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (1 << 30), held + (1 << 30)))
"""


def test_a_candidate_that_runs_out_of_memory_is_a_divergence(project: Path) -> None:
    """The run goes on to its end."""
    found, _ = run(project, "Hoards", setup=MEMORY, status=1)
    assert sum(found["operations"].values()) == 3000
    assert [each["candidate"] for each in found["first"] if each["kind"] == "error"] == ["raised MemoryError: "]


@pytest.mark.parametrize("candidate", ["IsTerminated", "IsInterrupted"])
def test_a_signal_leaves_a_complete_result(project: Path, candidate: str) -> None:
    """SIGTERM as Ctrl-C: what was found so far, as JSON and as a trace, and status 3."""
    found, said = run(project, candidate, "--record", "t.kvtrace", status=3)
    assert found["interrupted"]
    assert 200 <= sum(found["operations"].values()) < 3000
    assert "INTERRUPTED" in said
    with Trace(project / "t.kvtrace") as trace:
        assert trace.header.complete
        assert 200 <= len(trace) <= sum(found["operations"].values())


@pytest.mark.parametrize("candidate", ["Forks", "ForksAndExits"])
def test_a_fork_in_the_middle_of_a_run_changes_nothing(project: Path, candidate: str) -> None:
    """Whether the child goes on to its own end or not, the result and the recording are the parent's, and whole."""
    found, _ = run(project, candidate, "--record", "t.kvtrace", status=0)
    assert sum(found["operations"].values()) == 3000
    with Trace(project / "t.kvtrace") as trace:
        assert trace.header.complete
        assert len(list(trace)) == 3000


# ---------------------------------------------------------------------- clocks, and two of a kind

BACKWARDS = """
import itertools, time
for name in ("time", "monotonic", "perf_counter"):
    setattr(time, name, (lambda now: lambda: next(now))(itertools.count(1e9, -3600.0)))
for name in ("time_ns", "monotonic_ns", "perf_counter_ns"):
    setattr(time, name, (lambda now: lambda: next(now))(itertools.count(10**18, -3600 * 10**9)))
"""


def test_clocks_that_go_backwards_do_no_harm(project: Path) -> None:
    """By an hour at each look: the run, its recording and its result are whole."""
    kvparity(
        *("run", "mcts", "--steps", 2000, "--json", "r.json", "--record", "t.kvtrace", "--report", "report"),
        setup=BACKWARDS,
        cwd=project,
    )
    assert sum(result(project / "r.json")["operations"].values()) == 2000
    with Trace(project / "t.kvtrace") as trace:
        assert trace.header.complete
        assert len(trace) == 2000


TWO_RECORDERS = """
import os, sys
from kvparity import CacheSpec, Get, RECUR, TraceWriter
from kvparity.errors import TraceError

ours, theirs = os.pipe()
children = []
for number in range(2):
    if not (child := os.fork()):
        os.close(theirs)
        os.read(ours, 1)  # ends when the parent closes its end: then both begin
        try:
            with TraceWriter(sys.argv[1], served_by=str(number)) as writer:
                stream = writer.stream("only", CacheSpec())
                for key in range(2000):
                    writer.record(stream, Get(pool=RECUR, key=key))
        except TraceError as error:
            assert "exists already" in str(error)
            os._exit(9)
        os._exit(0)
    children.append(child)
os.close(theirs)
print(sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def test_of_two_recorders_on_one_path_one_is_refused(tmp_path: Path) -> None:
    """Whichever comes first has the file to itself."""
    assert python(TWO_RECORDERS, tmp_path / "t.kvtrace").stdout == "[0, 9]\n"
    with Trace(tmp_path / "t.kvtrace") as trace:
        assert trace.header.complete
        assert len(list(trace)) == 2000
