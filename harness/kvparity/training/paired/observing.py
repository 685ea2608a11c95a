"""Listening to what a training logs: its losses and rewards, whoever it tells them.

Found without its knowledge: what LightZero's policies return of each iteration of the learner, what its collectors
bring, and the scalars that are written for TensorBoard.
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
    """Writes the curves of a training, from `install` on.

    Args:
        log: takes them.
        pattern: curves whose names it does not find are left out: times, for one, never repeat.

    Attributes:
        iterations: of the learner.
        samples: that it learnt from.
        resident: sum over the iterations of the bytes that the process held.
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
        """Begin."""
        for hook in self._hooks:
            hook.install()

    def remove(self) -> None:
        """End; every class has its own methods back."""
        for hook in self._hooks:
            hook.remove()

    # ------------------------------------------------------------------ inside

    def _learner(self, own: Callable[..., Any]) -> Callable[..., Any]:
        def forward_learn(policy: Any, *arguments: Any, **options: Any) -> Any:
            if self._learning:  # one policy's method calls that of the class that it was derived from
                return own(policy, *arguments, **options)
            self._learning = True
            try:
                said = own(policy, *arguments, **options)
            finally:
                self._learning = False
            self.iterations += 1
            self.samples += int(getattr(getattr(policy, "_cfg", None), "batch_size", 0) or 0)
            self.resident += resident_bytes() or 0
            self._add("learner", said)
            return said

        return forward_learn

    def _collector(self, own: Callable[..., Any]) -> Callable[..., Any]:
        def collect(collector: Any, *arguments: Any, **options: Any) -> Any:
            brought = own(collector, *arguments, **options)
            for segment in _segments(brought):
                self._add("collector", {"reward": float(sum(segment.reward_segment))})
            return brought

        return collect

    def _writer(self, own: Callable[..., Any]) -> Callable[..., Any]:
        def add_scalar(writer: Any, tag: str, scalar_value: Any, *arguments: Any, **options: Any) -> Any:
            self._add("tensorboard", {tag: scalar_value})
            return own(writer, tag, scalar_value, *arguments, **options)

        return add_scalar

    def _add(self, source: str, said: Any) -> None:
        numbers: Mapping[str, Any] = said if isinstance(said, dict) else {}
        for name, number in numbers.items():
            value = getattr(number, "item", lambda number=number: number)() if getattr(number, "ndim", 0) == 0 else None
            if isinstance(value, Real) and self._wanted.search(str(name)):
                self._log.add(f"{source}/{name}", float(value))


def _segments(brought: Any) -> list[Any]:
    """The game segments in what a collector of LightZero returns: they come first of two."""
    first = brought[0] if isinstance(brought, list | tuple) and brought else None
    return [segment for segment in first or () if hasattr(segment, "reward_segment")] if isinstance(first, list) else []
