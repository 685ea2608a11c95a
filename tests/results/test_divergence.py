"""Divergences: severities, counts, and the differences that somebody has accepted."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from kvparity.errors import UsageError
from kvparity.results.divergence import (
    BEHAVIOUR,
    CORRUPTION,
    SEVERITIES,
    SIDES,
    Divergence,
    DivergenceLog,
    KnownDifference,
)

TODAY = dt.date(2026, 6, 30)
FIELDS = {"pattern": "*", "side": "any", "reason": "looked at"}


def divergence(kind: str = "presence", wrong: str = "reference", **fields: Any) -> Divergence:
    """One in recur."""
    return Divergence(
        **{
            "number": 7,
            "operation": "get",
            "pool": "recur",
            "key": 255,
            "kind": kind,
            "reference": "miss",
            "candidate": "hit",
            "wrong": wrong,
            "explanation": "slot 3 still named it as its owner",
            **fields,
        }
    )


def known(pattern: str = "*", side: str = "any", **fields: Any) -> KnownDifference:
    """One that accepts any behaviour, unless told otherwise."""
    return KnownDifference(pattern=pattern, side=side, reason="looked at", **fields)


def accepts(difference: KnownDifference, found: Divergence | None = None) -> bool:
    """Whether it accepts `found` today."""
    return difference.accepts(found or divergence(), TODAY)


# ---------------------------------------------------------------------- one divergence


@pytest.mark.parametrize(
    ("kind", "severity"),
    [
        ("stale_hit", CORRUPTION),
        ("value", CORRUPTION),
        ("shape", CORRUPTION),
        ("dtype", CORRUPTION),
        ("device", CORRUPTION),
        ("size", CORRUPTION),
        ("error", CORRUPTION),
        ("presence", BEHAVIOUR),
        ("stats", BEHAVIOUR),
    ],
)
def test_a_kind_has_a_severity(kind: str, severity: str) -> None:
    """Wrong tensors and exceptions are corruption, keys and counters are behaviour."""
    assert divergence(kind).severity == severity


def test_there_are_no_other_kinds() -> None:
    """The table above is whole."""
    assert len(SEVERITIES) == 9


def test_in_json_a_key_is_hexadecimal() -> None:
    """JSON numbers do not hold 64 bits, so keys are written as text."""
    fields = json.loads(json.dumps(divergence(key=2**64 - 1).as_dict()))
    assert fields["key"] == "0xffffffffffffffff"
    assert divergence(key=0).as_dict()["key"] == "0x0000000000000000"


def test_in_json_an_operation_without_key_has_none() -> None:
    """A clear has no key to show."""
    assert divergence(key=None).as_dict()["key"] is None


def test_the_json_of_a_divergence() -> None:
    """These fields and no others."""
    assert divergence(difference="the sizes do not match", known="looked at").as_dict() == {
        "number": 7,
        "operation": "get",
        "pool": "recur",
        "key": "0x00000000000000ff",
        "kind": "presence",
        "severity": "behaviour",
        "reference": "miss",
        "candidate": "hit",
        "wrong": "reference",
        "explanation": "slot 3 still named it as its owner",
        "difference": "the sizes do not match",
        "known": "looked at",
        "exhibit": None,
    }


# ---------------------------------------------------------------------- known differences


@pytest.mark.parametrize(
    ("pattern", "accepted"),
    [
        ("presence recur: *", True),
        ("presence *: *still named it*", True),
        ("presence recur: slot ? still named it as its owner", True),
        ("presence recur", False),
        ("presence wm: *", False),
        ("stats *", False),
        ("Presence *", False),
        ("", False),
    ],
)
def test_a_pattern_covers_kind_pool_and_explanation(pattern: str, accepted: bool) -> None:  # noqa: FBT001
    """A glob over the whole line `kind pool: explanation`, letter case included."""
    assert accepts(known(pattern)) is accepted


@pytest.mark.parametrize(
    ("pool", "accepted"), [("init[3]", True), ("init[30]", False), ("init3", False), ("recur", False)]
)
def test_a_pattern_names_an_environments_pool_as_reports_do(pool: str, accepted: bool) -> None:  # noqa: FBT001
    """Brackets stand for themselves, so that `init[3]` is that pool."""
    assert accepts(known("presence init[3]: *"), divergence(pool=pool)) is accepted


@pytest.mark.parametrize("wrong", SIDES)
def test_the_wrong_side_must_be_the_one_named(wrong: str) -> None:
    """A difference that is accepted of one side is accepted of no other."""
    assert [side for side in SIDES if accepts(known(side=side), divergence(wrong=wrong))] == [wrong]


@pytest.mark.parametrize("wrong", SIDES)
def test_any_side_is_every_side(wrong: str) -> None:
    """`any` asks not who is wrong."""
    assert accepts(known(side="any"), divergence(wrong=wrong))


@pytest.mark.parametrize(("days", "accepted"), [(-1, False), (0, True), (1, True)])
def test_a_difference_is_accepted_up_to_and_on_its_last_day(days: int, accepted: bool) -> None:  # noqa: FBT001
    """On the day of `until` it still is, on the next no more."""
    assert accepts(known(until=TODAY + dt.timedelta(days=days))) is accepted


@pytest.mark.parametrize("kind", [kind for kind, severity in SEVERITIES.items() if severity == CORRUPTION])
def test_corruption_is_accepted_only_where_that_is_said(kind: str) -> None:
    """A pattern that matches everything accepts no corruption by default."""
    assert not accepts(known(), divergence(kind))
    assert accepts(known(corruption=True), divergence(kind))


def test_a_reason_is_needed() -> None:
    """Whitespace is none."""
    with pytest.raises(
        UsageError, match=r"^known difference 'presence \*': the reason is empty: say why it is accepted$"
    ):
        KnownDifference(pattern="presence *", side="any", reason="  ")


def test_a_side_must_be_one_there_is() -> None:
    """The message lists them."""
    with pytest.raises(
        UsageError,
        match=r"^known difference: side 'left' is not one of reference, candidate, both, neither, unknown, any$",
    ):
        known(side="left")


def test_parses_every_field() -> None:
    """One table becomes one known difference."""
    fields = {**FIELDS, "until": TODAY, "corruption": True}
    assert KnownDifference.parse(fields) == known(until=TODAY, corruption=True)


@pytest.mark.parametrize("name", ["pattern", "side", "reason"])
def test_a_missing_field_is_named(name: str) -> None:
    """Three fields have no default."""
    with pytest.raises(UsageError, match=rf"^known difference: missing {name}$"):
        KnownDifference.parse({key: value for key, value in FIELDS.items() if key != name})


def test_all_missing_fields_are_named() -> None:
    """At once, so that one correction is enough."""
    with pytest.raises(UsageError, match=r"^known difference: missing pattern, side, reason$"):
        KnownDifference.parse({})


def test_an_unknown_field_is_named() -> None:
    """A field that is misspelled is not passed over."""
    with pytest.raises(
        UsageError,
        match=r"unknown field 'sides'; known fields: pattern, side, reason, until, corruption",
    ):
        KnownDifference.parse({**FIELDS, "sides": "any"})


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("pattern", 7, "a str, got 7"),
        ("side", ["any"], r"a str, got \['any'\]"),
        ("until", "2026-06-30", "a date, got '2026-06-30'"),
        ("corruption", 1, "a bool, got 1"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(name: str, value: Any, wanted: str) -> None:
    """The message says what was wanted and shows what there is."""
    with pytest.raises(UsageError, match=rf"^known difference: {name} must be {wanted}"):
        KnownDifference.parse({**FIELDS, name: value})


def test_a_last_moment_is_no_last_day() -> None:
    """A date with a time of day is refused when it is read, not when it is compared with a day."""
    noon = dt.datetime(2026, 6, 30, 12, tzinfo=dt.timezone.utc)
    with pytest.raises(UsageError, match=r"^known difference: until must be a date, got datetime\.datetime\("):
        KnownDifference.parse({**FIELDS, "until": noon})


# ---------------------------------------------------------------------- the log


def test_counts_by_kind_side_and_severity() -> None:
    """Each divergence is counted once in each way."""
    log = DivergenceLog(today=TODAY)
    for each in (divergence(), divergence(wrong="both"), divergence("stats"), divergence("size"), divergence("size")):
        log.add(each)
    assert log.total == 5
    assert log.by_kind == {"presence": 2, "stats": 1, "size": 2}
    assert log.by_side == {"reference": 4, "both": 1}
    assert log.by_group[("presence", "both")] == 1
    assert (log.count(CORRUPTION), log.count(BEHAVIOUR)) == (2, 3)
    assert log.unexpected == {CORRUPTION: 2, BEHAVIOUR: 3}


def test_what_is_known_is_counted_but_not_unexpected() -> None:
    """A known difference is marked with its reason and stays in every other count."""
    log = DivergenceLog([known("presence *")], today=TODAY)
    marked = log.add(divergence())
    assert marked == divergence(known="looked at")
    assert log.kept == [marked]
    assert (log.total, log.by_kind["presence"], log.count(BEHAVIOUR)) == (1, 1, 1)
    assert log.by_known == {"looked at": 1}
    assert not log.unexpected.total()


def test_what_no_known_difference_covers_is_unexpected() -> None:
    """Neither another kind nor an expired entry counts as known."""
    log = DivergenceLog([known("stats *"), known(until=TODAY - dt.timedelta(days=1))], today=TODAY)
    assert log.add(divergence()).known is None
    assert log.unexpected == {BEHAVIOUR: 1}
    assert not log.by_known


def test_the_first_known_difference_that_covers_it_counts() -> None:
    """A divergence is known for one reason."""
    broad = KnownDifference(pattern="*", side="any", reason="broad")
    log = DivergenceLog([known("presence *"), broad], today=TODAY)
    log.add(divergence())
    log.add(divergence())
    assert log.by_known == {"looked at": 2}


def test_without_a_day_the_present_one_counts() -> None:
    """What ended long ago is not accepted, and what ends in ages is."""
    assert DivergenceLog([known(until=dt.date(2000, 1, 1))]).add(divergence()).known is None
    assert DivergenceLog([known(until=dt.date(9999, 1, 1))]).add(divergence()).known == "looked at"


def test_keeps_a_bounded_number() -> None:
    """The first thousand are kept whole, all are counted, and the first of each kind and side is never lost."""
    log = DivergenceLog(today=TODAY)
    for number in range(1200):
        log.add(divergence(number=number))
    late = log.add(divergence("size", number=1200))
    assert [each.number for each in log.kept] == list(range(1000))
    assert log.total == 1201
    assert log.first == {("presence", "reference"): divergence(number=0), ("size", "reference"): late}


def test_asks_for_explanations_as_long_as_somebody_reads_them() -> None:
    """Beyond what is kept, only the first of a kind and side is explained, unless patterns have to be matched."""
    log = DivergenceLog(today=TODAY)
    for _ in range(999):
        log.add(divergence())
    assert log.wants_explanation("presence", "reference")
    log.add(divergence())
    assert not log.wants_explanation("presence", "reference")
    assert log.wants_explanation("presence", "candidate")
    log.known = (known(),)
    assert log.wants_explanation("presence", "reference")


def test_the_first_unexpected_divergence_is_kept_however_many_known_ones_came_before() -> None:
    """A failure can always show what it fails for."""
    log = DivergenceLog([known("*still named it*")], today=TODAY)
    for number in range(1001):
        log.add(divergence(number=number))
    unexpected = [log.add(divergence(number=number, explanation="never seen before")) for number in (2000, 2001)]
    assert log.kept[1000:] == unexpected[:1]
