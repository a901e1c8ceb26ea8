"""CPU milliseconds per image by process group: the steadiest figure, taken from the rounds."""

import statistics
from collections.abc import Sequence

from bench.results import Round


def cpu_by_group(rounds: Sequence[Round], name: str) -> dict[str, float]:
    """The median of a contestant's rounds for each of its groups and each server."""
    mine = [each for each in rounds if each.contestant == name]
    groups = mine[0].cpu_ms if mine else {}
    return {group: statistics.median(each.cpu_ms[group] for each in mine) for group in groups}


def own_cpu(rounds: Sequence[Round], name: str) -> float | None:
    """Of its own processes, without the shared servers."""
    mine = [each.own_cpu_ms for each in rounds if each.contestant == name]
    return statistics.median(mine) if mine else None
