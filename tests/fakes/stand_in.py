"""Making an application takes longer than most tests of it: it is made once, its parts for every test."""

from typing import Any


class StandIn:
    """Is given to an application in place of a part, and passes everything on to `part`."""

    part: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.part, name)

    def __call__(self, *args: Any) -> Any:
        return self.part(*args)
