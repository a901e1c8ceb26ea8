"""A replaceable part of an application: making one is slow, so all tests share one application."""

from typing import Any


class StandIn:
    """A proxy for a part of an application; forwards everything to `part`."""

    part: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.part, name)

    def __call__(self, *args: Any) -> Any:
        return self.part(*args)
