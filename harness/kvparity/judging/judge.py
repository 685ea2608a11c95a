"""Where two sides part: what kind of difference it is, who is wrong, and why."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from kvparity.caches.exceptions import describe_error, describe_failure, reraise_if_interrupt
from kvparity.caches.protocol import reports_drops
from kvparity.evidence.history import Exhibit, Moment, heat_of
from kvparity.judging import explain
from kvparity.operations import WM, Get, place_of, verb_of
from kvparity.results.divergence import Divergence, DivergenceLog
from kvparity.values.difference import Difference, Tolerance, compare
from kvparity.values.entry import read

if TYPE_CHECKING:
    from kvparity.evidence.history import Heat, History
    from kvparity.judging.oracle import IdealCache, Truth
    from kvparity.operations import Checkout, Operation, PoolId
    from kvparity.shadow.side import Outcome, Side

RIGHT, MISS, STALE, MOVED, UNKNOWN, RAISED = "right", "miss", "stale", "moved", "unknown", "raised"


class Lookup(NamedTuple):
    """A lookup on which the sides did not simply agree.

    Attributes:
        number: of the operation.
        operation: a `Get` or a `Checkout`.
        pools: where it looks, in that order.
        outcomes: what the reference and the candidate did.
        ideal: where the ideal of the reference's, and of the candidate's strategies finds the key.
    """

    number: int
    operation: Get | Checkout
    pools: tuple[PoolId, ...]
    outcomes: tuple[Outcome, Outcome]
    ideal: tuple[PoolId | None, PoolId | None]


class Finding(NamedTuple):
    """One side's answer, held against the truth.

    Attributes:
        verdict: `right`, `miss`, `stale` (wrong bytes), `moved` (right bytes on another device), `unknown` (no truth
            is known for the key) or `raised`.
        source: the pool whose last set value it is.
    """

    verdict: str
    source: PoolId | None = None


class Judge:
    """Turns disagreements of two sides into divergences.

    Args:
        sides: the reference and the candidate.
        truth: what was last set under each key.
        ideals: what the strategies of each should hold.
        log: takes the divergences.
        tolerance: how far a candidate's numbers may lie from right ones.
        history: of keys, for those who want to see how a divergence came about; None where it is not kept.
    """

    def __init__(
        self,
        sides: tuple[Side, Side],
        *,
        truth: Truth,
        ideals: tuple[IdealCache, IdealCache],
        log: DivergenceLog,
        tolerance: Tolerance | None,
        history: History | None = None,
    ) -> None:
        self.sides = sides
        self._truth = truth
        self._ideals = ideals
        self._log = log
        self._tolerance = tolerance
        self._history = history
        self._stats_told: set[tuple[str, PoolId, str]] = set()
        self.both_raised = 0

    def lookup(self, lookup: Lookup) -> None:
        """Judge one lookup."""
        findings = [
            self._finding(lookup, outcome, ideal) for outcome, ideal in zip(lookup.outcomes, lookup.ideal, strict=True)
        ]
        mine, its = findings
        difference = self._difference(lookup)
        if its.verdict == STALE and self._tolerance is not None:
            its = findings[1] = self._within_tolerance(lookup, findings)
        self._count(lookup, findings)
        if RAISED in (mine.verdict, its.verdict):
            self.errors(lookup.number, lookup.operation, *(outcome.error for outcome in lookup.outcomes))
        if {mine.verdict, its.verdict} & {STALE, MOVED}:
            self._wrong_bytes(lookup, findings, difference)
        elif RAISED in (mine.verdict, its.verdict):
            return
        elif UNKNOWN in (mine.verdict, its.verdict):
            self._untold(lookup, findings, difference)
        elif (mine.verdict == MISS) != (its.verdict == MISS) or mine.source != its.source:
            self._presence(lookup, findings)

    def errors(self, number: int, operation: Operation, mine: BaseException | None, its: BaseException | None) -> None:
        """Judge an operation in which at least one side raised; both raising the same type is agreement."""
        if type(mine) is type(its):
            self.both_raised += 1
            return
        raised = [side for side, error in zip(self.sides, (mine, its), strict=True) if error is not None]
        wrong = raised[0].role if len(raised) == 1 else "both"
        pool, key = place_of(operation)
        self._log.add(
            Divergence(
                number=number,
                operation=verb_of(operation),
                pool=pool,
                key=key,
                kind="error",
                reference=_raised(mine),
                candidate=_raised(its),
                wrong=wrong,
                explanation=explain.raised(
                    [(side.name, error) for side, error in zip(self.sides, (mine, its), strict=True)]
                ),
                exhibit=self._exhibit("error", wrong, key),
            )
        )

    def working_copy(self, number: int, env: int, key: int, env_num: int) -> None:
        """The candidate's working copy lent at operation `number` did not stay its consumer's."""
        self._changed(
            number,
            "checkout",
            WM,
            key,
            f"the working copy that {self.sides[1].name} lent to env {env} changed while"
            f" it was the consumer's, which it is for {env_num} checkouts",
        )

    def loan(self, number: int, pool: PoolId, key: int) -> None:
        """What the candidate lent at operation `number` did not stay as it was."""
        self._changed(
            number, "get", pool, key, f"what {self.sides[1].name} lent changed before the next set or clear of {pool}"
        )

    def source(self, number: int, pool: PoolId, key: int) -> None:
        """The candidate wrote into what it was to copy."""
        self._changed(number, "set", pool, key, f"{self.sides[1].name} wrote into the value that it was given to copy")

    def stats(self, number: int) -> None:
        """Hold what each side says that it counted against what was seen of it. Each disagreement is told once."""
        for side, ideal in zip(self.sides, self._ideals, strict=True):
            for pool, seen in side.seen.items():
                if pool.family == "wm":
                    continue  # how often it is asked depends on how a cache makes its working copies
                possible = {"length": range(side.spec.slots(pool) + 1)}
                if pool not in side.lost_track:
                    possible |= {"hits": _only(seen.hits), "misses": _only(seen.misses)}
                if pool not in side.deviated:
                    perfect = ideal.pools[pool]
                    possible |= {"evictions": _only(perfect.evictions), "length": _only(len(perfect))}
                try:
                    stats = side.stats(pool)
                    counted = {name: getattr(stats, name) for name in possible}
                    wrong = [name for name, right in possible.items() if not _may_be(counted[name], right)]
                except BaseException as error:  # noqa: BLE001  observing whatever a cache does is the point
                    raised = _raised(reraise_if_interrupt(error))
                    self._disagrees(number, side, pool, name="stats", counted=raised, right="an answer is right")
                    continue
                for name in wrong:
                    self._disagrees(
                        number, side, pool, name=name, counted=str(counted[name]), right=_in_words(possible[name])
                    )

    # ------------------------------------------------------------------ inside

    def _changed(self, number: int, operation: str, pool: PoolId, key: int, explanation: str) -> None:
        self._log.add(
            Divergence(
                number=number,
                operation=operation,
                pool=str(pool),
                key=key,
                kind="stale_hit",
                reference="not looked at",
                candidate="changed",
                wrong="candidate",
                explanation=explanation,
                exhibit=self._exhibit("stale_hit", "candidate", key),
            )
        )

    def _finding(self, lookup: Lookup, outcome: Outcome, ideal: PoolId | None) -> Finding:
        if outcome.error is not None:
            return Finding(RAISED)
        if outcome.fingerprint is None:
            return Finding(MISS)
        key = lookup.operation.key
        pools = sorted(lookup.pools, key=lambda pool: pool != ideal)  # where it should be comes first
        for pool in pools:
            last = self._truth.pools[pool].last_set.get(key)
            if last is not None and last.fingerprint == outcome.fingerprint:
                return Finding(RIGHT if outcome.device == last.device else MOVED, pool)
        known = [key in self._truth.pools[pool].last_set or self._truth.pools[pool].complete for pool in lookup.pools]
        return Finding(STALE if all(known) else UNKNOWN)

    def _difference(self, lookup: Lookup) -> Difference | None:
        mine, its = lookup.outcomes
        hits = mine.fingerprint is not None and its.fingerprint is not None
        alike = mine.fingerprint == its.fingerprint and mine.device == its.device is not None
        return _compared(mine, its) if hits and not alike else None

    def _within_tolerance(self, lookup: Lookup, findings: list[Finding]) -> Finding:
        """What to think of a candidate's other bytes: the numbers that were set are only known from a right answer."""
        mine, its = lookup.outcomes
        reference, candidate = findings
        if reference.verdict == RIGHT:
            return reference if _compared(mine, its, tolerance=self._tolerance) is None else candidate
        key, ideal = lookup.operation.key, lookup.ideal[1]
        held = [pool for pool in lookup.pools if key in self._truth.pools[pool].last_set]
        if not held or mine.fingerprint == its.fingerprint:
            return candidate
        return Finding(RIGHT, ideal if ideal in held else held[0])

    def _count(self, lookup: Lookup, findings: list[Finding]) -> None:
        for side, finding, ideal in zip(self.sides, findings, lookup.ideal, strict=True):
            told = finding.verdict in (RIGHT, MISS, MOVED)
            if isinstance(lookup.operation, Get):
                pool = lookup.operation.pool
                if finding.verdict != RAISED:
                    side.saw(pool, hit=finding.verdict != MISS)
            elif told:
                side.saw_checkout(lookup.operation.env, finding.source)
            if not told:
                side.lost_track.update(lookup.pools)
            if not told or finding.source != ideal:
                side.deviated.update(lookup.pools)

    def _wrong_bytes(self, lookup: Lookup, findings: list[Finding], difference: Difference | None) -> None:
        wrong = [side for side, found in zip(self.sides, findings, strict=True) if found.verdict in (STALE, MOVED)]
        kind = "stale_hit"
        if len(wrong) == 1 and difference is not None and difference.kind in ("shape", "dtype", "device"):
            kind = difference.kind
        elif len(wrong) == 1 and difference is not None and difference.kind == "size" and self._same_tensors(lookup):
            kind = "size"
        elif all(found.verdict == MOVED for found in findings if found.verdict in (STALE, MOVED)):
            kind = "device"
        role = wrong[0].role if len(wrong) == 1 else "both"
        explanation = ""
        if self._log.wants_explanation(kind, role):
            explanation = "; ".join(
                explain.wrong_bytes(side, self._truth, lookup.pools, lookup.operation.key, outcome.fingerprint)
                if found.verdict == STALE
                else f"{side.name} returned the right bytes on {outcome.device or 'several devices'},"
                " where they were not set"
                for side, outcome, found in zip(self.sides, lookup.outcomes, findings, strict=True)
                if found.verdict in (STALE, MOVED)
            )
        self._report(lookup, kind=kind, wrong=role, explanation=explanation, difference=difference)

    def _same_tensors(self, lookup: Lookup) -> bool:
        return _compared(*lookup.outcomes, sizes=False) is None

    def _untold(self, lookup: Lookup, findings: list[Finding], difference: Difference | None) -> None:
        """The sides differ, or not, over a key of which nobody knows what is right."""
        if difference is not None:
            kind, what = difference.kind, "both sides hit and differ"
        elif MISS in [finding.verdict for finding in findings]:
            kind, what = "presence", "only one side holds it"
        else:
            return
        explanation = f"{what}; the key was set before the first operation that was seen, or too long ago to be known"
        self._report(lookup, kind=kind, wrong="unknown", explanation=explanation, difference=difference)

    def _presence(self, lookup: Lookup, findings: list[Finding]) -> None:
        """One side found the key where the other did not."""
        mine, its = findings
        pool = next(pool for pool in lookup.pools if (mine.source == pool) != (its.source == pool))
        strayed = [
            side.role
            for side, found, ideal in zip(self.sides, findings, lookup.ideal, strict=True)
            if (found.source == pool) != (ideal == pool)
        ]
        wrong = "both" if len(strayed) > 1 else strayed[0] if strayed else "neither"
        explanation = ""
        if self._log.wants_explanation("presence", wrong):
            explanation = explain.presence(
                [
                    explain.Whereabouts(side=side, ideal=ideal.pools[pool], holds=found.source == pool)
                    for side, ideal, found in zip(self.sides, self._ideals, findings, strict=True)
                ],
                self._truth.pools[pool],
                pool,
                lookup.operation.key,
            )
        self._report(lookup, kind="presence", wrong=wrong, explanation=explanation, difference=None, pool=pool)

    def _report(
        self,
        lookup: Lookup,
        *,
        kind: str,
        wrong: str,
        explanation: str,
        difference: Difference | None,
        pool: PoolId | None = None,
    ) -> None:
        mine, its = lookup.outcomes
        self._log.add(
            Divergence(
                number=lookup.number,
                operation=verb_of(lookup.operation),
                pool=str(pool) if pool else ", ".join(str(each) for each in lookup.pools),
                key=lookup.operation.key,
                kind=kind,
                reference=str(mine),
                candidate=str(its),
                wrong=wrong,
                explanation=explanation,
                difference=str(difference or ""),
                exhibit=self._exhibit(kind, wrong, lookup.operation.key, None if difference is None else lookup),
            )
        )

    def _exhibit(self, kind: str, wrong: str, key: int | None, lookup: Lookup | None = None) -> Exhibit | None:
        """What shows how the divergence came about, where it is one of the first of its kind and side."""
        if self._history is None or not self._log.wants_exhibit(kind, wrong):
            return None
        history, earlier, complete = self._history.of(key)
        history = tuple(sorted((*history, *self._ideal_drops(key)), key=lambda moment: moment.number))
        heat: Heat = ()
        if lookup is not None:
            with suppress(Exception):  # tensors in which torch cannot take differences show none
                mine, its = (read(outcome.value)[0] for outcome in lookup.outcomes)
                heat = heat_of(mine, its)
        return Exhibit(history=history, earlier=earlier, complete=complete, heat=heat)

    def _ideal_drops(self, key: int | None) -> list[Moment]:
        """When the ideals of sides that do not say so themselves dropped `key` last."""
        drops: dict[tuple[int, PoolId], list[str]] = {}
        for index, (side, ideal) in enumerate(zip(self.sides, self._ideals, strict=True)):
            if key is None or reports_drops(side.cache):
                continue
            for pool, held in ideal.pools.items():
                removal = held.evicted.get(key)
                if removal is not None:
                    both = drops.setdefault((removal.number, pool), ["", ""])
                    both[index] = f"{side.strategy(pool)} would drop it here"
        return [Moment(number, "drop", str(pool), *both) for (number, pool), both in drops.items()]

    def _disagrees(self, number: int, side: Side, pool: PoolId, *, name: str, counted: str, right: str) -> None:
        if (side.role, pool, name) in self._stats_told:
            return
        self._stats_told.add((side.role, pool, name))
        says = f"{name} {counted}"
        self._log.add(
            Divergence(
                number=number,
                operation="stats",
                pool=str(pool),
                key=None,
                kind="stats",
                reference=says if side is self.sides[0] else "",
                candidate=says if side is self.sides[1] else "",
                wrong=side.role,
                explanation=f"{side.name} says {says} for {pool}, where {right}",
            )
        )


def _compared(mine: Outcome, its: Outcome, **options: Any) -> Difference | None:
    """In what two answers differ; one may be of a class of its own, whose code may do anything by now."""
    try:
        return compare(mine.value, its.value, **options)
    except BaseException as error:  # noqa: BLE001  observing whatever a cache does is the point
        return Difference(
            kind="value", where="", message=f"they cannot be compared: {describe_error(reraise_if_interrupt(error))}"
        )


def _raised(error: BaseException | None) -> str:
    return "did not raise" if error is None else describe_failure(error)


def _only(number: int) -> range:
    return range(number, number + 1)


def _may_be(counted: Any, possible: range) -> bool:
    """Whether a side may have counted that; it need not count."""
    return counted is None or counted in possible


def _in_words(possible: range) -> str:
    return f"{possible[0]} is right" if len(possible) == 1 else f"{possible[0]} to {possible[-1]} are possible"
