"""What the judge makes of two answers: which kind of divergence, who is wrong, and the whole of what is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from kvparity import (
    RECUR,
    CacheSpec,
    Checkout,
    Clear,
    Divergence,
    DivergenceLog,
    Get,
    KeysValues,
    PoolId,
    Set,
    Write,
    fingerprint,
    init,
)
from kvparity.judging.judge import Judge, Lookup
from kvparity.judging.oracle import IdealCache, Truth
from kvparity.judging.outcome import Outcome
from kvparity.judging.side_record import SideRecord

if TYPE_CHECKING:
    from kvparity import Operation

SPEC = CacheSpec(env_num=2, init_pool_size=2, num_simulations=2)
KEY = 0x2A
CPU = torch.device("cpu")
MISS = Outcome()


def value(number: float) -> KeysValues:
    """An entry `[1, 1, 2, 2]` x 2 of that number."""
    return KeysValues([torch.full((1, 1, 2, 2), number), torch.full((1, 1, 2, 2), -number)], (1, 1))


def hit(number: float) -> Outcome:
    """The answer with that value."""
    return Outcome(value(number), fingerprint(value(number)), device=CPU)


def shown(number: float) -> str:
    """The same in a report."""
    return f"hit {fingerprint(value(number)).hex()[:12]}"


def raised(error: type[Exception] = RuntimeError) -> Outcome:
    """No answer."""
    return Outcome(error=error("no"))


class Forgetful(DivergenceLog):
    """Keeps nothing but the first of each kind and side, and tells a test of all."""

    KEPT = 0

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Divergence] = []

    def add(self, divergence: Divergence) -> Divergence:
        self.told.append(divergence)
        return super().add(divergence)


class Court:
    """A judge over the records of two sides. Truth and ideals know what the test says was done."""

    def __init__(self, *, log: DivergenceLog | None = None, complete: bool = True) -> None:
        strategies = dict.fromkeys(SPEC.pools, "fifo"), dict.fromkeys(SPEC.pools, "lru")
        self.old = SideRecord("reference", "old", SPEC, strategies[0])
        self.new = SideRecord("candidate", "new", SPEC, strategies[1])
        self.truth = Truth.empty(SPEC, complete=complete)
        self.ideals = (IdealCache(SPEC, lambda _: "fifo"), IdealCache(SPEC, lambda _: "lru"))
        self.log = log or DivergenceLog()
        self.judge = Judge((self.old, self.new), truth=self.truth, ideals=self.ideals, log=self.log, tolerance=None)

    def was_set(self, pool: PoolId, number: float, *, key: int = KEY, at: int = 0, device: torch.device = CPU) -> None:
        """Operation `at` set that value."""
        self.truth.pools[pool].set(key, fingerprint(value(number)), device, at)
        for ideal in self.ideals:
            ideal.set(pool, key, at, None)

    def get(self, reference: Outcome, candidate: Outcome, pool: PoolId = RECUR) -> None:
        """Judge a get of `KEY`, operation 9."""
        ideally = self.ideals[0].get(pool, KEY), self.ideals[1].get(pool, KEY)
        self.judge.lookup(Lookup(9, Get(pool=pool, key=KEY), (pool,), (reference, candidate), ideally))

    def checkout(self, reference: Outcome, candidate: Outcome) -> None:
        """Judge a checkout of `KEY` for environment 1, operation 9."""
        ideally = self.ideals[0].checkout(1, KEY), self.ideals[1].checkout(1, KEY)
        pools = (init(1), RECUR)
        self.judge.lookup(Lookup(9, Checkout(env=1, key=KEY), pools, (reference, candidate), ideally))

    def seen(self, record: SideRecord) -> dict[str, tuple[int, int]]:
        """Hits and misses that were counted of that side, where any were."""
        return {
            str(pool): (counts.hits, counts.misses)
            for pool, counts in record.counts.items()
            if (counts.hits, counts.misses) != (0, 0)
        }


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("operation", "verb", "pool", "key"),
    [
        (Set(pool=init(1), key=KEY, value=None), "set", "init[1]", KEY),
        (Get(pool=RECUR, key=KEY), "get", "recur", KEY),
        (Checkout(env=1, key=KEY), "checkout", "init[1], recur", KEY),
        (Clear(pool=PoolId("init")), "clear", "init", None),
        (Write(env=1, fill=0), "write", "wm", None),
    ],
)
def test_an_error_names_its_operation_and_what_each_side_did(
    operation: Operation, verb: str, pool: str, key: int | None
) -> None:
    """The side that raised is wrong."""
    court = Court()
    court.judge.errors(9, operation, None, MemoryError("full"))
    assert court.log.kept == [
        Divergence(
            number=9,
            operation=verb,
            pool=pool,
            key=key,
            kind="error",
            reference="did not raise",
            candidate="raised MemoryError: full",
            wrong="candidate",
            explanation="new raised MemoryError: full",
        )
    ]


def test_two_errors_of_different_types_are_both_told() -> None:
    """Of each side its own."""
    court = Court()
    court.judge.errors(9, Get(pool=RECUR, key=KEY), KeyError("a"), ValueError("b"))
    (told,) = court.log.kept
    assert (told.reference, told.candidate, told.wrong) == ("raised KeyError: 'a'", "raised ValueError: b", "both")
    assert told.explanation == "old raised KeyError: 'a'; new raised ValueError: b"


def test_agreement_in_errors_is_counted_each_time() -> None:
    """It is no divergence."""
    court = Court()
    for _ in range(2):
        court.get(raised(), raised())
    assert court.judge.both_raised == 2
    assert court.log.total == 0


def test_an_error_in_a_lookup_is_told_as_of_that_lookup() -> None:
    """With its number, pools and key, and nothing besides."""
    court = Court()
    court.checkout(MISS, raised())
    (told,) = court.log.kept
    assert (told.number, told.operation, told.pool, told.key) == (9, "checkout", "init[1], recur", KEY)
    assert (told.reference, told.candidate) == ("did not raise", "raised RuntimeError: no")


def test_an_error_of_one_side_hides_no_wrong_bytes_of_the_other() -> None:
    """Each side is told of its own."""
    court = Court()
    court.was_set(RECUR, 1)
    court.get(raised(), hit(2))
    assert court.log.by_group == {("error", "reference"): 1, ("stale_hit", "candidate"): 1}


# ---------------------------------------------------------------- lookups


def test_a_wrong_answer_is_told_whole() -> None:
    """Where, what each side did, who is wrong, why, and the difference in torch.testing's words."""
    court = Court()
    court.was_set(RECUR, 1, at=3)
    court.was_set(RECUR, 2, key=7, at=4)
    court.checkout(hit(1), hit(2))
    (told,) = court.log.kept
    assert told == Divergence(
        number=9,
        operation="checkout",
        pool="init[1], recur",
        key=KEY,
        kind="stale_hit",
        reference=shown(1),
        candidate=shown(2),
        wrong="candidate",
        explanation=(
            "new returned the value that operation 4 set under key 0x0000000000000007 in recur;"
            " this key was last set by operation 3 in recur"
        ),
        difference=told.difference,
    )
    assert told.difference.startswith("layer 0, K: Tensor-likes are not equal!")


