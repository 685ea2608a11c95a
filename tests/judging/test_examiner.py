"""What the examiner makes of events: what reaches the judge, the counts, the coverage and the history of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from kvparity import RECUR, WM, CacheSpec, DivergenceLog, Drop, KeysValues, PoolId, Tolerance, fingerprint, init
from kvparity.evidence.history import History
from kvparity.judging.events import (
    CheckoutDone,
    ClearDone,
    GetDone,
    KeyDropped,
    LoanEnded,
    LookupNotCompared,
    SetDone,
    SourceReleased,
    WorkingCopyReturned,
    WriteDone,
    WriteFailed,
)
from kvparity.judging.examiner import Examiner
from kvparity.judging.outcome import MISS, Outcome
from kvparity.judging.side_record import SeenDrop, SideRecord

if TYPE_CHECKING:
    from kvparity import Divergence
    from kvparity.judging.events import Event

SPEC = CacheSpec(env_num=2, init_pool_size=2, num_simulations=2)
CPU = torch.device("cpu")
KEY = 0x2A
UNSEEN = Outcome(value=object())


def value(number: float) -> KeysValues:
    """An entry `[1, 1, 2, 2]` x 2 of that number."""
    return KeysValues([torch.full((1, 1, 2, 2), sign * float(number)) for sign in (1, -1)], (1, 1))


def hit(number: float) -> Outcome:
    """An answer with that entry."""
    return Outcome(value(number), fingerprint(value(number)), device=CPU)


def raised(error: BaseException) -> Outcome:
    """No answer."""
    return Outcome(error=error)


def stored(number: int, pool: PoolId, entry: float, *, key: int = KEY) -> SetDone:
    """Both sides stored that entry in operation `number`."""
    return SetDone(number, pool, key, None, fingerprint(value(entry)), CPU, None, None, None)


class Examined:
    """An examiner of two sides, and what it has found."""

    def __init__(self, *, candidate: str = "fifo", tolerance: Tolerance | None = None) -> None:
        self.reference = SideRecord("reference", "old", SPEC, dict.fromkeys(SPEC.pools, "fifo"))
        self.candidate = SideRecord("candidate", "new", SPEC, dict.fromkeys(SPEC.pools, candidate))
        self.log = DivergenceLog()
        self.history = History()
        self._examiner = Examiner(
            (self.reference, self.candidate),
            spec=SPEC,
            log=self.log,
            tolerance=tolerance,
            complete=True,
            history=self.history,
        )

    def examine(self, *events: Event) -> None:
        """Examine these, in order."""
        for event in events:
            self._examiner.examine(event)

    @property
    def only(self) -> Divergence:
        """The one divergence."""
        (divergence,) = self.log.kept
        return divergence

    def moments(self, key: int | None = KEY) -> list[tuple[int, str, str, str, str]]:
        """The history of a key."""
        return [tuple(moment) for moment in self.history.of(key)[0]]  # type: ignore[misc]

    def counted(self, record: SideRecord) -> dict[str, tuple[int, int]]:
        """Hits and misses of the pools that were asked."""
        counts = {str(pool): (each.hits, each.misses) for pool, each in record.counts.items()}
        return {pool: both for pool, both in counts.items() if both != (0, 0)}


def words(number: float) -> str:
    """The fingerprint of that entry, as a history shows it."""
    return fingerprint(value(number)).hex()[:12]


def test_agreement_is_counted_and_remembered() -> None:
    """Of both sides alike, and nothing else comes of it."""
    examined = Examined()
    examined.examine(
        stored(0, init(1), 1),
        GetDone(1, init(1), KEY, hit(1), hit(1)),
        CheckoutDone(2, 1, KEY, hit(1), hit(1)),
        CheckoutDone(3, 1, 7, MISS, MISS),
        ClearDone(4, init(1), [init(1)], None, None),
    )
    assert examined.log.total == 0
    for record in (examined.reference, examined.candidate):
        assert examined.counted(record) == {"init[1]": (2, 1), "recur": (0, 1)}
        assert (record.lost_track, record.deviated) == (set(), set())
    assert examined.moments() == [
        (0, "set", "init[1]", f"set {words(1)}", f"set {words(1)}"),
        (1, "get", "init[1]", f"hit {words(1)}", f"hit {words(1)}"),
        (2, "checkout", "init[1]", f"hit {words(1)}", f"hit {words(1)}"),
        (4, "clear", "init[1]", "cleared", "cleared"),
    ]


def test_two_sides_that_leave_their_ideal_alike_are_no_divergence() -> None:
    """It is noted of both: evictions and lengths of that pool are not known any more."""
    examined = Examined()
    examined.examine(
        stored(0, RECUR, 1),
        stored(1, init(0), 2, key=7),
        GetDone(2, RECUR, KEY, MISS, MISS),
        CheckoutDone(3, 0, 7, MISS, MISS),
    )
    assert examined.log.total == 0
    assert examined.reference.deviated == examined.candidate.deviated == {RECUR, init(0)}


def test_of_a_key_that_both_pools_hold_alike_nobody_knows_which_pool_answered() -> None:
    """Neither hits and misses nor evictions of the two can be checked."""
    examined = Examined()
    examined.examine(stored(0, init(1), 1), stored(1, RECUR, 1), CheckoutDone(2, 1, KEY, hit(1), hit(1)))
    assert examined.log.total == 0
    for record in (examined.reference, examined.candidate):
        assert record.lost_track == record.deviated == {init(1), RECUR}


def test_nor_where_the_other_side_is_wrong() -> None:
    """A right reference may have answered from either pool: its own counts are not held against it."""
    examined = Examined()
    examined.examine(stored(0, init(1), 1), stored(1, RECUR, 1), CheckoutDone(2, 1, KEY, hit(1), hit(2)))
    assert (examined.only.kind, examined.only.wrong) == ("stale_hit", "candidate")
    assert examined.reference.lost_track == examined.reference.deviated == {init(1), RECUR}


@pytest.mark.parametrize(
    ("event", "pools"),
    [
        (LookupNotCompared(2, "get", init(1), KEY, UNSEEN, UNSEEN), {init(1)}),
        (LookupNotCompared(2, "checkout", init(1), KEY, UNSEEN, UNSEEN), {init(1), RECUR}),
    ],
    ids=["get", "checkout"],
)
def test_a_lookup_that_is_not_compared_counts_nothing(event: LookupNotCompared, pools: set[PoolId]) -> None:
    """Track is lost of the pools that it looks into; who hit as its ideal does has not left it."""
    examined = Examined()
    examined.examine(stored(0, init(1), 1), event)
    assert examined.log.total == 0
    assert examined.counted(examined.candidate) == {}
    assert examined.candidate.lost_track == examined.reference.lost_track == pools
    assert examined.candidate.deviated == set()
    assert examined.moments()[-1] == (2, event.verb, "init[1]", "hit, not compared", "hit, not compared")


@pytest.mark.parametrize(("verb", "env"), [("get", 1), ("checkout", 1), ("checkout", 0)])
def test_an_error_in_a_lookup_that_is_not_compared_is_a_finding(verb: str, env: int) -> None:
    """Of that operation; a miss where the ideal has the key is noted of the side that missed."""
    examined = Examined()
    pool = init(env)
    examined.examine(stored(0, pool, 1), LookupNotCompared(2, verb, pool, KEY, UNSEEN, raised(ValueError("no"))))
    told = examined.only
    assert (told.number, told.operation, told.kind, told.wrong) == (2, verb, "error", "candidate")
    assert told.pool == (f"init[{env}]" if verb == "get" else f"init[{env}], recur")
    assert examined.candidate.deviated == ({pool} if verb == "get" else {pool, RECUR})
    assert examined.reference.deviated == set()
    assert examined.moments()[-1][3:] == ("hit, not compared", "raised ValueError: no")


def test_a_miss_that_is_not_compared_is_remembered_as_one() -> None:
    """In words, as there is no fingerprint."""
    examined = Examined()
    examined.examine(LookupNotCompared(2, "get", RECUR, KEY, MISS, MISS))
    assert examined.moments() == [(2, "get", "recur", "miss", "miss")]


def test_each_side_has_an_ideal_of_its_own_strategy() -> None:
    """Also for lookups that are not compared: under LRU the key that was found lives on."""
    examined = Examined(candidate="lru")
    pool = init(0)
    examined.examine(
        stored(0, pool, 1, key=1),
        stored(1, pool, 2, key=2),
        LookupNotCompared(2, "get", pool, 1, UNSEEN, UNSEEN),
        stored(3, pool, 3, key=3),
        LookupNotCompared(4, "get", pool, 1, MISS, UNSEEN),
    )
    assert examined.reference.deviated == examined.candidate.deviated == set()
    examined.examine(GetDone(5, pool, 1, MISS, hit(1)))
    assert (examined.only.kind, examined.only.wrong) == ("presence", "neither")


def test_a_set_that_both_refuse_leaves_nothing_known() -> None:
    """Either may have stored a part of it: no later answer is wrong."""
    examined = Examined()
    refused = stored(1, RECUR, 2)._replace(reference_error=ValueError("a"), candidate_error=ValueError("b"))
    examined.examine(stored(0, RECUR, 1), refused, GetDone(2, RECUR, KEY, hit(2), hit(1)))
    assert (examined.only.kind, examined.only.wrong) == ("value", "unknown")
    assert examined.moments()[1][3:] == ("raised ValueError: a", "raised ValueError: b")


def test_a_set_that_one_side_refuses_is_the_truth_all_the_same() -> None:
    """The error is a finding, and so is the other value that is found later."""
    examined = Examined()
    refused = stored(1, RECUR, 2)._replace(candidate_error=ValueError("no"))
    examined.examine(stored(0, RECUR, 1), refused, GetDone(2, RECUR, KEY, hit(2), hit(1)))
    assert [(told.kind, told.wrong) for told in examined.log.kept] == [
        ("error", "candidate"),
        ("stale_hit", "candidate"),
    ]


def test_a_clear_that_both_refuse_leaves_nothing_known() -> None:
    """One that a single side refuses is done all the same: what that side still holds is old."""
    both, one = Examined(), Examined()
    error = ValueError("no")
    for examined, errors in ((both, (error, error)), (one, (None, error))):
        examined.examine(stored(0, RECUR, 1), ClearDone(1, RECUR, [RECUR], *errors))
    both.examine(GetDone(2, RECUR, KEY, hit(1), MISS))
    assert (both.only.kind, both.only.wrong) == ("presence", "unknown")
    assert both.moments()[1][3:] == ("raised ValueError: no", "raised ValueError: no")
    one.examine(GetDone(2, RECUR, KEY, MISS, hit(1)))
    assert [(told.kind, told.wrong) for told in one.log.kept] == [("error", "candidate"), ("stale_hit", "candidate")]


@pytest.mark.parametrize(
    ("event", "pool", "words"),
    [
        (LoanEnded(5, RECUR, KEY, hit(1), hit(2)), "recur", "the value that new lent changed before"),
        (WorkingCopyReturned(5, 1, KEY, hit(1), hit(2)), "wm", "until 2 more checkouts"),
        (SourceReleased(5, RECUR, KEY, fingerprint(value(1)), hit(2)), "recur", "after the set and before the next"),
        (WriteDone(5, 1, KEY, "layer 0, K", hit(1), hit(2)), "wm", "into layer 0, K of the working copy"),
        (stored(5, RECUR, 1)._replace(source=hit(2)), "recur", "new wrote into the value that it was given to copy"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_should_not_have_changed_is_a_finding(event: Event, pool: str, words: str) -> None:
    """As of the operation that lent or gave it, with the history of its key; unchanged, it is none."""
    examined = Examined()
    examined.examine(event)
    told = examined.only
    assert (told.number, told.pool, told.key) == (5, pool, KEY)
    assert (told.kind, told.wrong, told.reference, told.candidate) == (
        "stale_hit",
        "candidate",
        "not looked at",
        "changed",
    )
    assert words in told.explanation
    assert told.exhibit is not None
    unchanged = Examined()
    unchanged.examine(event._replace(**{event._fields[-1]: hit(1)}))  # type: ignore[arg-type]
    assert unchanged.log.total == 0


def test_a_working_copy_that_cannot_be_written_into_is_an_error() -> None:
    """Of the candidate, in the operation that lent it."""
    examined = Examined()
    examined.examine(WriteFailed(5, 1, RuntimeError("read only")))
    told = examined.only
    assert (told.number, told.operation, told.pool, told.key) == (5, "write", "wm", None)
    assert (told.kind, told.wrong, told.candidate) == ("error", "candidate", "raised RuntimeError: read only")
    assert told.exhibit is not None


@pytest.mark.parametrize("role", ["reference", "candidate"])
def test_a_reported_drop_is_remembered_of_its_side(role: str) -> None:
    """For explanations, and in the history of the key; the other side's place there is empty."""
    examined = Examined()
    drop = Drop(pool=RECUR, key=KEY, slot=1, reason="it reused slot 1")
    seen = SeenDrop(3, 9, drop)
    examined.examine(stored(0, RECUR, 1), KeyDropped(role, seen))
    records = {"reference": examined.reference, "candidate": examined.candidate}
    assert records.pop(role).last_drop(RECUR, KEY) == seen
    assert [record.last_drop(RECUR, KEY) for record in records.values()] == [None]
    reason = "dropped for key 0x0000000000000009: it reused slot 1"
    sides = (reason, "") if role == "reference" else ("", reason)
    assert examined.moments()[1] == (3, "drop", "recur", *sides)
    examined.examine(ClearDone(4, RECUR, [RECUR], None, None))
    assert examined.candidate.last_drop(RECUR, KEY) is examined.reference.last_drop(RECUR, KEY) is None


