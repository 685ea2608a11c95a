"""Several processes of one training: each writes its result to a folder that all share, and rank 0 adds them up.

They use files and not collective operations: in those, the others would wait for ever for a rank that has died.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kvparity.errors import UsageError
from kvparity.results.adding import merge
from kvparity.results.reading import read_result
from kvparity.results.writing import write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kvparity.results.result import Result

PATIENCE_S = 20.0  # less than the 30 s that torchrun gives a rank that it has asked to end
_LOOK_EVERY_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """The number of this process among those of one training.

    Attributes:
        number: number of this process, from 0.
        of: how many processes there are.
    """

    number: int
    of: int

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Rank:
        """The rank in the variables `RANK` and `WORLD_SIZE`, which torchrun sets; without them, a single process.

        Raises:
            UsageError: the two are not a rank and a number of processes.
        """
        said = {name: environment.get(name, default) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"))}
        try:
            number, of = (int(value) for value in said.values())
        except ValueError:
            number, of = -1, 0
        if not 0 <= number < of:
            raise UsageError(
                f"RANK={said['RANK']} and WORLD_SIZE={said['WORLD_SIZE']}: expected 0 <= RANK < WORLD_SIZE, both"
                " integers; unset both to run a single process"
            )
        return cls(number=number, of=of)

    def own(self, path: Path | None) -> Path | None:
        """The path of this rank's own file for `path`, since two processes cannot write one file."""
        if path is None or self.of == 1:
            return path
        return path.with_name(f"{path.stem}-rank-{self.number}{path.suffix}")

    def __str__(self) -> str:
        return f"rank {self.number}"


class Gathering:
    """Adds up the results of all ranks. Each rank makes one when its training begins.

    Results that an earlier run left in the folder are not used.

    Args:
        folder: a folder that all ranks share; it is made if it does not exist.
        rank: this rank.

    Raises:
        UsageError: the folder cannot be used.
    """

    def __init__(self, folder: Path, rank: Rank) -> None:
        self._folder = folder
        self._rank = rank
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._part(rank.number).unlink(missing_ok=True)
            self._began = self._folder / f".began-{rank.number}"
            self._began.touch()
        except OSError as error:
            raise UsageError(f"{folder} cannot be used: {error.strerror}") from None

    def publish(self, result: Result) -> None:
        """Write this rank's result to the folder.

        Raises:
            UsageError: the result cannot be written.
        """
        write_json(replace(result, workload=f"{result.workload}, {self._rank}"), self._part(self._rank.number))

    def collect(
        self,
        *,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Result:
        """Wait for the results of all ranks, and add them up. The sum's `missing` names ranks that wrote none.

        Args:
            patience_s: seconds to wait.
            clock: seconds that have passed.
            sleep: waits for so many seconds.

        Raises:
            UsageError: no rank wrote a result, or a file is not a result.
        """
        deadline = clock() + patience_s
        while (missing := self._missing()) and clock() < deadline:
            sleep(_LOOK_EVERY_S)
        there = [number for number in range(self._rank.of) if number not in missing]
        if not there:
            raise UsageError(f"no rank wrote a result to {self._folder}: do all ranks share this folder?")
        result = merge([read_result(self._part(number)) for number in there])
        result.missing = [f"rank {number}" for number in missing]
        return result

    def _missing(self) -> list[int]:
        return [number for number in range(self._rank.of) if not self._is_there(self._part(number))]

    def _is_there(self, part: Path) -> bool:
        """Whether it was written in this run, by the clock of the file system, which all ranks share."""
        try:
            return part.stat().st_mtime_ns >= self._began.stat().st_mtime_ns
        except OSError:
            return False

    def _part(self, number: int) -> Path:
        return self._folder / f"rank-{number}.json"