def test_two_wrong_answers_are_explained_one_after_the_other() -> None:
    """Of each side whose bytes it returned; without a difference between them none is shown."""
    court = Court()
    court.was_set(init(0), 1)
    court.get(hit(5), hit(5))
    (told,) = court.log.kept
    assert told.explanation == (
        "old returned data that no key holds now, for a key that was never set;"
        " new returned data that no key holds now, for a key that was never set"
    )
    assert told.difference == ""


def test_an_earlier_value_of_the_same_key_is_called_so() -> None:
    """With the operation that set it: before the last set of the key, or before the clear of its pool."""
    court = Court()
    for number in (1, 2):
        court.was_set(RECUR, number, at=number)
    court.get(hit(2), hit(1))
    court.truth.pools[RECUR].clear(5)
    court.get(MISS, hit(2))
    again, after_clear = court.log.kept
    assert again.explanation == (
        "new returned old data, which operation 1 set under this key in recur; this key was last set by operation 2 in"
        " recur"
    )
    assert after_clear.explanation == (
        "new returned old data, which operation 2 set under this key in recur, for a key that was cleared at operation"
        " 5 and not set again"
    )


def test_old_data_is_explained_by_the_clear_of_its_own_pool() -> None:
    """Not by a clear of the other pool that the lookup looks into."""
    court = Court()
    court.was_set(RECUR, 1, at=1)
    court.truth.pools[init(1)].clear(2)
    court.truth.pools[RECUR].clear(3)
    court.checkout(MISS, hit(1))
    (told,) = court.log.kept
    assert told.explanation.endswith("for a key that was cleared at operation 3 and not set again")


