"""`Limits`: what a candidate may cost a training before it is taken out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kvparity.errors import UsageError
from kvparity.shadow.timeout import DEFAULT_S

_SERVING = 10  # times the share: a candidate that serves does work that the training needs
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a candidate may cost before it is taken out.

    Attributes:
        errors: operations in which it may raise, or return something that is not an entry, where the reference did not.
        share: the share of wall time that shadowing may take, in (0, 1]; None for no limit. Time that is not spent is
            saved, at most the share of one hour, so that bursts and pauses even out.
        warm_up_s: seconds of wall time whose share may be spent in advance.
        size_bytes: what the candidate may hold, by its own statistics and by how much the process grew during its
            calls; None for no limit.
        patience_s: seconds that one call of the candidate may take; None for no limit. `kvparity.shadow.timeout` says
            which calls can be ended.

    Raises:
        UsageError: `share` is outside (0, 1].
    """

    errors: int = 100
    share: float | None = 0.05
    warm_up_s: float = 60.0
    size_bytes: int | None = 4 * _GIB
    patience_s: float | None = DEFAULT_S

    def __post_init__(self) -> None:
        if self.share is not None and not 0 < self.share <= 1:
            raise UsageError(f"the share of wall time must lie in (0, 1], got {self.share!r}: 0.05 is five percent")

    def where_it_serves(self) -> Limits:
        """The limits of a candidate whose answers the model gets: ten times the share.

        Taking such a candidate out changes what the model works with, so it is done only where the candidate holds the
        training up. The seconds that may be spent in advance stay the same.
        """
        if self.share is None:
            return self
        share = min(_SERVING * self.share, 1.0)
        return replace(self, share=share, warm_up_s=self.warm_up_s * self.share / share)
