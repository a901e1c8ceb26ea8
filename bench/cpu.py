"""CPU milliseconds per image by process group, the most stable figure of the rounds."""

import statistics
from collections.abc import Sequence

from bench.results import Round


def cpu_by_group(rounds: Sequence[Round], name: str) -> dict[str, float]:
    """Return the median of a contestant's rounds for each of its groups and each server."""
    own = [each for each in rounds if each.contestant == name]
    groups = own[0].cpu_ms if own else {}
    return {group: statistics.median(each.cpu_ms[group] for each in own) for group in groups}


def own_cpu(rounds: Sequence[Round], name: str) -> float | None:
    """Return the median CPU time of a contestant's own processes, without the shared servers."""
    own = [each.own_cpu_ms for each in rounds if each.contestant == name]
    return statistics.median(own) if own else None
