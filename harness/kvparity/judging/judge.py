"""Where two sides part: what kind of difference it is, who is wrong, and why.

The judge takes records of what was done and seen. It never calls a cache.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from kvparity.caches.exceptions import describe_error, describe_failure, reraise_if_interrupt
from kvparity.evidence.history import Exhibit, Moment, heat_of
from kvparity.judging import explain
from kvparity.operations import WM, Get, place_of, verb_of
from kvparity.results.divergence import Divergence, DivergenceLog
from kvparity.values.difference import Difference, Tolerance, compare
from kvparity.values.entry import read

if TYPE_CHECKING:
    from kvparity.evidence.history import Heat, History
    from kvparity.judging.oracle import IdealCache, Truth
    from kvparity.judging.outcome import Outcome
    from kvparity.judging.side_record import SideRecord
    from kvparity.operations import Checkout, Operation, PoolId

RIGHT, MISS, STALE, MOVED, UNKNOWN, RAISED = "right", "miss", "stale", "moved", "unknown", "raised"


class Lookup(NamedTuple):
    """A lookup on which the sides did not simply agree.

    Attributes:
        number: of the operation.
        operation: a `Get` or a `Checkout`.
        pools: where it looks, in that order.
        outcomes: of the reference and of the candidate.
        ideal: the pool in which the ideal of the reference's strategies finds the key, and that of the candidate's.
    """

    number: int
    operation: Get | Checkout
    pools: tuple[PoolId, ...]
    outcomes: tuple[Outcome, Outcome]
    ideal: tuple[PoolId | None, PoolId | None]


class AnswerCheck(NamedTuple):
    """One side's answer, compared with the truth.

    Attributes:
        status: `right`, `miss`, `stale` (wrong bytes), `moved` (right bytes on another device), `unknown` (nobody knows
            what is right for this key) or `raised`.
        source: the pool whose last set value it is.
    """

    status: str
    source: PoolId | None = None


class Judge:
    """Turns disagreements of two sides into divergences.

    Args:
        records: of the reference and of the candidate.
        truth: what was last set under each key.
        ideals: what the strategies of each side should hold.
        log: takes the divergences.
        tolerance: how far a candidate's numbers may differ from the right ones; None asks for equal bits.
        history: of keys, to show how a divergence came about; None where it is not kept.

    Attributes:
        both_raised: operations in which both sides raised the same type of exception.
    """

    def __init__(
        self,
        records: tuple[SideRecord, SideRecord],
        *,
        truth: Truth,
        ideals: tuple[IdealCache, IdealCache],
        log: DivergenceLog,
        tolerance: Tolerance | None,
        history: History | None = None,
    ) -> None:
        self.both_raised = 0
        self._records = records
        self._truth = truth
        self._ideals = ideals
        self._log = log
        self._tolerance = tolerance
        self._history = history

    def lookup(self, lookup: Lookup) -> None:
        """Judge one lookup."""
        checks = [
            self._check(lookup, outcome, ideal) for outcome, ideal in zip(lookup.outcomes, lookup.ideal, strict=True)
        ]
        difference = self._difference(lookup)
        if checks[1].status == STALE and self._tolerance is not None:
            checks[1] = self._within_tolerance(lookup, checks)
        self._count(lookup, checks)
        reference, candidate = checks
        statuses = {reference.status, candidate.status}
        if RAISED in statuses:
            self.errors(lookup.number, lookup.operation, *(outcome.error for outcome in lookup.outcomes))
        if statuses & {STALE, MOVED}:
            self._wrong_bytes(lookup, checks, difference)
        elif RAISED in statuses:
            return
        elif UNKNOWN in statuses:
            self._without_truth(lookup, statuses, difference)
        elif (reference.status == MISS) != (candidate.status == MISS) or reference.source != candidate.source:
            self._presence(lookup, checks)

    def errors(
        self,
        number: int,
        operation: Operation,
        reference: BaseException | None,
        candidate: BaseException | None,
    ) -> None:
        """Judge an operation in which at least one side raised; both raising the same type is agreement."""
        if type(reference) is type(candidate):
            self.both_raised += 1
            return
        errors = [
            (record, error)
            for record, error in zip(self._records, (reference, candidate), strict=True)
            if error is not None
        ]
        wrong = errors[0][0].role if len(errors) == 1 else "both"
        pool, key = place_of(operation)
        self._log.add(
            Divergence(
                number=number,
                operation=verb_of(operation),
                pool=pool,
                key=key,
                kind="error",
                reference=_describe(reference),
                candidate=_describe(candidate),
                wrong=wrong,
                explanation="; ".join(f"{record.name} {describe_failure(error)}" for record, error in errors),
                exhibit=self._exhibit("error", wrong, key),
            )
        )

    def working_copy_changed(self, number: int, env: int, key: int, env_num: int) -> None:
        """The working copy that the candidate lent at operation `number` changed while its consumer owned it."""
        explanation = (
            f"the working copy that {self._candidate} lent to env {env} changed while the consumer owned it;"
            f" the consumer owns it until {env_num} more checkouts have been made"
        )
        self._changed(number, "checkout", WM, key, explanation)

    def loan_changed(self, number: int, pool: PoolId, key: int) -> None:
        """What the candidate lent at operation `number` changed before the loan ended."""
        explanation = f"the value that {self._candidate} lent changed before the next set or clear of {pool}"
        self._changed(number, "get", pool, key, explanation)

    def source_changed(self, number: int, pool: PoolId, key: int) -> None:
        """The candidate wrote into the value that it was given to copy."""
        self._changed(number, "set", pool, key, f"{self._candidate} wrote into the value that it was given to copy")

    def source_changed_late(self, number: int, pool: PoolId, key: int) -> None:
        """The candidate wrote into the value of operation `number`, which it was given to copy, after that set."""
        explanation = (
            f"{self._candidate} wrote into the value that it was given to copy, after the set and before the next one"
        )
        self._changed(number, "set", pool, key, explanation)

    def write_lost(self, number: int, env: int, key: int, where: str) -> None:
        """A working copy of the candidate does not hold what its consumer wrote into it, or holds more than that."""
        explanation = (
            f"the consumer wrote a token into {where} of the working copy that {self._candidate} lent to env {env};"
            " read again, that token is missing, or more than that token changed"
        )
        self._changed(number, "checkout", WM, key, explanation)

    # ------------------------------------------------------------------ inside

    @property
    def _candidate(self) -> str:
        return self._records[1].name

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

    def _check(self, lookup: Lookup, outcome: Outcome, ideal: PoolId | None) -> AnswerCheck:
        if outcome.error is not None:
            return AnswerCheck(RAISED)
        if outcome.fingerprint is None:
            return AnswerCheck(MISS)
        key = lookup.operation.key
        pools = sorted(lookup.pools, key=lambda pool: pool != ideal)  # the pool where it should be comes first
        for pool in pools:
            last = self._truth.pools[pool].last_set.get(key)
            if last is not None and last.fingerprint == outcome.fingerprint:
                return AnswerCheck(RIGHT if outcome.device == last.device else MOVED, pool)
        known = [key in self._truth.pools[pool].last_set or self._truth.pools[pool].complete for pool in lookup.pools]
        return AnswerCheck(STALE if all(known) else UNKNOWN)

    def _difference(self, lookup: Lookup) -> Difference | None:
        reference, candidate = lookup.outcomes
        hits = reference.fingerprint is not None and candidate.fingerprint is not None
        alike = reference.fingerprint == candidate.fingerprint and reference.device == candidate.device is not None
        return _compared(reference, candidate) if hits and not alike else None

    def _within_tolerance(self, lookup: Lookup, checks: list[AnswerCheck]) -> AnswerCheck:
        """The check of a candidate's other bytes: which numbers were set is only known from a right answer."""
        reference, candidate = checks
        if reference.status == RIGHT:
            difference = _compared(*lookup.outcomes, tolerance=self._tolerance)
            return reference if difference is None else candidate
        key, ideal = lookup.operation.key, lookup.ideal[1]
        held = [pool for pool in lookup.pools if key in self._truth.pools[pool].last_set]
        if not held or lookup.outcomes[0].fingerprint == lookup.outcomes[1].fingerprint:
            return candidate
        return AnswerCheck(RIGHT, ideal if ideal in held else held[0])

    def _count(self, lookup: Lookup, checks: list[AnswerCheck]) -> None:
        for record, check, ideal in zip(self._records, checks, lookup.ideal, strict=True):
            known = check.status in (RIGHT, MISS, MOVED)
            if isinstance(lookup.operation, Get):
                if check.status != RAISED:
                    record.count_get(lookup.operation.pool, hit=check.status != MISS)
            elif known:
                record.count_checkout(lookup.operation.env, check.source)
            if not known:
                record.lost_track.update(lookup.pools)
            if not known or check.source != ideal:
                record.deviated.update(lookup.pools)

    def _wrong_bytes(self, lookup: Lookup, checks: list[AnswerCheck], difference: Difference | None) -> None:
        wrong = [
            (record, outcome, check)
            for record, outcome, check in zip(self._records, lookup.outcomes, checks, strict=True)
            if check.status in (STALE, MOVED)
        ]
        kind = "stale_hit"
        if len(wrong) == 1 and difference is not None and difference.kind in ("shape", "dtype", "device"):
            kind = difference.kind
        elif len(wrong) == 1 and difference is not None and difference.kind == "size" and _same_tensors(lookup):
            kind = "size"
        elif all(check.status == MOVED for _, _, check in wrong):
            kind = "device"
        role = wrong[0][0].role if len(wrong) == 1 else "both"
        explanation = ""
        if self._log.wants_explanation(kind, role):
            explanation = "; ".join(
                explain.wrong_bytes(record, self._truth, lookup.pools, lookup.operation.key, outcome.fingerprint)
                if check.status == STALE
                else explain.wrong_device(record, outcome.device)
                for record, outcome, check in wrong
            )
        self._report(lookup, kind=kind, wrong=role, explanation=explanation, difference=difference)

    def _without_truth(self, lookup: Lookup, statuses: set[str], difference: Difference | None) -> None:
        """Nobody knows what is right for this key; the sides may still differ."""
        if difference is not None:
            kind, what = difference.kind, "both caches hit and returned different values"
        elif MISS in statuses:
            kind, what = "presence", "only one cache has the key"
        else:
            return
        self._report(
            lookup, kind=kind, wrong="unknown", explanation=f"{what}; {explain.NO_TRUTH}", difference=difference
        )

    def _presence(self, lookup: Lookup, checks: list[AnswerCheck]) -> None:
        """One side found the key where the other did not."""
        reference, candidate = checks
        pool = next(pool for pool in lookup.pools if (reference.source == pool) != (candidate.source == pool))
        strayed = [
            record.role
            for record, check, ideal in zip(self._records, checks, lookup.ideal, strict=True)
            if (check.source == pool) != (ideal == pool)
        ]
        wrong = "both" if len(strayed) > 1 else strayed[0] if strayed else "neither"
        explanation = ""
        if self._log.wants_explanation("presence", wrong):
            explanation = explain.presence(
                [
                    explain.Whereabouts(record=record, ideal=ideal.pools[pool], holds=check.source == pool)
                    for record, ideal, check in zip(self._records, self._ideals, checks, strict=True)
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
        reference, candidate = lookup.outcomes
        self._log.add(
            Divergence(
                number=lookup.number,
                operation=verb_of(lookup.operation),
                pool=str(pool) if pool else ", ".join(str(each) for each in lookup.pools),
                key=lookup.operation.key,
                kind=kind,
                reference=str(reference),
                candidate=str(candidate),
                wrong=wrong,
                explanation=explanation,
                difference=str(difference or ""),
                exhibit=self._exhibit(kind, wrong, lookup.operation.key, None if difference is None else lookup),
            )
        )

    def _exhibit(self, kind: str, wrong: str, key: int | None, lookup: Lookup | None = None) -> Exhibit | None:
        """What shows how the divergence came about, for the first ones of each kind and side."""
        if self._history is None or not self._log.wants_exhibit(kind, wrong):
            return None
        history, earlier, complete = self._history.of(key)
        history = tuple(sorted((*history, *self._ideal_drops(key)), key=lambda moment: moment.number))
        heat: Heat = ()
        if lookup is not None:
            with suppress(Exception):  # there is no map of tensors that torch cannot subtract
                reference, candidate = (read(outcome.value)[0] for outcome in lookup.outcomes)
                heat = heat_of(reference, candidate)
        return Exhibit(history=history, earlier=earlier, complete=complete, heat=heat)

    def _ideal_drops(self, key: int | None) -> list[Moment]:
        """When the ideals of sides that do not report drops themselves dropped `key` last."""
        drops: dict[tuple[int, PoolId], list[str]] = {}
        for index, (record, ideal) in enumerate(zip(self._records, self._ideals, strict=True)):
            if key is None or record.reports_drops:
                continue
            for pool, held in ideal.pools.items():
                removal = held.evicted.get(key)
                if removal is not None:
                    words = drops.setdefault((removal.number, pool), ["", ""])
                    words[index] = f"{record.strategies[pool]} would drop it here"
        return [Moment(number, "drop", str(pool), *words) for (number, pool), words in drops.items()]


def _compared(reference: Outcome, candidate: Outcome, **options: Any) -> Difference | None:
    """The first difference of two answers; one may be of a class of its own, whose code can do anything."""
    try:
        return compare(reference.value, candidate.value, **options)
    except BaseException as error:  # noqa: BLE001  an answer that cannot be compared is a finding
        return Difference(
            kind="value", where="", message=f"they cannot be compared: {describe_error(reraise_if_interrupt(error))}"
        )


def _same_tensors(lookup: Lookup) -> bool:
    return _compared(*lookup.outcomes, sizes=False) is None


def _describe(error: BaseException | None) -> str:
    return "did not raise" if error is None else describe_failure(error)
