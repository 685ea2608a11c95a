"""Keeping what a training logs: its losses and rewards.

The training is not changed. The numbers are what LightZero's policies return for each iteration of the learner, the
rewards in what its collectors return, and the scalars that are written for TensorBoard.
"""

from __future__ import annotations

import re
from numbers import Real
from typing import TYPE_CHECKING, Any

from kvparity.evidence.memory import resident_bytes
from kvparity.training.lightzero.hook import MethodHook

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kvparity.training.paired.curves import CurveLog

PATTERN = "loss|reward|return|grad_norm"
_SCALARS = ("tensorboardX", "torch.utils.tensorboard")


class Observer:
    """Writes the curves of a training, from `install` to `remove`.

    Args:
        log: takes the numbers.
        pattern: a regular expression; curves are kept if it is found in their names, without regard to case. Numbers
            such as times never repeat, and need not be kept.

    Attributes:
        iterations: iterations of the learner.
        samples: samples that the learner learnt from.
        resident: the bytes that the process held after each iteration, summed up.
    """

    def __init__(self, log: CurveLog, *, pattern: str = PATTERN) -> None:
        self._log = log
        self._wanted = re.compile(pattern, re.IGNORECASE)
        self._learning = False
        self.iterations = 0
        self.samples = 0
        self.resident = 0
        self._hooks = [
            MethodHook("lzero.policy", "_forward_learn", self._learner),
            MethodHook("lzero.worker", "collect", self._collector),
            *(MethodHook(package, "add_scalar", self._writer) for package in _SCALARS),
        ]

    def install(self) -> None:
        """Begin to keep what is logged."""
        for hook in self._hooks:
            hook.install()

    def remove(self) -> None:
        """Keep nothing more, and give every class its own methods back."""
        for hook in self._hooks:
            hook.remove()

    # ------------------------------------------------------------------ inside

    def _learner(self, own: Callable[..., Any]) -> Callable[..., Any]:
        def forward_learn(policy: Any, *arguments: Any, **options: Any) -> Any:
            if self._learning:  # a policy's method may call the one of its base class
                return own(policy, *arguments, **options)
            self._learning = True
            try:
                logged = own(policy, *arguments, **options)
            finally:
                self._learning = False
            self.iterations += 1
            self.samples += int(getattr(getattr(policy, "_cfg", None), "batch_size", 0) or 0)
            self.resident += resident_bytes() or 0
            self._add("learner", logged)
            return logged

        return forward_learn

    def _collector(self, own: Callable[..., Any]) -> Callable[..., Any]:
        def collect(collector: Any, *arguments: Any, **options: Any) -> Any:
            collected = own(collector, *arguments, **options)
            for segment in _segments(collected):
                self._add("collector", {"reward": float(sum(segment.reward_segment))})
            return collected

        return collect

    def _writer(self, own: Callable[..., Any]) -> Callable[..., Any]:
        def add_scalar(writer: Any, tag: str, scalar_value: Any, *arguments: Any, **options: Any) -> Any:
            self._add("tensorboard", {tag: scalar_value})
            return own(writer, tag, scalar_value, *arguments, **options)

        return add_scalar

    def _add(self, source: str, logged: Any) -> None:
        numbers: Mapping[str, Any] = logged if isinstance(logged, dict) else {}
        for name, number in numbers.items():
            value = getattr(number, "item", lambda number=number: number)() if getattr(number, "ndim", 0) == 0 else None
            if isinstance(value, Real) and self._wanted.search(str(name)):
                self._log.add(f"{source}/{name}", float(value))


def _segments(collected: Any) -> list[Any]:
    """The game segments in what a collector of LightZero returns, a pair whose first part is a list of them."""
    first = collected[0] if isinstance(collected, list | tuple) and collected else None
    return [segment for segment in first or () if hasattr(segment, "reward_segment")] if isinstance(first, list) else []
