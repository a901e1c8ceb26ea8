"""Figures of the last line: the comparison of this platform with the others, and its costs."""

import statistics
from collections.abc import Sequence
from typing import Final

from bench.cpu import own_cpu
from bench.latency import ALONE
from bench.results import Latency, Results, Round

Figures = dict[str, float | int | str | None]

DIGITS: Final = 4
"""Number of significant digits."""


def figures(results: Results) -> Figures:
    """Return the figures; None for unmeasured ones."""
    ours = throughput(results.rounds, "ours")

    def ratio(other: str) -> float | None:
        rate = throughput(results.rounds, other)
        return ours / rate if ours and rate else None

    own, floors = alone(results.latency, "ours"), alone(results.latency, "floor")
    found: Figures = {
        "images_per_s": ours,
        "floor_ratio": ratio("floor"),
        "celery_ratio": ratio("celery_chain"),
        "celery_one_ratio": ratio("celery_one"),
        "temporal_ratio": ratio("temporal"),
        "cpu_ms_per_image": own_cpu(results.rounds, "ours"),
        "latency_p50_ms": own.times.p50 if own else None,
        "latency_p99_ms": own.times.p99 if own else None,
        "latency_p50_ratio": own.times.p50 / floors.times.p50 if own and floors else None,
        "latency_p99_ratio": own.times.p99 / floors.times.p99 if own and floors else None,
        "in_flight_kb": max(results.in_flight, key=lambda each: each.attempts).kilobytes_each
        if results.in_flight
        else None,
        "growth_ratio": results.growth[-1].cpu_ms / results.growth[0].cpu_ms if results.growth else None,
        "broker": results.machine.broker,
        "rounds": max((each.number for each in results.rounds), default=0),
    }
    return {name: _short(value) for name, value in found.items()}


def throughput(rounds: Sequence[Round], name: str) -> float | None:
    """Return the median throughput of a contestant's rounds, in images per second."""
    own = rates(rounds, name)
    return statistics.median(own) if own else None


def rates(rounds: Sequence[Round], name: str) -> list[float]:
    """Return the throughput of each of a contestant's rounds, in images per second."""
    return [each.images_per_s for each in rounds if each.contestant == name]


def alone(latency: Sequence[Latency], name: str) -> Latency | None:
    """Return a contestant's latency with one job at a time."""
    return next((each for each in latency if each.contestant == name and each.load == ALONE), None)


def _short(value: float | int | str | None) -> float | int | str | None:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
