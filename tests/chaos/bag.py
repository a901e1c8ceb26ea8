"""Random draws that return each item once before any item a second time."""

from collections.abc import Callable, Iterable
from random import Random


class ShuffleBag:
    """A shuffled list that is refilled when it is empty; the same generator gives the same order."""

    def __init__(self, things: Iterable[str], rng: Random) -> None:
        self._things = list(things)
        self._dice = rng
        self._left: list[str] = []

    def draw(self, possible: Callable[[str], bool] = lambda _: True) -> str | None:
        """Return the next item that is possible now; skipped items keep their place."""
        if not self._left:
            self._left = self._things.copy()
            self._dice.shuffle(self._left)
        found = next((thing for thing in self._left if possible(thing)), None)
        if found is not None:
            self._left.remove(found)
        return found
