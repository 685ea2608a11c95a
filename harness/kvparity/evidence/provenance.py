"""Where a result comes from: command, versions, machine, and digests of the inputs."""

from __future__ import annotations

import datetime as dt
import hashlib
import inspect
import os
import platform
import shlex
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PACKAGES = ("kvparity", "numpy", "hypothesis", "LightZero")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a result comes from.

    Attributes:
        command: repeats the run when pasted into a shell.
        began: time in UTC, as ISO 8601.
        versions: of Python and of the packages that matter.
        machine: system, processor and number of cores.
        device: the accelerator that torch sees, or `cpu`.
        inputs: sha256 of the inputs by name: traces, scripts, the source of both caches.
    """

    command: str
    began: str
    versions: dict[str, str]
    machine: str
    device: str
    inputs: dict[str, str] = field(default_factory=dict)


def provenance(
    arguments: Sequence[str], *, files: Iterable[Path] = (), caches: Iterable[tuple[str, Any]] = ()
) -> Provenance:
    """The provenance of a command that runs now.

    Args:
        arguments: of the command line, without the name of the program.
        files: inputs of the result.
        caches: the name, and the class or factory, of each cache.
    """
    inputs = {f"file {path.name}": digest for path in files if (digest := _digest([path])) is not None}
    for name, factory in caches:
        digest = _digest(_sources(factory))
        if digest is not None:
            inputs[f"cache {name}"] = digest
    return Provenance(
        command=shlex.join(["kvparity", *arguments]),
        began=dt.datetime.now(tz=dt.timezone.utc).isoformat(timespec="seconds"),
        versions={"python": platform.python_version(), **_versions()},
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        inputs=inputs,
    )


def _versions() -> dict[str, str]:
    """The versions of the installed packages."""
    found = {}
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return {**found, "torch": str(torch.__version__)}  # with its build, such as +cpu


def source_file(factory: Any) -> Path | None:
    """The file in which a class or factory is defined; None where Python does not know one."""
    try:
        return Path(inspect.getfile(inspect.unwrap(factory)))
    except (TypeError, OSError):
        return None


def _sources(factory: Any) -> list[Path]:
    """All files of the package that defines a cache, or the one file."""
    file = source_file(factory)
    if file is None:
        return []
    if not (file.parent / "__init__.py").exists():
        return [file]
    return sorted(path for path in file.parent.rglob("*.py"))


def _digest(paths: list[Path]) -> str | None:
    """sha256 of the names and contents of files; None without files, or if one cannot be read."""
    whole = hashlib.sha256()
    try:
        for path in paths:
            own = hashlib.sha256()
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    own.update(block)
            whole.update(f"{path.name} {own.hexdigest()}\n".encode())
    except OSError:
        return None
    return whole.hexdigest() if paths else None
