"""What of the run's own a guest can change for everybody: random states, and modes of torch."""

from __future__ import annotations

import random
import threading
from typing import Any, TypeAlias

import numpy as np
import torch

Modes: TypeAlias = "tuple[bool, torch.dtype, int]"


class Dice:
    """The random state of the run: Python's, numpy's and torch's, as it is now."""

    def __init__(self) -> None:
        self._python = random.getstate()
        self._numpy = np.random.get_state(legacy=False)  # noqa: NPY002  the run's own state is what this is about
        self._torch = torch.get_rng_state()
        self._cuda = _cuda_state()

    def touched(self) -> str:
        """Whose state has changed since; empty where none has."""
        touched = []
        if random.getstate() != self._python:
            touched.append("Python's random state")
        if not _same(np.random.get_state(legacy=False), self._numpy):  # noqa: NPY002
            touched.append("numpy's random state")
        if not torch.equal(torch.get_rng_state(), self._torch):
            touched.append("torch's random state")
        if not all(torch.equal(now, before) for now, before in zip(_cuda_state(), self._cuda, strict=False)):
            touched.append("the random state of CUDA")
        return " and ".join(touched)

    def restore(self) -> None:
        """Put it back."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002
        torch.set_rng_state(self._torch)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)


def modes() -> Modes:
    """Of torch: whether gradients are kept, the dtype of new tensors, how many threads compute."""
    return torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()


def put_back(before: Modes) -> None:
    """Set them as they were."""
    grad, dtype, threads = before
    torch.set_grad_enabled(grad)
    torch.set_default_dtype(dtype)
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def others_run() -> bool:
    """Whether the program has other threads at work, besides kvparity's own."""
    mine = threading.current_thread()
    return any(each is not mine and not each.name.startswith("kvparity") for each in threading.enumerate())


def _same(one: Any, other: Any) -> bool:
    """Whether two states of numpy, which are dicts of dicts, numbers and arrays, are equal."""
    if isinstance(one, dict):
        return all([_same(value, other[name]) for name, value in one.items()])
    return bool(np.array_equal(one, other))


def _cuda_state() -> list[torch.Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
