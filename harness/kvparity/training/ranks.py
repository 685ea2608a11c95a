"""Several processes of one training: each leaves its own result in a folder that all see, and rank 0 adds them up.

Files, not collective operations: a rank that has died would leave the others waiting in those.
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

PATIENCE_S = 20.0  # less than torchrun has with a rank that it has asked to end
_LOOK_EVERY_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """Which of how many processes this is."""

    number: int
    of: int

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Rank:
        """As torchrun and its like say in `RANK` and `WORLD_SIZE`; alone where they say nothing.

        Raises:
            UsageError: they say nonsense.
        """
        said = {name: environment.get(name, default) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"))}
        try:
            number, of = (int(value) for value in said.values())
        except ValueError:
            number, of = -1, 0
        if not 0 <= number < of:
            raise UsageError(f"RANK={said['RANK']} and WORLD_SIZE={said['WORLD_SIZE']} are no rank of a world")
        return cls(number=number, of=of)

    def own(self, path: Path | None) -> Path | None:
        """`path` for this rank alone: two processes cannot write one file."""
        if path is None or self.of == 1:
            return path
        return path.with_name(f"{path.stem}-rank-{self.number}{path.suffix}")

    def __str__(self) -> str:
        return f"rank {self.number}"


class Gathering:
    """One rank's part in adding up the results of all.

    Made when the training begins: what lies in the folder from an earlier run is not taken for this one's.

    Args:
        folder: seen by all ranks; it is made where there is none.
        rank: this one.

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
        """Leave this rank's result for rank 0.

        Raises:
            UsageError: it cannot be written.
        """
        write_json(replace(result, workload=f"{result.workload}, {self._rank}"), self._part(self._rank.number))

    def collect(
        self,
        *,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Result:
        """The sum of what all ranks left; those that leave nothing in `patience_s` are named in `missing`.

        Raises:
            UsageError: there is nothing at all, or a part is no result.
        """
        deadline = clock() + patience_s
        while (missing := self._missing()) and clock() < deadline:
            sleep(_LOOK_EVERY_S)
        there = [number for number in range(self._rank.of) if number not in missing]
        if not there:
            raise UsageError(f"no rank left a result in {self._folder}")
        result = merge([read_result(self._part(number)) for number in there])
        result.missing = [f"rank {number}" for number in missing]
        return result

    def _missing(self) -> list[int]:
        return [number for number in range(self._rank.of) if not self._is_there(self._part(number))]

    def _is_there(self, part: Path) -> bool:
        """Written since this run began; by the clock of the file system, which is one for all ranks."""
        try:
            return part.stat().st_mtime_ns >= self._began.stat().st_mtime_ns
        except OSError:
            return False

    def _part(self, number: int) -> Path:
        return self._folder / f"rank-{number}.json"
