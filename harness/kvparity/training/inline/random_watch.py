"""`RandomWatch`: finds out whether a guest draws random numbers that belong to the run."""

from __future__ import annotations

import time

from kvparity.training.inline.host_state import RandomStates, other_threads_run

# Reading the random states costs more than an operation: they are read in the first operations, then in one of N.
_ALWAYS, _EVERY = 64, 1024
_IN_A_ROW = 3  # visits in which numbers were drawn, if another thread might have drawn them
_QUIET_S = 0.01


class RandomWatch:
    """Finds out whether a guest draws random numbers that belong to the run, and puts the random states back.

    Where another thread of the program draws numbers itself, nobody can tell who drew them. Then the watch stops.
    """

    def __init__(self) -> None:
        self._looked = 0
        self._drawn_in_a_row = 0
        self._others_draw = False

    def begin(self, before: int, after: int) -> RandomStates | None:
        """A visit begins that takes the number of operations from `before` to `after`.

        Returns:
            The random states; None if this visit is not watched.
        """
        if (before < _ALWAYS or after - self._looked >= _EVERY) and not self._others_draw:
            self._looked = after
            return RandomStates()
        return None

    def finish(self, before: RandomStates) -> str | None:
        """A visit ends; put back what was drawn. The reason to stop the guest if it was the guest who drew.

        Where another thread might have drawn, it takes several visits in a row.
        """
        changed = self.restore(before)
        if changed is None:
            return None
        self._drawn_in_a_row = self._drawn_in_a_row + 1 if changed else 0
        if self._drawn_in_a_row >= _IN_A_ROW or (changed and not other_threads_run()):
            return f"it drew random numbers from {changed}, which belongs to the run; give it its own generator"
        return None

    def restore(self, before: RandomStates) -> str | None:
        """Put back what was drawn.

        Returns:
            The states that had changed, in words; empty if none had; None if another thread may have changed them.
        """
        changed = before.changed()
        if not changed:
            return ""
        if self._other_threads_draw():
            return None
        before.restore()
        return changed

    def _other_threads_draw(self) -> bool:
        """Whether numbers are drawn while the guest does nothing; once that is seen, it holds for good."""
        if not self._others_draw and other_threads_run():
            states = RandomStates()
            time.sleep(_QUIET_S)
            self._others_draw = bool(states.changed())
        return self._others_draw
