"""`attach`: makes a candidate shadow the caches of a real training, from inside its process."""

from __future__ import annotations

import inspect
import os
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from kvparity.errors import DivergedError, warn
from kvparity.results.adding import ResultBuilder
from kvparity.results.divergence import DivergenceLog
from kvparity.results.result import Result, TrainingAccount
from kvparity.training.inline.guard import Guard
from kvparity.training.inline.shadowed_model import ShadowedModel
from kvparity.training.lightzero.models import tap_of, world_models_in
from kvparity.training.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvparity.results.adding import ShadowTotals
    from kvparity.results.divergence import Divergence

_P = ParamSpec("_P")


class Attachment:
    """World models whose caches are shadowed, until `detach`. Also a context manager.

    Shadowing a model begins when all its caches are empty: LightZero empties them before each collection of data. It
    pauses, and goes on, at such moments only, if the time that it may take runs short. A candidate that serves never
    pauses, and may take ten times the share.

    Args:
        options: the candidate, and how it is compared with the models' own caches.
        clock: seconds of wall time.

    Attributes:
        options: the candidate, and how it is compared with the models' own caches.
        found: the divergences that were examined so far.
        guard: takes the candidate out if it costs too much.
        lock: held while the divergences or the guard are in use.
    """

    def __init__(self, options: Options, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.options = options
        self.found = DivergenceLog(options.known)
        limits = options.limits if options.serve == "reference" else options.limits.where_it_serves()
        self.guard = Guard(limits, clock=clock)
        self.lock = threading.RLock()  # all models share the log and the guard
        self._shadows: dict[str, ShadowedModel] = {}
        self._models: dict[str, weakref.ref[Any]] = {}
        self._dead_models: deque[str] = deque()
        self._warned_groups: set[tuple[str, str]] = set()
        self._judged_unexpected = 0
        self._judged_total = 0
        self._process = os.getpid()

    @property
    def log(self) -> DivergenceLog:
        """The divergences of all operations so far. Operations that wait to be examined are examined first."""
        with self.lock:
            for shadow in list(self._shadows.values()):
                shadow.settle()
        return self.found

    @property
    def stopped(self) -> str | None:
        """Why the candidate was taken out; None if it was not."""
        return self.guard.stopped

    def add(self, name: str, world_model: Any) -> None:
        """Shadow another world model.

        Raises:
            UnusableCacheError: kvparity does not know such a world model, or the candidate cannot be built for it.
        """
        self._release_dead_models()
        tap = tap_of(world_model)
        shadow = ShadowedModel(
            tap, options=self.options, guard=self.guard, log=self.found, lock=self.lock, judge=self.judge
        )
        with self.lock:
            self._shadows[name] = shadow
            self._models[name] = weakref.ref(world_model, lambda _: self._note_dead_model(name))
        tap.join(shadow)

    def detach(self) -> None:
        """Give every model its own attributes back, and free the candidate. What was found stays."""
        if os.getpid() != self._process:
            return  # in a fork nobody shadows the models, and a lock may be held by a thread that is gone
        shadows = list(self._shadows.values())
        try:
            for shadow in shadows:
                shadow.leave()
            for shadow in shadows:
                shadow.drop_candidate()
            if self.options.on_divergence == "warn":
                self.judge()
        finally:
            self.guard.end()

    def result(self, *, workload: str = "training", interrupted: bool = False) -> Result:
        """The result so far, or at the end. The candidate does what waits for it, and is asked for its statistics.

        Call it in the thread of the training, because the candidate is called in that thread only.

        Args:
            workload: what the report calls the training.
            interrupted: whether the training was interrupted.
        """
        return self._build_result(ShadowedModel.totals, workload=workload, interrupted=interrupted)

    def result_so_far(self) -> Result:
        """The result so far, without operations that wait and without the candidate's statistics. For any thread."""
        return self._build_result(ShadowedModel.totals_so_far, workload="training", interrupted=False)

    def _build_result(
        self, totals: Callable[[ShadowedModel], ShadowTotals], *, workload: str, interrupted: bool
    ) -> Result:
        with self.lock:
            self._release_dead_models()
            builder = ResultBuilder(self.options.names, self.found)
            for shadow in list(self._shadows.values()):
                builder.add(totals(shadow))
            guard = self.guard
            return builder.result(
                workload=workload,
                elapsed_s=guard.time.wall_s,
                interrupted=interrupted,
                training=TrainingAccount(
                    models=tuple(self._shadows),
                    serve=self.options.serve,
                    compare_every=self.options.compare_every,
                    passed_over=sum(shadow.passed_over for shadow in self._shadows.values()),
                    shadow_s=guard.time.spent_s,
                    wall_s=guard.time.wall_s,
                    stopped=guard.stopped,
                    stopped_after_s=guard.stopped_after_s,
                    stopped_after_operations=guard.stopped_after_operations,
                ),
            )

    def judge(self) -> None:
        """Do what the options say about divergences that are new since the last call.

        Raises:
            DivergedError: there is a new divergence that is not known, and `on_divergence` is `raise`.
        """
        log = self.found
        if log.total == self._judged_total:
            return
        self._judged_total = log.total
        self.guard.check_errors(log.by_group["error", "candidate"])
        if self.options.on_divergence == "warn":
            for group in log.first.keys() - self._warned_groups:
                self._warned_groups.add(group)
                warn(_describe(log.first[group]))
        unexpected = sum(log.unexpected.values())
        if unexpected == self._judged_unexpected:
            return
        self._judged_unexpected = unexpected
        first = next(divergence for divergence in log.kept if divergence.known is None)
        if self.options.on_divergence == "raise":
            raise DivergedError(_describe(first))
        if self.options.on_divergence == "detach":
            self.guard.stop(f"it diverged: {_describe(first)}")

    def _note_dead_model(self, name: str) -> None:
        """A model was garbage-collected. This may happen at any moment and in any thread, so it must not wait."""
        self._dead_models.append(name)
        if self.lock.acquire(blocking=False):
            try:
                self._release_dead_models()
            finally:
                self.lock.release()

    def _release_dead_models(self) -> None:
        """Free the caches of models that were garbage-collected, unless an operation is under way."""
        while not any(shadow.under_way for shadow in list(self._shadows.values())):
            try:
                name = self._dead_models.popleft()
            except IndexError:
                return
            self._shadows[name].forget_model()

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.detach()
        if kind is None and self.options.on_divergence == "raise":
            self.judge()  # what was found when the last fingerprints were read


def _with(
    options: Callable[_P, Options],
) -> Callable[[Callable[[Any, Options], Attachment]], Callable[Concatenate[Any, _P], Attachment]]:
    """Make a function of a target and `Options` take the options one by one, with their names, types and defaults."""

    def decorate(attach: Callable[[Any, Options], Attachment]) -> Callable[Concatenate[Any, _P], Attachment]:
        def attach_with(target: Any, /, *arguments: _P.args, **named: _P.kwargs) -> Attachment:
            return attach(target, options(*arguments, **named))

        attach_with.__name__ = attach_with.__qualname__ = attach.__name__
        attach_with.__doc__ = attach.__doc__
        signature = inspect.signature(attach)
        shown = [signature.parameters["target"], *inspect.signature(options).parameters.values()]
        attach_with.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
        return attach_with

    return decorate


@_with(Options)
def attach(target: Any, options: Options) -> Attachment:
    """Shadow the caches of a policy's world models, or of one world model; `Options` explains the options.

    Raises:
        UsageError: an option has a value that is not allowed.
        UnusableCacheError: kvparity does not know such a policy or world model, or the candidate cannot be built.
    """
    models = world_models_in(target)
    attachment = Attachment(options)
    try:
        for name, model in models.items():
            attachment.add(name, model)
    except BaseException:
        attachment.detach()
        raise
    return attachment


def _describe(divergence: Divergence) -> str:
    """A divergence in one line."""
    return f"{divergence.kind} in {divergence.pool}, wrong: {divergence.wrong}: {divergence.explanation}"