def test_right_bytes_on_another_device_are_told_as_such() -> None:
    """The device is the kind, and each side's is named."""
    court = Court()
    court.was_set(RECUR, 1, device=torch.device("meta"))
    court.get(hit(1), hit(1))
    (told,) = court.log.kept
    assert (told.kind, told.wrong) == ("device", "both")
    assert told.explanation == (
        "old returned the right bytes, but on cpu, where they were not set;"
        " new returned the right bytes, but on cpu, where they were not set"
    )


def test_wrong_bytes_beside_right_ones_on_another_device_are_stale() -> None:
    """The graver of the two names the kind."""
    court = Court()
    court.was_set(RECUR, 1, device=torch.device("meta"))
    court.get(hit(1), hit(2))
    assert court.log.by_group == {("stale_hit", "both"): 1}


def test_two_values_of_which_none_is_known_to_be_right_are_told_whole() -> None:
    """Nobody is blamed, and the difference is shown."""
    court = Court(complete=False)
    court.get(hit(1), hit(2))
    (told,) = court.log.kept
    assert (told.kind, told.wrong) == ("value", "unknown")
    assert told.explanation == (
        "both caches hit and returned different values; what is right is not known: the key was set before watching"
        " began, or too long ago"
    )
    assert told.difference.startswith("layer 0, K: Tensor-likes are not equal!")


def test_a_missing_key_is_told_whole() -> None:
    """In the pool where it should be, with no tensors to show."""
    court = Court()
    court.was_set(RECUR, 1, at=3)
    court.checkout(hit(1), MISS)
    assert court.log.kept == [
        Divergence(
            number=9,
            operation="checkout",
            pool="recur",
            key=KEY,
            kind="presence",
            reference=shown(1),
            candidate="miss",
            wrong="candidate",
            explanation="new lost this key, which operation 3 set; lru with 4 slots still holds it",
        )
    ]


def test_two_sides_that_each_leave_their_own_strategy_are_both_blamed() -> None:
    """FIFO has dropped what the one still holds, LRU holds what the other has lost."""
    court = Court()
    court.was_set(init(1), 1)
    court.was_set(init(1), 2, key=7, at=1)
    for ideal in court.ideals:
        ideal.get(init(1), KEY)
    court.was_set(init(1), 3, key=8, at=2)
    court.get(hit(1), MISS, init(1))
    (told,) = court.log.kept
    assert (told.kind, told.wrong) == ("presence", "both")
    assert told.explanation.startswith("old still holds a key that fifo with 2 slots evicted at operation 2")
    assert "; new lost this key, which operation 0 set" in told.explanation


@pytest.mark.parametrize("its", [hit(2), MISS], ids=["wrong bytes", "presence"])
def test_an_explanation_that_nobody_will_read_is_not_worked_out(its: Outcome) -> None:
    """Beyond what a log keeps, the first of its kind and side is explained and no other."""
    log = Forgetful()
    court = Court(log=log)
    court.was_set(RECUR, 1)
    court.get(hit(1), its)
    court.get(hit(1), its)
    first, second = log.told
    assert first.explanation
    assert second.explanation == ""


# ---------------------------------------------------------------- what is counted of a side


@pytest.mark.parametrize(
    ("its", "counted", "lost_track", "deviated"),
    [
        (hit(1), (1, 0), set(), set()),
        (MISS, (0, 1), set(), {RECUR}),
        (hit(2), (1, 0), {RECUR}, {RECUR}),
        (raised(), (0, 0), {RECUR}, {RECUR}),
    ],
    ids=["right", "miss", "wrong", "error"],
)
def test_a_get_is_counted_as_it_was_answered(
    its: Outcome, counted: tuple[int, int], lost_track: set[PoolId], deviated: set[PoolId]
) -> None:
    """What was answered is known of hits and misses; wrong bytes and errors leave unknown what a side counted."""
    court = Court()
    court.was_set(RECUR, 1)
    court.get(raised(), its)
    counts = court.new.counts[RECUR]
    assert (counts.hits, counts.misses) == counted
    assert court.new.lost_track == lost_track
    assert court.new.deviated == deviated
    assert court.old.lost_track == {RECUR}


