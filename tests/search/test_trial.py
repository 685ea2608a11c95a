"""A trial ends with the first divergence that is new, and says how to show it again."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kvparity import RECUR, CacheSpec, Clear, Comparison, Get, KnownDifference, Set
from kvparity.search.case import Signature, plain
from kvparity.search.trial import NewsLog, PartedError, Trial

if TYPE_CHECKING:
    from pathlib import Path

SPEC = CacheSpec(env_num=1, init_pool_size=1, num_simulations=2)
NEVER_CLEARED = Comparison("refactored-fifo", "fault:recur-never-cleared")
STALE = (Set(pool=RECUR, key=1, value=plain(1)), Clear(pool=RECUR), Get(pool=RECUR, key=1))


def ended(trial: Trial) -> PartedError:
    """What ends the trial of a hit after a clear, at the last operation."""
    for operation in STALE[:-1]:
        trial.apply(operation)
    with pytest.raises(PartedError) as raised:
        trial.apply(STALE[-1])
    return raised.value


def test_ends_with_a_divergence() -> None:
    """It carries what was done, and what is wrong."""
    error = ended(Trial(NEVER_CLEARED, SPEC))
    assert error.case.operations == STALE
    assert (error.divergence.kind, error.divergence.wrong, error.divergence.number) == ("stale_hit", "candidate", 2)


def test_the_text_is_a_program(tmp_path: Path) -> None:
    """After how the caches part, a script that shows it."""
    title, why, *source = str(ended(Trial(NEVER_CLEARED, SPEC))).splitlines()
    assert title == "stale_hit, wrong: candidate, at operation 2"
    assert why == (
        "fault:recur-never-cleared returned old data, which operation 0 set under this key in recur, for a key that was"
        " cleared at operation 1 and not set again"
    )
    script = tmp_path / "script.py"
    script.write_text("\n".join(source))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.startswith("Divergence(number=2, operation='get', pool='recur', key=1, kind='stale_hit'")


def test_divergences_of_another_reason_are_errors_of_another_type() -> None:
    """Hypothesis tells failures apart by their types."""
    first, again = (ended(Trial(NEVER_CLEARED, SPEC)) for _ in range(2))
    other = ended(Trial(Comparison("fault:recur-never-cleared", "refactored-fifo"), SPEC))
    assert type(first) is type(again)
    assert type(first) is not type(other)


def test_lying_statistics_end_a_trial() -> None:
    """When they are looked at."""
    trial = Trial(Comparison("refactored-fifo", "fault:length-is-capacity"), SPEC)
    trial.apply(STALE[0])
    with pytest.raises(PartedError, match=r"reports length 1 for init\[0\]; the right number is 0"):
        trial.check_stats()


def test_what_is_passed_over_is_counted() -> None:
    """And does not end the trial."""
    log = NewsLog()
    wanted = Signature.of(ended(Trial(NEVER_CLEARED, SPEC)).divergence)
    trial = Trial(NEVER_CLEARED, SPEC, log=log, passed_over={wanted})
    for operation in STALE:
        trial.apply(operation)
    assert log.by_group == {("stale_hit", "candidate"): 1}


def test_a_known_difference_does_not_end_a_trial() -> None:
    """It is accepted, as elsewhere."""
    known = KnownDifference(pattern="stale_hit recur: *", side="candidate", reason="so it is", corruption=True)
    trial = Trial(Comparison("refactored-fifo", "fault:recur-never-cleared", known=[known]), SPEC)
    for operation in STALE:
        trial.apply(operation)
    assert trial.shadow.log.by_known == {"so it is": 1}
