"""Contestants by name, imported on demand because not all of them are always installed."""

from collections.abc import Callable
from typing import Final

from bench.contestants.contestant import Contestant, SharedServers
from bench.contestants.floor import Floor
from bench.contestants.ours import Ours

NAMES: Final = ("ours", "floor", "celery_chain", "celery_one", "temporal")


def contestant_factory(name: str) -> Callable[[SharedServers], Contestant]:
    """Return the factory of a contestant."""
    if name == "ours":
        return Ours
    if name == "floor":
        return Floor
    if name == "temporal":
        from bench.contestants.temporal import Temporal

        return Temporal
    from bench.contestants.celery_workers import CeleryChain, CeleryOne

    return {"celery_chain": CeleryChain, "celery_one": CeleryOne}[name]
