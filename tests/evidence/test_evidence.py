"""What is kept of a run besides its divergences."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import chain, pairwise, repeat
from typing import TYPE_CHECKING, cast

import pytest
import torch

from kvparity.caches.protocol import CacheSpec
from kvparity.driving.comparison import Comparison
from kvparity.driving.driver import Driver
from kvparity.evidence import Coverage, Exercised, Latency, Timeline, heat_of, provenance, sum_timelines
from kvparity.evidence.history import Event, History
from kvparity.evidence.latency import Stopwatch
from kvparity.evidence.timeline import COUNTED, MOST_POINTS, Pace
from kvparity.operations import ALL_INIT, RECUR, Checkout, Clear, Get, Set, init
from kvparity.registry import load_scenario
from kvparity.results.divergence import DivergenceLog
from kvparity.shadow import evidence as collector
from kvparity.shadow.evidence import Evidence
from kvparity.values.entry import KeysValues

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kvparity.evidence.timeline import Account
    from kvparity.operations import Operation
    from kvparity.shadow.shadow_cache import ShadowCache
    from kvparity.shadow.side import Side


def entry(fill: float, *, size: int = 1) -> KeysValues:
    """An entry of one number."""
    row = torch.full((2, 1, 2, 4, 3), fill)
    return KeysValues.from_row(row, [size, size])


def drive(reference: str, candidate: str, operations: list[Operation], spec: CacheSpec | None = None) -> ShadowCache:
    """Those operations through both caches, with evidence kept."""
    shadow = Comparison(reference, candidate).shadow(spec or CacheSpec(env_num=2), evidence=Evidence())
    driver = Driver(shadow)
    for operation in operations:
        driver.apply(operation)
    return shadow


# ---------------------------------------------------------------------- history


def test_a_divergence_comes_with_the_history_of_its_key() -> None:
    """Its sets and lookups on both sides in order, the divergent one at the end, and no other key's."""
    spec = CacheSpec(env_num=1, init_pool_size=1, num_simulations=1)
    shadow = drive(
        "legacy-released",
        "refactored-fifo",
        [
            Set(pool=RECUR, key=1, value=entry(1.0)),
            Set(pool=RECUR, key=2, value=entry(2.0)),
            Get(pool=RECUR, key=1),
        ],
        spec,
    )
    exhibit = shadow.log.kept[0].exhibit
    assert exhibit is not None
    assert [(moment.number, moment.operation) for moment in exhibit.history] == [(0, "set"), (1, "drop"), (2, "get")]
    assert exhibit.history[-1].reference.startswith("hit ")
    assert exhibit.history[-1].candidate == "miss"
    assert exhibit.history[1].candidate == "fifo would drop it here"
    assert exhibit.complete
    assert exhibit.earlier == 0


def test_a_clear_belongs_to_the_history_of_the_keys_it_forgot() -> None:
    """Of the pool that a key was in, and once between two uses of the key."""
    history = History()
    did = b"\x01" * 16
    for number, (verb, pool, key) in enumerate(
        [
            ("clear", RECUR, None),  # before the key was ever used
            ("set", init(0), 7),
            ("clear", init(1), None),  # another pool
            ("clear", RECUR, None),  # another pool
            ("clear", ALL_INIT, None),
            ("clear", ALL_INIT, None),  # again, with nothing between
            ("checkout", init(0), 7),
            ("clear", RECUR, None),  # where the checkout looked second
        ]
    ):
        history.note(Event(number, verb, pool, key, did, did))
    assert [moment.number for moment in history.of(7)[0]] == [1, 4, 6, 7]


def test_of_a_long_history_the_end_is_shown_and_the_rest_counted() -> None:
    """Nothing is left out without a word."""
    history = History()
    for number in range(100):
        history.note(Event(number, "get", RECUR, 7, None, b"\x02" * 16))
    shown, earlier, complete = history.of(7)
    assert [moment.number for moment in shown] == list(range(76, 100))
    assert (earlier, complete) == (76, True)
    assert shown[0].reference == "miss"
    assert shown[0].candidate == "hit 020202020202"