@pytest.mark.parametrize(
    ("its", "counted", "lost_track", "deviated"),
    [
        (hit(1), {"init[1]": (0, 1), "recur": (1, 0)}, set(), set()),
        (MISS, {"init[1]": (0, 1), "recur": (0, 1)}, set(), {init(1), RECUR}),
        (hit(2), {}, {init(1), RECUR}, {init(1), RECUR}),
        (raised(), {}, {init(1), RECUR}, {init(1), RECUR}),
    ],
    ids=["right", "miss", "wrong", "error"],
)
def test_a_checkout_is_counted_as_it_was_answered(
    its: Outcome, counted: dict[str, tuple[int, int]], lost_track: set[PoolId], deviated: set[PoolId]
) -> None:
    """In both pools that it looks in."""
    court = Court()
    court.was_set(RECUR, 1)
    court.checkout(raised(), its)
    assert court.seen(court.new) == counted
    assert court.new.lost_track == lost_track
    assert court.new.deviated == deviated


def test_bytes_that_two_pools_hold_are_counted_where_the_strategy_has_them() -> None:
    """Once the init pool has evicted them, they are recur's."""
    court = Court()
    for number in (1, 2, 3):
        court.was_set(init(1), number, key=KEY if number == 1 else number)
    court.was_set(RECUR, 1)
    court.checkout(hit(1), MISS)
    assert court.seen(court.old) == {"init[1]": (0, 1), "recur": (1, 0)}
    assert court.log.by_group == {("presence", "candidate"): 1}


# ---------------------------------------------------------------- what was lent or given


def told_of_a_change(operation: str, pool: str, explanation: str) -> Divergence:
    """What the judge says of something that should not have changed."""
    return Divergence(
        number=5,
        operation=operation,
        pool=pool,
        key=KEY,
        kind="stale_hit",
        reference="not looked at",
        candidate="changed",
        wrong="candidate",
        explanation=explanation,
    )


def test_a_changed_working_copy_is_told_whole() -> None:
    """As of the checkout that lent it."""
    court = Court()
    court.judge.working_copy_changed(5, 1, KEY, 8)
    assert court.log.kept == [
        told_of_a_change(
            "checkout",
            "wm",
            "the working copy that new lent to env 1 changed while the consumer owned it; the consumer owns it until 8"
            " more checkouts have been made",
        )
    ]


def test_a_changed_loan_is_told_whole() -> None:
    """As of the get that lent it."""
    court = Court()
    court.judge.loan_changed(5, init(1), KEY)
    assert court.log.kept == [
        told_of_a_change("get", "init[1]", "the value that new lent changed before the next set or clear of init[1]")
    ]


def test_a_value_that_was_written_into_is_told_whole() -> None:
    """As of the set that gave it."""
    court = Court()
    court.judge.source_changed(5, init(1), KEY)
    assert court.log.kept == [told_of_a_change("set", "init[1]", "new wrote into the value that it was given to copy")]


def test_a_source_that_was_written_into_later_is_told_whole() -> None:
    """As of the set that gave it, and not as of the moment at which it was found out."""
    court = Court()
    court.judge.source_changed_late(5, init(1), KEY)
    explanation = "new wrote into the value that it was given to copy, after the set and before the next one"
    assert court.log.kept == [told_of_a_change("set", "init[1]", explanation)]


def test_a_write_that_is_lost_is_told_whole() -> None:
    """As of the checkout that lent the working copy, with the tensor that was written into."""
    court = Court()
    court.judge.write_lost(5, 1, KEY, "layer 0, V")
    explanation = (
        "the consumer wrote a token into layer 0, V of the working copy that new lent to env 1; read again, that"
        " token is missing, or more than that token changed"
    )
    assert court.log.kept == [told_of_a_change("checkout", "wm", explanation)]
