"""Draws at random, but everything once before anything a second time."""

from collections.abc import Callable, Iterable
from random import Random


class Bag:
    """A shuffled list that is filled anew when it is empty; the same dice shuffle it the same way."""

    def __init__(self, things: Iterable[str], dice: Random) -> None:
        self._things = list(things)
        self._dice = dice
        self._left: list[str] = []

    def draw(self, possible: Callable[[str], bool] = lambda _: True) -> str | None:
        """The next one that is possible now; those that are passed over keep their turn."""
        if not self._left:
            self._left = self._things.copy()
            self._dice.shuffle(self._left)
        found = next((thing for thing in self._left if possible(thing)), None)
        if found is not None:
            self._left.remove(found)
        return found