def test_a_history_that_forgot_says_so() -> None:
    """It is bounded: beyond 32,768 operations it does not reach back to the first."""
    history = History()
    for number in range(32_768):
        history.note(Event(number, "get", RECUR, number, None, None))
    assert not history.of(0)[2]


def test_only_the_first_of_a_group_are_kept_with_their_history() -> None:
    """Ten thousand divergences must not take ten thousand histories."""
    result = Comparison("legacy-released", "refactored-fifo").scenario(
        load_scenario("pool-pressure"), seed=0, steps=5000
    )
    group = ("stale_hit", "reference")
    exhibits = [each.exhibit for each in result.kept if (each.kind, each.wrong) == group]
    assert result.by_group[group] > DivergenceLog.EXHIBITED
    assert [exhibit is not None for exhibit in exhibits].count(True) == DivergenceLog.EXHIBITED


def test_a_wrong_value_is_shown_as_a_map_of_differences() -> None:
    """By tensor, head and token, the greatest difference over the last axis."""
    mine = torch.zeros(1, 2, 3, 4)
    its = mine.clone()
    its[0, 1, 2, 3] = -2.5
    its[0, 0, 1, 0] = math.nan
    ((where, rows), (other, zeros)) = heat_of([mine, mine], [its, mine])
    assert (where, rows) == ("layer 0, K", ((0.0, None, 0.0), (0.0, 0.0, 2.5)))
    assert other == "layer 0, V"
    assert set(sum(zeros, ())) == {0.0}


def test_tensors_of_several_shapes_have_no_map() -> None:
    """There is nothing to subtract."""
    assert heat_of([torch.zeros(1, 2, 3, 4)], [torch.zeros(1, 2, 4, 4)]) == ()


# ---------------------------------------------------------------------- timeline


def points(*, until: int, every: int) -> Timeline:
    """A timeline whose hits are its operations."""
    timeline = Timeline()
    for operations in range(every, until + 1, every):
        counted = {"hits": operations, "misses": 0, "evictions": None, "length": 1, "size_bytes": 8}
        timeline.add(
            operations=operations,
            elapsed_s=operations / 10,
            corruption=operations,
            behaviour=0,
            resident_bytes=100,
            sides={"reference": {"recur": counted}},
        )
    return timeline


def test_however_long_a_run_its_timeline_is_short() -> None:
    """Points are thinned out evenly: their distances differ by a factor of two at most."""
    pace = Pace()
    for operations in range(1, 1_000_000):
        if operations >= pace.next_at:
            pace.timeline.add(
                operations=operations, elapsed_s=0.0, corruption=0, behaviour=0, resident_bytes=None, sides={}
            )
            pace.added()
    at = pace.timeline.operations
    steps = {after - before for before, after in pairwise(at)}
    assert MOST_POINTS // 2 <= len(at) < MOST_POINTS
    assert max(steps) <= 2 * min(steps)


def test_caches_side_by_side_have_one_timeline() -> None:
    """Their counts are added up; divergences and memory are counted once, since they are everybody's."""
    whole = sum_timelines([(5.0, points(until=100, every=10)), (8.0, points(until=40, every=10))])
    assert whole.operations[-1] == 140
    assert whole.sides["reference"]["recur"]["hits"][-1] == 140
    assert whole.sides["reference"]["recur"]["evictions"][-1] is None
    assert whole.corruption[-1] == 100
    assert whole.resident_bytes[-1] == 100
    assert whole.elapsed_s == sorted(whole.elapsed_s)
    assert whole.sides["reference"]["recur"]["hits"][0] == 10  # the second had not begun


def test_many_points_side_by_side_stay_few() -> None:
    """And the last one is the end."""
    whole = sum_timelines([(began / 7, points(until=200, every=1)) for began in range(5)])
    assert len(whole) <= MOST_POINTS
    assert whole.operations[-1] == 1000


def test_a_run_has_a_timeline_that_ends_with_it() -> None:
    """Hits on both sides grow to what the table says."""
    result = Comparison("legacy-evicting", "refactored-fifo").scenario(load_scenario("mcts"), seed=0, steps=5000)
    timeline = result.timeline
    assert 1 <= len(timeline) < MOST_POINTS
    assert timeline.operations[-1] == result.operations_total
    for side in ("reference", "candidate"):
        hits = timeline.sides[side]["recur"]["hits"]
        assert hits == sorted(hits)
        assert hits[-1] == result.stats[side]["recur"]["hits"]


