"""What belongs to the run and what a guest can change for everybody: random states, modes of torch, the process."""

from __future__ import annotations

import os
import random
import threading
from typing import Any

import numpy as np
import torch


class RandomStates:
    """The random states of the process when this was made: Python's, numpy's, torch's and CUDA's."""

    def __init__(self) -> None:
        self._python = random.getstate()
        self._numpy = np.random.get_state(legacy=False)  # noqa: NPY002  the run's own state is what this is about
        self._torch = torch.get_rng_state()
        self._cuda = _cuda_states()

    def changed(self) -> str:
        """The states that have changed since, in words; empty if none has."""
        changed = []
        if random.getstate() != self._python:
            changed.append("Python's random state")
        if not _are_equal(np.random.get_state(legacy=False), self._numpy):  # noqa: NPY002
            changed.append("numpy's random state")
        if not torch.equal(torch.get_rng_state(), self._torch):
            changed.append("torch's random state")
        if not all(torch.equal(now, before) for now, before in zip(_cuda_states(), self._cuda, strict=False)):
            changed.append("the random state of CUDA")
        return " and ".join(changed)

    def restore(self) -> None:
        """Set them as they were."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002
        torch.set_rng_state(self._torch)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)


class TorchModes:
    """The modes of torch when this was made: grad mode, default dtype, number of threads."""

    __slots__ = ("_dtype", "_grad", "_threads")

    def __init__(self) -> None:
        self._grad = torch.is_grad_enabled()
        self._dtype = torch.get_default_dtype()
        self._threads = torch.get_num_threads()

    def changed(self) -> bool:
        """Whether one of them has changed since."""
        return (
            torch.is_grad_enabled() is not self._grad
            or torch.get_default_dtype() is not self._dtype
            or torch.get_num_threads() != self._threads
        )

    def restore(self) -> None:
        """Set them as they were."""
        torch.set_grad_enabled(self._grad)
        torch.set_default_dtype(self._dtype)
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)


def exit_if_forked(process: int) -> None:
    """End this process if it is not the one of that number: a guest forked, and nobody wants a second run."""
    if os.getpid() != process:
        os._exit(1)


def other_threads_run() -> bool:
    """Whether the program has other threads than this one and kvparity's own."""
    this = threading.current_thread()
    return any(thread is not this and not thread.name.startswith("kvparity") for thread in threading.enumerate())


def _are_equal(one: Any, other: Any) -> bool:
    """Whether two states of numpy are equal: dicts of dicts, numbers and arrays."""
    if isinstance(one, dict):
        return all([_are_equal(value, other[name]) for name, value in one.items()])
    return bool(np.array_equal(one, other))


def _cuda_states() -> list[torch.Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
