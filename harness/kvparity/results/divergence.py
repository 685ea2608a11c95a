"""`Divergence`: one point where two caches differ; kinds and severities; differences that are known and accepted."""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections import Counter
from dataclasses import asdict, dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

from kvparity.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kvparity.evidence.history import Exhibit

CORRUPTION = "corruption"
BEHAVIOUR = "behaviour"

SEVERITIES = {
    "stale_hit": CORRUPTION,
    "value": CORRUPTION,
    "shape": CORRUPTION,
    "dtype": CORRUPTION,
    "device": CORRUPTION,
    "size": CORRUPTION,
    "error": CORRUPTION,
    "presence": BEHAVIOUR,
    "stats": BEHAVIOUR,
}
SIDES = ("reference", "candidate", "both", "neither", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """One point where the two sides differ, or where both are wrong in the same way.

    Attributes:
        number: of the operation, from 0.
        operation: `get`, `checkout`, `set`, `clear` or `stats`.
        pool: `init[3]`, `recur`, `wm`; for a checkout, the pools in which it looks.
        key: the key; None if the operation has none.
        kind: see `SEVERITIES`.
        reference: what the reference did, in words: `hit`, `miss`, `raised TypeError: ...`.
        candidate: what the candidate did.
        wrong: who is wrong, one of `SIDES`; `neither` if both follow their own declared strategies.
        explanation: why, in one sentence.
        difference: of the tensors, in the words of `torch.testing`; empty if there is none to show.
        known: the reason why this difference is accepted; None if it is unexpected.
        exhibit: what shows how it came about; None if that was not kept.
    """

    number: int
    operation: str
    pool: str
    key: int | None
    kind: str
    reference: str
    candidate: str
    wrong: str
    explanation: str
    difference: str = ""
    known: str | None = None
    exhibit: Exhibit | None = None

    @property
    def severity(self) -> str:
        """`corruption` or `behaviour`."""
        return SEVERITIES[self.kind]

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the key in hexadecimal, because JSON numbers do not hold 64 bits."""
        key = None if self.key is None else f"{self.key:#018x}"
        exhibit = None if self.exhibit is None else self.exhibit.as_dict()
        return {**asdict(self), "key": key, "exhibit": exhibit, "severity": self.severity}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDifference:
    """A difference that somebody looked at and accepts. It is still counted and reported, and never called a match.

    Attributes:
        pattern: a glob over `kind pool: explanation`, such as `presence init[3]: *still named this key as its owner*`.
            `*` and `?` stand for anything, brackets for themselves.
        side: who must be wrong, one of `SIDES`, or `any`.
        reason: why it is accepted.
        until: the last day on which it is accepted; None for no end.
        corruption: accept corruption, too; otherwise it never is.

    Raises:
        UsageError: `side` is unknown, or `reason` is empty.
    """

    pattern: str
    side: str
    reason: str
    until: dt.date | None = None
    corruption: bool = False

    def __post_init__(self) -> None:
        if self.side not in (*SIDES, "any"):
            raise UsageError(f"known difference: side {self.side!r} is not one of {', '.join((*SIDES, 'any'))}")
        if not self.reason.strip():
            raise UsageError(f"known difference {self.pattern!r}: the reason is empty: say why it is accepted")

    def accepts(self, divergence: Divergence, today: dt.date) -> bool:
        """Whether this accepts `divergence` today."""
        line = f"{divergence.kind} {divergence.pool}: {divergence.explanation}"
        return (
            (divergence.severity == BEHAVIOUR or self.corruption)
            and self.side in (divergence.wrong, "any")
            and (self.until is None or today <= self.until)
            and fnmatch.fnmatchcase(line, self.pattern.replace("[", "[[]"))  # pools are written with brackets
        )

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> KnownDifference:
        """Parse one `[[known]]` table of `kvparity.toml`.

        Raises:
            UsageError: a field is missing, unknown or of the wrong type.
        """
        types = {"pattern": str, "side": str, "reason": str, "until": dt.date, "corruption": bool}
        for name, value in fields.items():
            if name not in types:
                raise UsageError(f"known difference: unknown field {name!r}; known fields: {', '.join(types)}")
            if type(value) is not types[name]:  # not isinstance: a datetime is a date
                raise UsageError(f"known difference: {name} must be a {types[name].__name__}, got {value!r}")
        missing = [name for name in ("pattern", "side", "reason") if name not in fields]
        if missing:
            raise UsageError(f"known difference: missing {', '.join(missing)}")
        return cls(**fields)


class DivergenceLog:
    """Counts all divergences. Keeps the first of each kind and side, the first thousand, and the first unexpected one.

    Args:
        known: the differences that are accepted.
        today: the date that their `until` is compared with; None for today.

    Attributes:
        lock: each shadow that writes to the log holds it during an operation.
        total: divergences.
        unexpected: by severity, those that are not known.
        by_kind: by kind.
        by_side: by who is wrong.
        by_known: known ones, by the reason.
        by_group: by kind and who is wrong.
        first: the first of each group.
        kept: those that are kept.
    """

    KEPT = 1000
    EXHIBITED = 25

    def __init__(self, known: Sequence[KnownDifference] = (), *, today: dt.date | None = None) -> None:
        self.known = tuple(known)
        self.today = today or dt.datetime.now(tz=dt.timezone.utc).date()
        self.lock = RLock()
        self.total = 0
        self.unexpected: Counter[str] = Counter()
        self.by_kind: Counter[str] = Counter()
        self.by_side: Counter[str] = Counter()
        self.by_known: Counter[str] = Counter()
        self.by_group: Counter[tuple[str, str]] = Counter()
        self.first: dict[tuple[str, str], Divergence] = {}
        self.kept: list[Divergence] = []

    def wants_explanation(self, kind: str, wrong: str) -> bool:
        """Whether the next divergence of that kind and side needs an explanation: it is kept, or may be known."""
        return bool(self.known) or len(self.kept) < self.KEPT or (kind, wrong) not in self.first

    def wants_exhibit(self, kind: str, wrong: str) -> bool:
        """Whether the next divergence of that kind and side is one of the first, which are kept with an exhibit."""
        return self.by_group[kind, wrong] < self.EXHIBITED

    def add(self, divergence: Divergence) -> Divergence:
        """Count `divergence` and return it; if it is known, with the reason."""
        for known in self.known:
            if known.accepts(divergence, self.today):
                divergence = _marked(divergence, known.reason)
                self.by_known[known.reason] += 1
                break
        else:
            self.unexpected[divergence.severity] += 1
        self.total += 1
        self.by_kind[divergence.kind] += 1
        self.by_side[divergence.wrong] += 1
        group = (divergence.kind, divergence.wrong)
        self.by_group[group] += 1
        self.first.setdefault(group, divergence)
        first_unexpected = divergence.known is None and self.unexpected.total() == 1
        if len(self.kept) < self.KEPT or first_unexpected:
            self.kept.append(divergence)
        return divergence

    def count(self, severity: str) -> int:
        """Divergences of that severity, including known ones."""
        return sum(count for kind, count in self.by_kind.items() if SEVERITIES[kind] == severity)


def _marked(divergence: Divergence, reason: str) -> Divergence:
    fields = {name: getattr(divergence, name) for name in divergence.__slots__}
    return Divergence(**{**fields, "known": reason})