class Watched:
    """A side and its clock: an operation takes a millisecond, and looking at the side as long as is said."""

    role = "candidate"

    def __init__(self, monkeypatch: pytest.MonkeyPatch, looks_s: Iterator[float]) -> None:
        self._now, self._looks_s = 0.0, looks_s
        monkeypatch.setattr(collector.time, "perf_counter", lambda: self._now)

    def account(self) -> Account:
        """It takes its time."""
        self._now += next(self._looks_s)
        return {"recur": dict.fromkeys(COUNTED, 0)}

    def operate(self, evidence: Evidence, operations: int) -> list[int]:
        """So many of them; the timeline's points."""
        for number in range(1, operations + 1):
            self._now += 0.001
            evidence.look(number, cast("tuple[Side, Side]", (self,)), DivergenceLog())
        return evidence.timeline.operations


@pytest.mark.parametrize(("share", "expected_s"), [(0.1, 2.0), (0.01, 0.2)])
def test_slow_statistics_take_their_share_of_the_time(
    monkeypatch: pytest.MonkeyPatch, share: float, expected_s: float
) -> None:
    """Looks of 50 ms in a run of 20 s: as many as that share of it holds, and two or three in advance."""
    side = Watched(monkeypatch, repeat(0.05))
    spent_s = 0.05 * len(side.operate(Evidence(share=share), 20_000))
    assert expected_s <= spent_s <= 1.3 * expected_s + 3 * 0.05


