"""`Options`: how a training is shadowed, for `attach` and for `kvparity shadow`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kvparity.errors import UsageError
from kvparity.training.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kvparity.caches.protocol import CacheFactory
    from kvparity.results.divergence import KnownDifference

ON_DIVERGENCE = ("record", "warn", "raise", "detach")
SERVE = ("reference", "candidate")
DEFAULT_REFERENCE = "lightzero"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a training is shadowed.

    Attributes:
        candidate: the cache under test: a name from `kvparity list`, `fault:NAME`, `package.module:attribute`, or a
            class or factory that is called with `(config, env_num)`.
        reference: what reports call the model's own caches.
        serve: whose answers the model gets, `reference` or `candidate`. The candidate's answer is served only if it is
            an entry of the right shape, type and device; otherwise the model gets its own caches' answer.
        on_divergence: what to do besides recording a divergence: `warn` at the first one of each kind, `record` for
            nothing more, `raise` DivergedError in the training, or `detach` the candidate. The last two ignore known
            differences.
        compare_every: compare only each N-th lookup. The candidate does all of them.
        limits: what the candidate may cost before it is taken out.
        known: differences that are accepted.

    Raises:
        UsageError: an option has a value that is not allowed.
    """

    candidate: str | CacheFactory
    reference: str = DEFAULT_REFERENCE
    serve: str = "reference"
    on_divergence: str = "warn"
    compare_every: int = 1
    limits: Limits = field(default_factory=Limits)
    known: Sequence[KnownDifference] = ()

    def __post_init__(self) -> None:
        _one_of("serve", self.serve, SERVE)
        _one_of("on_divergence", self.on_divergence, ON_DIVERGENCE)
        every = self.compare_every
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise UsageError(f"compare_every must be an integer of at least 1, got {every!r}")

    @property
    def at_once(self) -> bool:
        """Whether the candidate must do each operation before the model goes on."""
        return self.serve == "candidate" or self.on_divergence in ("raise", "detach")

    @property
    def names(self) -> tuple[str, str]:
        """The names of the reference and of the candidate in reports."""
        candidate = self.candidate
        return self.reference, candidate if isinstance(candidate, str) else getattr(candidate, "__name__", "candidate")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
