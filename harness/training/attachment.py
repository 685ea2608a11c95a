"""`attach`: one line that makes a candidate shadow the caches of a real training, from inside it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from harness.divergence import DivergenceLog
from harness.errors import DivergedError, UsageError
from harness.result import Result, TrainingAccount
from harness.tally import Tally
from harness.training.guard import Guard, Limits, warn
from harness.training.lightzero import tap_of, world_models_in
from harness.training.listening import ShadowListener

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.caches import CacheFactory
    from harness.divergence import Divergence, KnownDifference
    from harness.training.tap import Tap

ON_DIVERGENCE = ("record", "warn", "raise", "detach")
SERVE = ("reference", "candidate")
DEFAULT_REFERENCE = "lightzero"


class Attachment:
    """World models whose caches are shadowed, until detached. Also a context manager.

    A model is shadowed from the moment at which all its caches are empty: LightZero empties them before each
    collection of data. At such moments it pauses where the time that shadowing may take runs short, and goes on later;
    a candidate that serves never pauses.

    Args:
        candidate: the cache on trial: a name from `kvparity list`, `fault:NAME`, `package.module:attribute`, or a class
            or factory called with `(config, env_num)`.
        reference: what reports call the model's own caches.
        serve: whose answers the model gets, `reference` or `candidate`. A candidate's answer that is no entry of the
            right shape, type and device is never served.
        on_divergence: `record` it, `warn` at the first of each kind, `raise` DivergedError in the training, or `detach`
            the candidate. The last two ignore known differences.
        compare_every: compare each N-th lookup only.
        limits: what the candidate may cost before it is taken out.
        known: differences that are accepted.
        clock: seconds of wall time.

    Attributes:
        log: the divergences.

    Raises:
        UsageError: an option has no such value.
    """

    def __init__(
        self,
        *,
        candidate: str | CacheFactory,
        reference: str = DEFAULT_REFERENCE,
        serve: str = "reference",
        on_divergence: str = "record",
        compare_every: int = 1,
        limits: Limits | None = None,
        known: Sequence[KnownDifference] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        _one_of("serve", serve, SERVE)
        _one_of("on_divergence", on_divergence, ON_DIVERGENCE)
        if isinstance(compare_every, bool) or not isinstance(compare_every, int) or compare_every < 1:
            raise UsageError(f"compare_every must be an integer of at least 1, got {compare_every!r}")
        self.log = DivergenceLog(known)
        self.names = (
            reference,
            candidate if isinstance(candidate, str) else getattr(candidate, "__name__", "candidate"),
        )
        self.candidate = candidate
        self.serve = serve
        self.compare_every = compare_every
        self.guard = Guard(limits or Limits(), clock=clock)
        self.lock = threading.RLock()  # the log and the guard are all models' own
        self._on_divergence = on_divergence
        self._listeners: dict[str, tuple[Tap, ShadowListener]] = {}
        self._told: set[tuple[str, str]] = set()
        self._unexpected = 0
        self._seen = 0

    @property
    def stopped(self) -> str | None:
        """Why the candidate was taken out; None where it was not."""
        return self.guard.stopped

    def add(self, name: str, world_model: Any) -> None:
        """Shadow another world model.

        Raises:
            UnusableCacheError: it is no world model that is known here, or the candidate cannot be built for it.
        """
        tap = tap_of(world_model)
        listener = ShadowListener(self, tap)
        self._listeners[name] = (tap, listener)
        tap.join(listener)

    def detach(self) -> None:
        """Give every model its own attributes back. What was found stays."""
        for tap, listener in self._listeners.values():
            tap.leave(listener)
        self.guard.end()

    def result(self, *, workload: str = "training", interrupted: bool = False) -> Result:
        """What it came to, so far or in the end."""
        with self.lock:
            tally = Tally(self.names, self.log)
            for _, listener in self._listeners.values():
                if self.stopped is None:  # else the candidate may lack the operation at which it was taken out
                    listener.shadow.check_stats()
                tally.add(listener.shadow)
            guard = self.guard
            return tally.result(
                workload=workload,
                elapsed_s=guard.wall_s,
                interrupted=interrupted,
                training=TrainingAccount(
                    models=tuple(self._listeners),
                    serve=self.serve,
                    compare_every=self.compare_every,
                    passed_over=sum(listener.passed_over for _, listener in self._listeners.values()),
                    shadow_s=guard.spent_s,
                    wall_s=guard.wall_s,
                    stopped=guard.stopped,
                ),
            )

    def judge(self) -> None:
        """Do what is to be done about divergences that came since the last time.

        Raises:
            DivergedError: that is to stop the training.
        """
        log = self.log
        if log.total == self._seen:
            return
        self._seen = log.total
        self.guard.failed(log.by_group["error", "candidate"])
        if self._on_divergence == "warn":
            for group in log.first.keys() - self._told:
                self._told.add(group)
                warn(_line(log.first[group]))
        unexpected = sum(log.unexpected.values())
        if unexpected == self._unexpected:
            return
        self._unexpected = unexpected
        first = next(divergence for divergence in log.kept if divergence.known is None)
        if self._on_divergence == "raise":
            raise DivergedError(_line(first))
        if self._on_divergence == "detach":
            self.guard.stop(f"it diverged: {_line(first)}")

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()


def attach(
    target: Any,
    *,
    candidate: str | CacheFactory,
    reference: str = DEFAULT_REFERENCE,
    serve: str = "reference",
    on_divergence: str = "record",
    compare_every: int = 1,
    limits: Limits | None = None,
    known: Sequence[KnownDifference] = (),
) -> Attachment:
    """Shadow the caches of a policy's world models, or of one world model; see `Attachment` for the options.

    Raises:
        UsageError: an option has no such value.
        UnusableCacheError: there is no world model that is known here, or the candidate cannot be built.
    """
    models = world_models_in(target)
    attachment = Attachment(
        candidate=candidate,
        reference=reference,
        serve=serve,
        on_divergence=on_divergence,
        compare_every=compare_every,
        limits=limits,
        known=known,
    )
    try:
        for name, model in models.items():
            attachment.add(name, model)
    except BaseException:
        attachment.detach()
        raise
    return attachment


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def _line(divergence: Divergence) -> str:
    return f"{divergence.kind} in {divergence.pool}, wrong: {divergence.wrong}: {divergence.explanation}"