def test_one_look_that_was_interrupted_does_not_end_the_timeline(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a loaded machine it may have taken a second, of which the share of eight seconds is none."""
    side = Watched(monkeypatch, chain(repeat(1e-5, 10), [1.0], repeat(1e-5)))
    at = side.operate(Evidence(), 8_000)
    assert max(after - before for before, after in pairwise([*at, 8_000])) <= 64


# ---------------------------------------------------------------------- latency


def test_quantiles_are_true_to_a_bucket() -> None:
    """Within 9 % of the exact ones; the longest exactly."""
    latency = Latency()
    for elapsed_ns in range(1000, 101_000, 10):
        latency.add(elapsed_ns)
    assert latency.samples == 10_000
    for q in (0.5, 0.9, 0.99):
        assert latency.quantile_ns(q) == pytest.approx(1000 + 100_000 * q, rel=0.09)
    assert latency.longest_ns == 100_990
    assert latency.quantile_ns(1.0) <= 100_990


def test_the_mean_is_true_to_some_percent() -> None:
    """Buckets are narrow enough for it, and of many durations the errors even out."""
    latency = Latency()
    durations = [1000 + 37 * number for number in range(1000)]
    for duration in durations:
        latency.add(duration)
    assert latency.mean_ns == pytest.approx(sum(durations) / 1000, rel=0.02)
    assert Latency().mean_ns is None


def test_without_samples_there_is_no_quantile() -> None:
    """Not a zero."""
    assert Latency().quantile_ns(0.5) is None


def test_a_stopwatch_counts_what_raises_too() -> None:
    """And passes the exception on."""
    watch = Stopwatch()
    watch.kind = "set"
    with pytest.raises(ZeroDivisionError):
        watch.run(lambda: 1 // 0)
    assert watch.taken["set"].samples == 1


def test_both_sides_are_timed_on_the_same_operations() -> None:
    """A sample of each kind that comes often, as many on one side as on the other."""
    result = Comparison("legacy-evicting", "refactored-fifo").scenario(load_scenario("mcts"), seed=0, steps=5000)
    mine, its = (
        {kind: latency.samples for kind, latency in result.latencies[side].items()}
        for side in ("reference", "candidate")
    )
    assert mine == its
    assert mine["set"] > 50
    assert mine["checkout"] > 50


def test_what_the_candidate_itself_took_is_told_by_the_sample() -> None:
    """For each kind, the mean of those that were timed times all of them."""
    result = Comparison("legacy-evicting", "refactored-fifo").scenario(load_scenario("mcts"), seed=0, steps=100)
    result.operations = Counter(set=1_000_000, get=500_000, clear=1)
    result.latencies = {"reference": {}, "candidate": {"set": Latency(), "get": Latency()}}
    assert result.candidate_s is None
    result.latencies["candidate"]["set"].add(1000)
    result.latencies["candidate"]["get"].add(4000)
    assert result.candidate_s == pytest.approx(3.0, rel=0.05)


# ---------------------------------------------------------------------- coverage


def test_coverage_counts_what_was_exercised() -> None:
    """Re-sets, evictions, wrapped rings, clears, misses, kinds of entries and environments."""
    spec = CacheSpec(env_num=2, init_pool_size=1, num_simulations=1)
    shadow = drive(
        "legacy-evicting",
        "refactored-lru",
        [
            Set(pool=init(0), key=1, value=entry(1.0)),
            Set(pool=init(0), key=1, value=entry(2.0)),
            Set(pool=init(0), key=2, value=entry(3.0)),
            Checkout(env=0, key=2),
            Checkout(env=0, key=9),
            Clear(pool=init(0)),
            Clear(pool=init(0)),
        ],
        spec,
    )
    coverage = shadow.coverage()
    assert coverage.families["init"] == Exercised(
        pools=2, used=1, wrapped=1, sets=3, resets=1, hits=1, misses=1,
        evictions={"reference": 1, "candidate": 1}, clears=1,
    )  # fmt: skip
    assert coverage.families["recur"].misses == 1
    assert (coverage.environments, coverage.environments_seen) == (2, 1)
    assert coverage.kinds == ["1 layer, [1, 2, 4, 3] float32"]
    assert coverage.working_copies == 2
    assert coverage.strategies["candidate"]["init"] == ["lru"]


def test_entries_of_another_kind_are_noticed() -> None:
    """Each change of shape or type, and each kind once."""
    small = KeysValues.from_row(torch.zeros(2, 1, 1, 2, 2), [1, 1])
    shadow = drive(
        "legacy-evicting",
        "refactored-fifo",
        [Set(pool=RECUR, key=key, value=value) for key, value in enumerate([entry(1.0), small, small, entry(2.0)])],
    )
    coverage = shadow.coverage()
    assert coverage.kind_changes == 2
    assert coverage.kinds == ["1 layer, [1, 2, 4, 3] float32", "1 layer, [1, 1, 2, 2] float32"]


def test_coverage_adds_up() -> None:
    """Counts are added, kinds and strategies collected."""
    one = Coverage(families={"init": Exercised(pools=1, sets=2)}, kinds=["a"], environments=1)
    two = Coverage(families={"init": Exercised(pools=1, sets=3), "wm": Exercised(pools=1)}, kinds=["b", "a"])
    one += two
    assert one.families["init"].sets == 5
    assert one.families["wm"].pools == 1
    assert one.kinds == ["a", "b"]


# ---------------------------------------------------------------------- provenance


def test_a_result_says_where_it_comes_from(tmp_path: Path) -> None:
    """The command to paste, versions, and a digest that changes with what went in."""
    file = tmp_path / "a b.kvtrace"
    file.write_bytes(b"one")
    first = provenance(["replay", str(file)], files=[file], caches=[("fifo", Exercised)])
    file.write_bytes(b"two")
    second = provenance(["replay", str(file)], files=[file], caches=[("fifo", Exercised)])
    assert first.command == f"kvparity replay '{file}'"
    assert first.versions["torch"] == torch.__version__
    assert first.inputs["file a b.kvtrace"] != second.inputs["file a b.kvtrace"]
    assert first.inputs["cache fifo"] == second.inputs["cache fifo"]


def test_what_cannot_be_read_has_no_digest(tmp_path: Path) -> None:
    """It is left out, never made up."""
    assert provenance([], files=[tmp_path / "none"], caches=[("builtin", len)]).inputs == {}


def test_evidence_survives_json() -> None:
    """Lists and texts, nothing that JSON turns into something else."""
    result = Comparison("fault:by-reference", "refactored-fifo").scenario(load_scenario("mcts"), seed=0, steps=2000)
    whole = result.as_dict()
    assert json.loads(json.dumps(whole)) == whole
    assert any(each["exhibit"]["heat"] for each in whole["kept"] if each["exhibit"])