def test_coverage_counts_what_was_exercised() -> None:
    """By family, with the evictions of either side's ideal, and the strategies that were declared."""
    examined = Examined(candidate="lru")
    examined.examine(
        *(stored(number, init(0), number, key=number) for number in range(3)),
        stored(3, init(0), 9, key=2),
        GetDone(4, init(0), 2, hit(9), hit(9)),
        GetDone(5, init(0), 0, MISS, MISS),
        ClearDone(6, init(0), [init(0)], None, None),
        ClearDone(7, init(1), [init(1)], None, None),
    )
    coverage = examined._examiner.coverage(kinds=["one"], kind_changes=2, working_copies=3)
    family = coverage.families["init"]
    assert (family.pools, family.used, family.wrapped, family.sets, family.resets) == (2, 1, 1, 4, 1)
    assert (family.hits, family.misses, family.clears) == (1, 1, 1)
    assert family.evictions == {"reference": 1, "candidate": 1}
    assert (coverage.environments, coverage.environments_seen) == (2, 1)
    assert coverage.strategies["reference"] == {"init": ["fifo"], "recur": ["fifo"], "wm": ["fifo"]}
    assert coverage.strategies["candidate"] == {"init": ["lru"], "recur": ["lru"], "wm": ["lru"]}
    assert (coverage.kinds, coverage.kind_changes, coverage.working_copies) == (["one"], 2, 3)


@pytest.mark.parametrize(("number", "found"), [(1.001, []), (2.0, ["stale_hit"])], ids=["close", "far"])
def test_a_tolerance_is_measured_against_a_right_reference(number: float, found: list[str]) -> None:
    """Close to it is right, and far from it is not."""
    examined = Examined(tolerance=Tolerance(rtol=0.01, atol=0.0))
    examined.examine(stored(0, RECUR, 1), GetDone(1, RECUR, KEY, hit(1), hit(number)))
    assert [told.kind for told in examined.log.kept] == found


@pytest.mark.parametrize("pool", [init(1), RECUR], ids=str)
def test_within_a_tolerance_a_value_without_a_right_one_is_taken_for_the_pool_that_has_the_key(pool: PoolId) -> None:
    """The reference missed it: that is the finding, in that pool."""
    examined = Examined(tolerance=Tolerance(rtol=0.01, atol=0.0))
    examined.examine(stored(0, pool, 1), CheckoutDone(1, 1, KEY, MISS, hit(1.001)))
    assert (examined.only.kind, examined.only.wrong, examined.only.pool) == ("presence", "reference", str(pool))
    assert WM not in examined.candidate.lost_track
